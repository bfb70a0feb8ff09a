"""Captum's GradientShap and LayerGradientShap: gradients at random places between random baselines and noisy inputs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from pyig import tree
from pyig.backends.torch import TorchBackend
from pyig.compat.captum.arguments import Call, read_call
from pyig.compat.captum.attribution import GradientAttribution, LayerAttribution, completeness_gap
from pyig.compat.captum.draws import Chunk, Draws, Tally, taken
from pyig.compat.captum.errors import entry, translated
from pyig.compat.captum.integrals import alone
from pyig.compat.captum.pointwise import gradients_at
from pyig.compat.captum.quirks import check_quirks
from pyig.errors import InputError, InputTypeError
from pyig.held import modules_of
from pyig.streams import stream
from pyig.structure.torch_tap import UpTo


class _Shap(GradientAttribution):
    """What both classes do; without a layer the gradient is taken at the inputs."""

    layer: Any = None
    _multiply_by_inputs = True
    _quirks: str | None = None

    def _attribute(
        self,
        inputs: Any,
        baselines: Any,
        n_samples: Any,
        stdevs: Any,
        target: Any,
        additional: Any,
        with_delta: bool,
        to_inputs: bool,
        rng: Any,
        allow_unused: bool,
    ) -> Any:
        call = read_call(self.forward_func, inputs, None, target, additional, self.output)
        if with_delta or self.layer is not None:
            call.refuse_mixed_rows("attributions of a layer" if self.layer is not None else "a delta of every draw")
        draws = Draws(call, n_samples, None, stdevs, rng, self._quirks is not None, "n_samples")
        sets = _distribution(baselines, inputs, call)
        tally = Tally("smoothgrad", call.samples)
        for chunk in draws.chunks():
            here = chunk.call(call)
            found, starts = self._of_chunk(here, chunk, draws, sets, to_inputs, allow_unused)
            delta = completeness_gap(replace(here, baselines=starts), found) if with_delta else None
            tally.add(found, delta, len(chunk.draws))
        return (tally.attributions, tally.deltas) if with_delta else tally.attributions

    def _of_chunk(
        self, call: Call, chunk: Chunk, draws: Draws, sets: list[torch.Tensor], to_inputs: bool, allow_unused: bool
    ) -> tuple[Any, Any]:
        """Return the attributions of a chunk's rows, and their baselines."""
        leaves, spec = tree.flatten(call.x)
        which = draws.baseline_rows(chunk, [len(part) for part in sets])
        starts = [taken(part, rows).to(leaf) for part, rows, leaf in zip(sets, which, leaves, strict=True)]
        alphas = torch.from_numpy(_alphas(draws, chunk))
        points = []
        for leaf, start in zip(leaves, starts, strict=True):
            alpha = alphas.to(leaf).reshape(-1, *[1] * (leaf.ndim - 1))
            points.append(alpha * leaf + (1.0 - alpha) * start)
        at = replace(call, x=tree.unflatten(spec, points))
        x0 = tree.unflatten(spec, starts)
        if self.layer is None:
            grads, ends = gradients_at(at, allow_unused), (call.x, x0)
        else:
            grads = gradients_at(at, allow_unused, layer=self.layer, attribute_to_layer_inputs=to_inputs)
            ends = tuple(self._values(replace(call, x=x), to_inputs) for x in (call.x, x0))
        if not self._multiply_by_inputs:
            return alone(grads) if self.layer is not None else grads, x0
        parts, form = tree.flatten(grads)
        stop, begin = (tree.flatten(end)[0] for end in ends)
        out = [grad * (end - first) for grad, end, first in zip(parts, stop, begin, strict=True)]
        built = tree.unflatten(form, out)
        return alone(built) if self.layer is not None else built, x0

    def _values(self, call: Call, to_inputs: bool) -> Any:
        """Return the layer's values."""
        root = next((each for each in modules_of(call.model) if self.layer in set(each.modules())), None)
        reach = UpTo(call.model, self.layer, to_inputs, root=root)
        with torch.no_grad(), TorchBackend(call.model).session():
            return reach(*(leaf.clone() for leaf in call.leaves), **call.kwargs)

    def has_convergence_delta(self) -> bool:
        """Tell that there is a delta."""
        return True

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether attributions have the factor (x - x')."""
        return self._multiply_by_inputs


class GradientShap(_Shap):
    """The mean over random baselines, noise and places of ``(x - x') dF/dx``: an estimate of SHAP values.

    Each draw has a baseline of its own. The places of a sample's draws are stratified over the path, one in each of
    `n_samples` equal parts, which lowers the variance and leaves the mean. For a data set of baselines as a whole, and
    with an error estimate, use ``pyig.IntegratedGradients(...).explain(x, baselines, method="expected")``.

    Parameters
    ----------
    forward_func : callable
        The model, or a function that calls it.
    multiply_by_inputs : bool, default True
        Whether attributions have the factor (x - x').
    quirks : {None, "captum"}
        ``"captum"`` draws what Captum draws, from torch's and numpy's global generators.
    output : str or int, optional
        Which tensor to explain, where the model returns several.

    Examples
    --------
    >>> shap = GradientShap(lambda x: (x**2).sum(1))
    >>> x = torch.tensor([[1.0, 3.0]])
    >>> shap.attribute(x, torch.zeros(1, 2), n_samples=1000, rng=0).round(decimals=3)
    tensor([[1., 9.]])
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        multiply_by_inputs: bool = True,
        *,
        quirks: str | None = None,
        output: str | int | None = None,
    ) -> None:
        with translated():
            super().__init__(forward_func)
            self._multiply_by_inputs, self.output = bool(multiply_by_inputs), output
            self._quirks = check_quirks(quirks)

    @entry
    def attribute(
        self,
        inputs: Any,
        baselines: Any,
        n_samples: int = 5,
        stdevs: float | tuple[float, ...] = 0.0,
        target: Any = None,
        additional_forward_args: Any = None,
        return_convergence_delta: bool = False,
        *,
        rng: Any = None,
        allow_unused: bool = False,
    ) -> Any:
        """Attribute the model's output to its inputs.

        Parameters
        ----------
        inputs, target, additional_forward_args, allow_unused
            As for `IntegratedGradients.attribute`.
        baselines : tensor (M, ...), tuple of them, or callable
            The distribution; a function of nothing or of the inputs returns it.
        n_samples : int
            Draws of each sample.
        stdevs : float or tuple of float
            Of Gaussian noise on the inputs.
        return_convergence_delta : bool
            Also return the gap of every draw.
        rng : int or numpy.random.Generator, optional
            Seeds everything. None draws one number from torch's global generator.

        Returns
        -------
        tensor or tuple of tensor
            Like the inputs. With the delta: a pair, the second (N * n_samples,), sample by sample.
        """
        return self._attribute(
            inputs, baselines, n_samples, stdevs, target, additional_forward_args, return_convergence_delta, False,
            rng, allow_unused,
        )  # fmt: skip


class LayerGradientShap(_Shap, LayerAttribution):
    """`GradientShap` at a layer: ``(y - y') dF/dy``, y being the layer's values.

    Parameters
    ----------
    forward_func, multiply_by_inputs, quirks, output
        As for `GradientShap`.
    layer : torch.nn.Module
        A layer that is called once in a forward.
    device_ids : list of int, optional
        Taken for Captum's sake.

    Examples
    --------
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    >>> LayerGradientShap(net, net[1]).attribute(torch.ones(5, 3), torch.zeros(2, 3), target=1).shape
    torch.Size([5, 4])
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        layer: Any,
        device_ids: list[int] | None = None,
        multiply_by_inputs: bool = True,
        *,
        quirks: str | None = None,
        output: str | int | None = None,
    ) -> None:
        with translated():
            LayerAttribution.__init__(self, forward_func, layer, device_ids)
            self._multiply_by_inputs, self.output = bool(multiply_by_inputs), output
            self._quirks = check_quirks(quirks)

    @entry
    def attribute(
        self,
        inputs: Any,
        baselines: Any,
        n_samples: int = 5,
        stdevs: float | tuple[float, ...] = 0.0,
        target: Any = None,
        additional_forward_args: Any = None,
        return_convergence_delta: bool = False,
        attribute_to_layer_input: bool = False,
        *,
        rng: Any = None,
        allow_unused: bool = False,
    ) -> Any:
        """Attribute the model's output to the values of the layer.

        Parameters
        ----------
        inputs, baselines, n_samples, stdevs, target, additional_forward_args, return_convergence_delta, rng, \
allow_unused
            As for `GradientShap.attribute`.
        attribute_to_layer_input : bool
            Attribute to what the layer is given instead of what it gives.

        Returns
        -------
        tensor or tuple of tensor
            Like the layer's values. With the delta: a pair, the second (N * n_samples,).
        """
        return self._attribute(
            inputs, baselines, n_samples, stdevs, target, additional_forward_args, return_convergence_delta,
            attribute_to_layer_input, rng, allow_unused,
        )  # fmt: skip


def _distribution(baselines: Any, inputs: Any, call: Call) -> list[torch.Tensor]:
    """Return the baselines' distribution, a tensor for each input."""
    if callable(baselines):
        baselines = baselines(inputs) if inspect.signature(baselines).parameters else baselines()
    several = list(baselines) if isinstance(baselines, (tuple, list)) else [baselines]
    if len(several) != len(call.leaves):
        raise InputError(f"expected baselines= for {len(call.leaves)} inputs; got {len(several)}")
    for part, leaf in zip(several, call.leaves, strict=True):
        if not isinstance(part, torch.Tensor):
            raise InputTypeError(
                f"expected baselines= as a tensor of baselines, one per row; got {type(part).__qualname__}"
            )
        if not part.ndim or part.shape[1:] != leaf.shape[1:]:
            raise InputError(
                f"expected baselines= of shape (M, {', '.join(map(str, leaf.shape[1:]))}); got {tuple(part.shape)}"
            )
    return several


def _alphas(draws: Draws, chunk: Chunk) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return where on its path every row is: one place in each of as many equal parts as there are draws."""
    if draws.captum:
        return np.random.uniform(0.0, 1.0, len(chunk.rows))  # noqa: NPY002 - Captum draws from this one
    samples, count = draws.call.samples, draws.count
    strata = np.argsort(stream(draws.seed).random((samples, count)), axis=1)[:, chunk.draws]
    inside = np.stack([stream(draws.seed, int(draw), samples, 0).random(samples) for draw in chunk.draws], axis=1)
    places: np.ndarray[Any, np.dtype[np.float64]] = (strata + inside) / count
    if draws.mixed:  # one sample is at one place
        places[:] = places[:1]
    return places.reshape(-1)
