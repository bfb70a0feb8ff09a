"""Captum's NoiseTunnel, around methods of this face or of Captum itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pyig.compat.captum.arguments import read_call
from pyig.compat.captum.attribution import Attribution
from pyig.compat.captum.draws import Chunk, Draws, Tally, taken
from pyig.compat.captum.errors import entry, translated
from pyig.compat.captum.quirks import check_quirks
from pyig.compat.rows import check_rows
from pyig.errors import InputError, InputTypeError, unknown

KINDS = ("smoothgrad", "smoothgrad_sq", "vargrad")


class NoiseTunnel(Attribution):
    """Attributions over noisy inputs: their mean, mean square or variance.

    Parameters
    ----------
    attribution_method : object
        A method of this face, or of Captum: anything with ``attribute(inputs, **kwargs)``.
    quirks : {None, "captum"}
        ``"captum"`` draws the numbers that Captum draws, from torch's and numpy's global generators.

    Examples
    --------
    >>> from pyig.compat.captum import Saliency
    >>> tunnel = NoiseTunnel(Saliency(lambda x: (x**2).sum(1)))
    >>> x = torch.tensor([[1.0, 3.0]])
    >>> tunnel.attribute(x, nt_samples=1000, stdevs=0.1, rng=0).round(decimals=1)
    tensor([[2., 6.]])
    """

    def __init__(self, attribution_method: Any, *, quirks: str | None = None) -> None:
        with translated():
            if not callable(getattr(attribution_method, "attribute", None)):
                raise InputTypeError(
                    f"expected attribution_method with attribute(); got {type(attribution_method).__qualname__}"
                )
            super().__init__(getattr(attribution_method, "forward_func", attribution_method.attribute))
            self.attribution_method = attribution_method
            self.is_delta_supported = bool(attribution_method.has_convergence_delta())
            self._multiply_by_inputs = bool(attribution_method.multiplies_by_inputs)
            # Captum's own gradient methods warn where they have to ask for a gradient themselves.
            self.is_gradient_method = any(c.__name__ == "GradientAttribution" for c in type(attribution_method).__mro__)
            self._quirks = check_quirks(quirks)

    @entry
    def attribute(
        self,
        inputs: Any,
        nt_type: str = "smoothgrad",
        nt_samples: int = 5,
        nt_samples_batch_size: int | None = None,
        stdevs: float | tuple[float, ...] = 1.0,
        draw_baseline_from_distrib: bool = False,
        *,
        rng: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Attribute with noise on the inputs.

        Parameters
        ----------
        inputs : tensor or tuple of tensor
            As for the method inside.
        nt_type : {"smoothgrad", "smoothgrad_sq", "vargrad"}
            The mean of the attributions, of their squares, or their variance (with the divisor `nt_samples`; never
            negative, as it is taken around the mean).
        nt_samples : int
            Draws of each sample.
        nt_samples_batch_size : int, optional
            Draws explained at a time; it changes nothing but memory. None: as many as are a few thousand rows.
        stdevs : float or tuple of float
            Of the Gaussian noise; whole numbers will do.
        draw_baseline_from_distrib : bool
            Whether ``baselines=`` is a distribution, of which each row gets one.
        rng : int or numpy.random.Generator, optional
            Seeds the noise. None draws one number from torch's global generator.
        **kwargs
            For the method inside. Targets, baselines and additional arguments with one row per sample are repeated.

        Returns
        -------
        tensor or tuple of tensor
            What the method inside returns. With ``return_convergence_delta``: a pair, the second
            (N * nt_samples,), sample by sample.
        """
        if nt_type not in KINDS:
            raise unknown("nt_type", nt_type, KINDS)
        target = kwargs.get("target")
        # Of a method without a model nobody knows how its rows hang together.
        known = hasattr(self.attribution_method, "forward_func")
        additional = kwargs.get("additional_forward_args") if known else None
        output = getattr(self.attribution_method, "output", None)
        call = read_call(self.forward_func, inputs, None, target, additional, output)
        if not draw_baseline_from_distrib:
            check_rows(
                kwargs.get("baselines"), call.x, "draw_baseline_from_distrib=True, or baselines=pyig.several(...)"
            )
        draws = Draws(call, nt_samples, nt_samples_batch_size, stdevs, rng, self._quirks is not None)
        with_delta = bool(kwargs.get("return_convergence_delta")) and self.is_delta_supported
        if kwargs.get("return_convergence_delta") and not self.is_delta_supported:
            kwargs = {name: value for name, value in kwargs.items() if name != "return_convergence_delta"}
        tally = Tally(nt_type, call.samples)
        for chunk in draws.chunks():
            options = {name: repeated(name, value, chunk, call.samples) for name, value in kwargs.items()}
            if draw_baseline_from_distrib and "baselines" in kwargs:
                options["baselines"] = _drawn(kwargs["baselines"], draws, chunk)
            found = self.attribution_method.attribute(self._asking(chunk.inputs), **options)
            attributions, delta = found if with_delta else (found, None)
            tally.add(attributions, delta, len(chunk.draws))
        return (tally.attributions, tally.deltas) if with_delta else tally.attributions

    def has_convergence_delta(self) -> bool:
        """Tell whether the method inside has one."""
        return self.is_delta_supported

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether the method inside does."""
        return self._multiply_by_inputs

    def _asking(self, inputs: Any) -> Any:
        if not self.is_gradient_method:
            return inputs
        if isinstance(inputs, (tuple, list)):
            return type(inputs)(self._asking(leaf) for leaf in inputs)
        return inputs.requires_grad_() if inputs.is_floating_point() else inputs


def repeated(name: str, value: Any, chunk: Chunk, samples: int) -> Any:
    """Return an argument for the rows of a chunk: what has one entry per sample is repeated."""
    if name == "additional_forward_args":
        several = isinstance(value, tuple)
        out = tuple(_rows(part, chunk, samples) for part in (value if several else (value,)))
        return out if several else out[0]
    if name in ("baselines", "feature_mask"):
        return (
            tuple(_rows(part, chunk, samples) for part in value)
            if isinstance(value, tuple)
            else _rows(value, chunk, samples)
        )
    if name != "target":
        return value
    if isinstance(value, list) and len(value) == samples:
        return [value[row] for row in chunk.rows]
    if isinstance(value, np.ndarray) and value.ndim:
        return value[chunk.rows] if len(value) == samples else value
    return _rows(value, chunk, samples)


def _rows(value: Any, chunk: Chunk, samples: int) -> Any:
    rowwise = isinstance(value, torch.Tensor) and value.ndim > 0 and len(value) == samples
    return taken(value, chunk.rows) if rowwise else value


def _drawn(baselines: Any, draws: Draws, chunk: Chunk) -> Any:
    """Return a row of the distribution for every row; numbers stay what they are."""
    several = baselines if isinstance(baselines, tuple) else (baselines,)
    tensors = [part for part in several if isinstance(part, torch.Tensor)]
    if any(not part.ndim for part in tensors):
        raise InputError("expected baselines= with one row for each member of the distribution; got a single number")
    rows = iter(draws.baseline_rows(chunk, [len(part) for part in tensors]))
    out = tuple(taken(part, next(rows)) if isinstance(part, torch.Tensor) else part for part in several)
    return out if isinstance(baselines, tuple) else out[0]
