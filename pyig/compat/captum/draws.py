"""Noisy copies of the inputs, draw by draw, and what is made of their attributions.

Rows come sample by sample, and within a sample draw by draw, as in Captum. A draw of a sample has a stream of its own:
how many draws are explained at a time does not change them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from pyig import tree
from pyig.backends.torch import TorchBackend
from pyig.compat.captum.arguments import Call
from pyig.contracts import Floats, Ints
from pyig.errors import InputError, InputTypeError
from pyig.integrate.inputs import read_inputs
from pyig.rows import row_floats
from pyig.sampling.moments import Moments
from pyig.sampling.noise import Noise, read_deviations
from pyig.streams import entropy, generator, stream

_ROWS, _BYTES = 4096, 1 << 25  # of one chunk of draws, where nobody says how many it may have


@dataclass(frozen=True)
class Chunk:
    """Some draws of every sample.

    Attributes
    ----------
    draws : int64 (D,)
        Their numbers.
    rows : int64 (N * D,)
        The sample of each row.
    inputs : tensor or tuple of tensor (N * D, ...)
        Noisy.
    """

    draws: Ints
    rows: Ints
    inputs: Any

    def call(self, call: Call, inputs: Any = None) -> Call:
        """Return a call for these rows, of other inputs where there are some."""
        kwargs = {name: taken(value, self.rows) for name, value in call.kwargs.items()}
        target = call.target[self.rows] if isinstance(call.target, np.ndarray) else call.target
        if isinstance(call.target, list):
            target = [call.target[row] for row in self.rows]
        x = self.inputs if inputs is None else inputs
        return replace(call, x=x, target=target, kwargs=kwargs, samples=len(self.rows), baselines=None)


class Draws:
    """The draws of one call.

    Parameters
    ----------
    call : Call
        Of the inputs without noise.
    count : int
        Draws of every sample.
    most : int, optional
        Draws at a time.
    stdevs : float, or tuple of them
        Of the noise, for each input.
    rng : int, numpy.random.Generator or None
        None draws one number from torch's global generator, so that `torch.manual_seed` repeats it.
    captum : bool
        Draw what Captum draws, from the same global generators.
    name : str
        What `count` is called.
    """

    def __init__(
        self, call: Call, count: Any, most: Any, stdevs: Any, rng: Any, captum: bool, name: str = "nt_samples"
    ) -> None:
        self.call, self.captum = call, captum
        self.count = _whole(f"{name}=", count)
        self._inputs = read_inputs(TorchBackend(call.model), call.x, None)
        lone = self._inputs.spec.kind == "leaf"
        if lone and isinstance(stdevs, (tuple, list)) and len(stdevs) == 1:
            stdevs = stdevs[0]
        self._deviations = read_deviations(self._inputs, stdevs, relative=False)
        floats = self.call.samples * max(1, row_floats(self._inputs.leaves))
        fits = max(1, min(_ROWS // self.call.samples, _BYTES // (8 * floats)))
        self.mixed = call.mixes_rows()
        if self.mixed:  # a draw of all rows is one sample, and is explained by itself
            most = 1
        self._most = min(
            self.count, (self.count if captum else fits) if most is None else _whole("nt_samples_batch_size=", most)
        )
        if captum and rng is not None:
            raise InputError('expected no rng= with quirks="captum": its draws come from the global generators')
        self.seed = () if captum else entropy(_generator(rng))

    def chunks(self) -> Iterator[Chunk]:
        """Yield the draws, some at a time."""
        noise = Noise(self._inputs, self._deviations, self.seed)
        for first in range(0, self.count, self._most):
            draws = np.arange(first, min(first + self._most, self.count))
            rows = np.repeat(np.arange(self.call.samples), len(draws))
            if self.captum:
                leaves = [self._as_captum(i, leaf, len(draws)) for i, leaf in enumerate(self._inputs.leaves)]
            elif not any(each.any() for each in self._deviations):
                leaves = [taken(leaf, rows) for leaf in self._inputs.leaves]
            else:
                # Noise comes draw by draw.
                order = np.arange(len(rows)).reshape(len(draws), -1).T.reshape(-1)
                leaves = [taken(leaf, order) for leaf in noise.leaves(draws, 1)]
            yield Chunk(draws, rows, tree.unflatten(self._inputs.spec, leaves))

    def baseline_rows(self, chunk: Chunk, sizes: list[int]) -> list[Ints]:
        """Draw a row of the baselines' distribution for every row, the same one of tensors with as many rows."""
        if self.captum:
            return [np.random.choice(size, len(chunk.rows)) for size in sizes]  # noqa: NPY002 - whose draws they are
        samples = self.call.samples
        picks = [stream(self.seed, int(draw)).random(samples) for draw in chunk.draws]
        share = np.stack(picks, axis=1).reshape(-1)
        return [np.minimum((share * size).astype(np.int64), size - 1) for size in sizes]

    def _as_captum(self, place: int, leaf: torch.Tensor, draws: int) -> torch.Tensor:
        deviation = float(self._deviations[self._inputs.floating.index(place)].reshape(-1)[0])
        spread = torch.full((leaf.shape[0] * draws, *leaf.shape[1:]), deviation, device=leaf.device)
        return leaf.repeat_interleave(draws, dim=0) + torch.normal(0, spread).to(leaf.dtype)


