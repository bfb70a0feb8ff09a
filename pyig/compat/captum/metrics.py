"""Captum's infidelity and sensitivity: how far attributions are from what they should say, and how stable they are.

Yeh et al. 2019, "On the (In)fidelity and Sensitivity of Explanations", arXiv:1901.09392.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from pyig.compat.captum.arguments import Call, read_call
from pyig.compat.captum.draws import Chunk
from pyig.compat.captum.errors import entry
from pyig.compat.captum.noise_tunnel import repeated
from pyig.errors import InputError
from pyig.explainer.values import values

Tensors = tuple[torch.Tensor, ...]


@entry
def infidelity(
    forward_func: Callable[..., Any],
    perturb_func: Callable[..., Any],
    inputs: Any,
    attributions: Any,
    baselines: Any = None,
    additional_forward_args: Any = None,
    target: Any = None,
    n_perturb_samples: int = 10,
    max_examples_per_batch: int | None = None,
    normalize: bool = False,
) -> torch.Tensor:
    """Return the mean squared difference of what attributions say of perturbations, and what those do to F.

    Parameters
    ----------
    forward_func : callable
        The model, or a function that calls it.
    perturb_func : callable
        ``perturb_func(inputs)``, or ``perturb_func(inputs, baselines)`` where there are some, returns the perturbations
        and the perturbed inputs. One that returns the latter alone goes through `infidelity_perturb_func_decorator`.
    inputs, baselines, additional_forward_args, target
        As for `IntegratedGradients.attribute`.
    attributions : tensor or tuple of tensor
        Like the inputs.
    n_perturb_samples : int
        Perturbations of each sample.
    max_examples_per_batch : int, optional
        Most rows that are perturbed and evaluated at a time.
    normalize : bool
        Whether to scale the attributions first, by the factor that suits them best.

    Returns
    -------
    tensor (N,)
        At least 0.

    Examples
    --------
    >>> x = torch.tensor([[1.0, 3.0]])
    >>> infidelity(lambda x: 2 * x.sum(1), lambda x: (0.1 * x, 0.9 * x), x, torch.full((1, 2), 2.0)).round(decimals=6)
    tensor([0.])
    """
    call = read_call(forward_func, inputs, None, target, additional_forward_args, None)
    call.refuse_mixed_rows("infidelity")
    maps = _tuple(attributions)
    if [tuple(part.shape) for part in maps] != [tuple(leaf.shape) for leaf in call.leaves]:
        shapes = ", ".join(str(tuple(part.shape)) for part in maps)
        raise InputError(f"expected attributions in the shapes of the inputs; got {shapes}")
    said, done = [], []
    with torch.no_grad():
        here = torch.from_numpy(_values(call, max_examples_per_batch))
        for chunk in _chunks(call, n_perturb_samples, max_examples_per_batch):
            starts = () if baselines is None else (repeated("baselines", baselines, chunk, call.samples),)
            moves, moved = (_tuple(part) for part in perturb_func(chunk.inputs, *starts))
            if len(moves) != len(call.leaves) or len(moved) != len(call.leaves):
                raise InputError(
                    f"expected perturb_func to return {len(call.leaves)} perturbations and perturbed inputs; got "
                    f"{len(moves)} and {len(moved)}"
                )
            there = torch.from_numpy(_values(chunk.call(call, _like(moved, inputs)), max_examples_per_batch))
            parts = zip(moves, maps, strict=True)
            said.append(sum(_dot(move, part.detach(), call.samples) for move, part in parts))
            done.append(here[:, None] - there.reshape(call.samples, -1))
    told, seen = torch.cat(said, dim=1), torch.cat(done, dim=1)
    if normalize:
        squares = (told * told).sum(1, keepdim=True)
        told = told * (told * seen).sum(1, keepdim=True) / torch.where(squares == 0, 1.0, squares)
    found: torch.Tensor = ((told - seen) ** 2).mean(1).to(maps[0].dtype).to(maps[0].device)
    return found


def infidelity_perturb_func_decorator(
    multiply_by_inputs: bool = True,
) -> Callable[[Callable[..., Any]], Callable[..., tuple[Tensors, Tensors]]]:
    """Make a `perturb_func` of a function that returns perturbed inputs alone.

    Parameters
    ----------
    multiply_by_inputs : bool
        Whether the attributions have the factor (x - x'): perturbations are then divided by it.

    Examples
    --------
    >>> @infidelity_perturb_func_decorator(False)
    ... def shrunk(x):
    ...     return 0.5 * x
    >>> shrunk(torch.tensor([4.0]))
    ((tensor([2.]),), (tensor([2.]),))
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., tuple[Tensors, Tensors]]:
        @functools.wraps(function)
        def perturbed(inputs: Any, baselines: Any = None) -> tuple[Tensors, Tensors]:
            leaves = _tuple(inputs)
            moved = _tuple(function(inputs) if baselines is None else function(inputs, baselines))
            starts = baselines if isinstance(baselines, tuple) else (baselines,) * len(leaves)
            moves = []
            for leaf, other, start in zip(leaves, moved, starts, strict=True):
                way = leaf - (0.0 if start is None else start)
                moves.append((leaf - other) / torch.where(way == 0, 1.0, way) if multiply_by_inputs else leaf - other)
            return tuple(moves), moved

        return perturbed

    return decorate