class Tally:
    """Mean, mean square or variance of attributions over the draws, in float64."""

    def __init__(self, kind: str, samples: int) -> None:
        self._kind, self._samples = kind, samples
        self._moments: list[Moments] = []
        self._like: list[torch.Tensor] = []
        self._spec = tree.LEAF
        self._deltas: list[torch.Tensor] = []

    def add(self, found: Any, delta: torch.Tensor | None, draws: int) -> None:
        """Take the attributions (N * D, ...) of some draws, and their deltas."""
        leaves, self._spec = tree.flatten(found)
        rows = [leaf.detach().cpu().to(torch.float64).numpy().reshape(self._samples, draws, -1) for leaf in leaves]
        if not self._moments:
            self._like = [leaf[:0].detach() for leaf in leaves]
            self._moments = [Moments(self._samples, each.shape[2]) for each in rows]
        every = np.arange(self._samples)
        for moments, each in zip(self._moments, rows, strict=True):
            for draw in range(draws):
                values = each[:, draw]
                moments.add(every, values**2 if self._kind == "smoothgrad_sq" else values)
        if delta is not None:
            self._deltas.append(delta.detach().reshape(self._samples, draws))

    @property
    def attributions(self) -> Any:
        """The result, in the structure, dtype and place of a draw's."""
        out = []
        for moments, like in zip(self._moments, self._like, strict=True):
            numbers: Floats = moments.variance if self._kind == "vargrad" else moments.mean
            shaped = torch.from_numpy(numbers).reshape(self._samples, *like.shape[1:])
            out.append(shaped.to(like.dtype).to(like.device))
        return tree.unflatten(self._spec, out)

    @property
    def deltas(self) -> torch.Tensor:
        """The deltas of all draws, sample by sample, (N * draws,)."""
        return torch.cat(self._deltas, dim=1).reshape(-1)


def taken(tensor: torch.Tensor, rows: Ints) -> torch.Tensor:
    """Return rows of a tensor."""
    return tensor.index_select(0, torch.from_numpy(np.ascontiguousarray(rows)).to(tensor.device))


def _generator(rng: Any) -> np.random.Generator:
    return generator(int(torch.randint(2**63 - 1, ())) if rng is None else rng)


def _whole(name: str, given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or given < 1:
        kind = InputError if isinstance(given, (int, np.integer)) else InputTypeError
        raise kind(f"expected {name} as a whole number of at least 1; got {given!r}")
    return int(given)