def default_perturb_func(inputs: Any, perturb_radius: float = 0.02) -> Tensors:
    """Return inputs with uniform noise from [-radius, radius], drawn from torch's global generator.

    Parameters
    ----------
    inputs : tensor or tuple of tensor
        Not changed.
    perturb_radius : float
        The radius.
    """
    noise = (
        torch.empty(leaf.shape).uniform_(-perturb_radius, perturb_radius).to(leaf.device) for leaf in _tuple(inputs)
    )
    return tuple(leaf + each for leaf, each in zip(_tuple(inputs), noise, strict=True))


@entry
def sensitivity_max(
    explanation_func: Callable[..., Any],
    inputs: Any,
    perturb_func: Callable[..., Any] = default_perturb_func,
    perturb_radius: float = 0.02,
    n_perturb_samples: int = 10,
    norm_ord: Any = "fro",
    max_examples_per_batch: int | None = None,
    **kwargs: Any,
) -> torch.Tensor:
    """Return the largest relative change of attributions over perturbed inputs.

    Parameters
    ----------
    explanation_func : callable
        ``explanation_func(inputs, **kwargs)`` returns attributions: the `attribute` of any method.
    inputs : tensor or tuple of tensor
        As `explanation_func` takes them.
    perturb_func : callable
        ``perturb_func(inputs, perturb_radius)``, or of the inputs alone, returns perturbed inputs.
    perturb_radius : float
        How far.
    n_perturb_samples : int
        Perturbations of each sample.
    norm_ord : number, str
        Of the norm, as for `torch.norm`.
    max_examples_per_batch : int, optional
        Most rows that are explained at a time.
    **kwargs
        For `explanation_func`; what has one entry per sample is repeated.

    Returns
    -------
    tensor (N,)
        At least 0.

    Examples
    --------
    >>> sensitivity_max(lambda x: 2 * x, torch.tensor([[1.0, 0.0]]), lambda x: 1.5 * x)
    tensor([0.5000])
    """
    leaves = _tuple(inputs)
    call = Call(explanation_func, inputs, None, None, {}, len(leaves[0]))
    radius = (perturb_radius,) if len(inspect.signature(perturb_func).parameters) > 1 else ()
    found = []
    with torch.no_grad():
        clean = _matrix(explanation_func(inputs, **kwargs), call.samples)
        size = torch.norm(clean, p=norm_ord, dim=2)
        for chunk in _chunks(call, n_perturb_samples, max_examples_per_batch):
            options = {name: repeated(name, value, chunk, call.samples) for name, value in kwargs.items()}
            moved = _like(_tuple(perturb_func(chunk.inputs, *radius)), inputs)
            change = _matrix(explanation_func(moved, **options), call.samples) - clean
            found.append(torch.norm(change, p=norm_ord, dim=2) / torch.where(size == 0, 1.0, size))
    largest: torch.Tensor = torch.cat(found, dim=1).max(dim=1).values
    return largest


def _chunks(call: Call, count: Any, most_rows: int | None) -> Iterator[Chunk]:
    """Yield the inputs repeated, as many times at a time as fit."""
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
        raise InputError(f"expected n_perturb_samples= as a whole number of at least 1; got {count!r}")
    size = int(count) if most_rows is None else max(1, int(most_rows) // call.samples)
    for first in range(0, int(count), size):
        draws = np.arange(first, min(first + size, int(count)))
        leaves = tuple(leaf.repeat_interleave(len(draws), dim=0) for leaf in call.leaves)
        yield Chunk(draws, np.repeat(np.arange(call.samples), len(draws)), _like(leaves, call.x))


def _values(call: Call, most_rows: int | None) -> Any:
    size = "auto" if most_rows is None else max(1, int(most_rows))
    return values(call.model, call.x, call.target, forward_kwargs=call.kwargs or None, batch_size=size)


def _dot(move: torch.Tensor, part: torch.Tensor, samples: int) -> Any:
    """Return the sum of perturbations times attributions, (N, D)."""
    wide = move.reshape(samples, -1, part[0].numel()).to(torch.float64)
    return (wide * part.reshape(samples, 1, -1)).sum(2).cpu()


def _matrix(found: Any, samples: int) -> torch.Tensor:
    """Return attributions (N, D, features), all inputs side by side."""
    parts = [part.detach().reshape(samples, -1, part[0].numel()) for part in _tuple(found)]
    return torch.cat(parts, dim=2)


def _tuple(tensors: Any) -> Tensors:
    return tuple(tensors) if isinstance(tensors, (tuple, list)) else (tensors,)


def _like(tensors: Tensors, given: Any) -> Any:
    return tensors if isinstance(given, (tuple, list)) else tensors[0]
