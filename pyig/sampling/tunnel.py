"""NoiseTunnel: the mean, mean square or variance of attributions over noisy inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyig import tree
from pyig.contracts import Ints
from pyig.errors import InputError, unknown
from pyig.explanation import Explanation
from pyig.integrate.inputs import Inputs, read_inputs
from pyig.integrate.monitor import Monitor
from pyig.rows import row_floats
from pyig.sampling.noise import Noise, read_deviations
from pyig.sampling.request import Explainer, Request, plain
from pyig.sampling.tally import KINDS, Tally
from pyig.streams import entropy, generator, stream
from pyig.targets import fetched, parse

_ROWS, _BYTES = 4096, 1 << 25  # of one call: enough to fill its batches, however many draws there are


class NoiseTunnel:
    """Integrated Gradients averaged over inputs with added noise.

    ``smoothgrad`` is the mean of the attributions (Smilkov et al. 2017, arXiv:1706.03825), ``smoothgrad_sq`` the mean
    of their squares (Hooker et al. 2019, arXiv:1806.10758), ``vargrad`` their variance (Adebayo et al. 2018,
    arXiv:1810.03307). Captum's names: `kind` is its ``nt_type``, `draws` its ``nt_samples``.

    Parameters
    ----------
    explainer : IntegratedGradients
        What explains each draw.

    Examples
    --------
    >>> import numpy as np, pyig
    >>> ig = pyig.IntegratedGradients(lambda x: (x**2).sum(axis=1), gradient=lambda x: 2 * x)
    >>> found = NoiseTunnel(ig).explain(np.array([[1.0, 2.0]]), stdevs=0.1, draws=100, rng=0, n_steps=3)
    >>> found.attributions.round(2)
    array([[1.  , 4.06]])
    >>> found.standard_error.round(2)
    array([[0.02, 0.04]])
    """

    def __init__(self, explainer: Explainer) -> None:
        self.explainer = explainer

    def explain(
        self,
        x: Any,
        baselines: Any = None,
        target: Any = None,
        *,
        stdevs: Any,
        kind: str = "smoothgrad",
        draws: int = 16,
        relative: bool = False,
        rng: Any = None,
        feature_names: Any = None,
        output_names: Any = None,
        contrast: Any = None,
        forward_kwargs: dict[str, Any] | None = None,
        progress: Any = True,
        cancel: Any = None,
        **options: Any,
    ) -> Explanation:
        """Explain each sample over `draws` noisy copies of it.

        Parameters
        ----------
        x, baselines, target, feature_names, output_names, contrast, forward_kwargs
            As for `IntegratedGradients.explain`. Baselines and the predicted class are those of the input without
            noise. Integer and boolean arrays get no noise.
        stdevs : float, array, or sequence or dict of them
            Standard deviation of the Gaussian noise, in units of the input: one number, one for each input, or an
            array with one for each feature of an input.
        kind : {"smoothgrad", "smoothgrad_sq", "vargrad"}
            What is computed from the draws.
        draws : int, default 16
            Noisy copies of each sample, at least 2.
        relative : bool, default False
            `stdevs` are shares of the range of the values in each sample: SmoothGrad's authors took 0.1 to 0.2.
        rng : int or numpy.random.Generator, optional
            Seeds the noise and everything else that draws. Every draw of every sample has a stream of its own, so
            neither the batch size nor the number of draws changes the others.
        progress, cancel
            As for `IntegratedGradients.explain`; counted are explained copies. A cancelled or interrupted run returns
            what the draws so far give.
        **options
            Every other option of `IntegratedGradients.explain`: ``method``, ``n_steps``, ``rtol``, ``layer`` ...

        Returns
        -------
        Explanation
            With ``standard_error`` for each feature. ``error`` estimates the L1 distance from infinitely many draws
            of exact integrals. F(x) is the mean over the draws; squares and variances do not add up to a difference of
            F, so there ``deltas`` are NaN. There is no record of the paths.

        Raises
        ------
        InputError, InputTypeError, ModelError, NonFiniteError
            Each says what was expected, what came, and what to do.
        """
        if kind not in KINDS:
            raise unknown("kind", kind, KINDS)
        if isinstance(draws, bool) or not isinstance(draws, (int, np.integer)) or draws < 2:
            raise InputError(f"expected draws= as a whole number of at least 2; got {draws!r}")
        source = generator(rng)
        backend = self.explainer.backend_for(x)
        inputs = read_inputs(backend, x, forward_kwargs)
        deviations = read_deviations(inputs, stdevs, relative)
        starts = self.explainer.starts(inputs, baselines, source, options.get("layer"))
        clean = self.explainer.explain(
            x, baselines, target, contrast=contrast, forward_kwargs=forward_kwargs, feature_names=feature_names,
            output_names=output_names, progress=False, cancel=cancel, rng=0,
            **(options | {"method": "expected", "n_steps": 1}),
        )  # fmt: skip
        request = Request(inputs, starts, _settled(target, inputs, clean), _tiled(contrast, inputs), options)
        noise = Noise(inputs, deviations, entropy(source))
        tally = Tally(kind, clean)
        monitor = Monitor(int(draws) * clean.values.size, "draw", progress, cancel)
        try:
            self._run(request, noise, tally, monitor, int(draws), cancel)
        finally:
            monitor.close()
        asked = {"kind": kind, "draws": int(draws), "stdevs": _shown(stdevs), "relative": bool(relative)}
        return tally.explanation(asked, options.get("rtol", 0.01), monitor.seconds)

    def attribute(self, x: Any, baselines: Any = None, target: Any = None, **options: Any) -> Any:
        """Return the attributions alone: tensors on the device of x for tensors, numpy for numpy.

        Parameters
        ----------
        x, baselines, target, **options
            As for `explain`.
        """
        leaves, spec = tree.flatten(self.explain(x, baselines, target, **options).attributions)
        like, backend = tree.flatten(x)[0][0], self.explainer.backend_for(x)
        native = backend.is_tensor(like) and not isinstance(like, np.ndarray)
        own = [np.array(leaf) for leaf in leaves]  # an Explanation's arrays are read-only
        return tree.unflatten(spec, [backend.from_numpy(leaf, like) for leaf in own] if native else own)

    def _run(self, request: Request, noise: Noise, tally: Tally, monitor: Monitor, draws: int, cancel: Any) -> None:
        size = _chunk(request.inputs, tally.clean)
        for first in range(0, draws, size):
            if monitor.should_stop() or not tally.clean.meta["complete"]:
                tally.stopped = True
                return
            chunk = np.arange(first, min(first + size, draws))
            done = monitor.done

            def report(part: int, whole: int, chunk: Ints = chunk, done: int = done) -> None:
                rows = len(chunk) * tally.clean.values.size
                monitor.called(1, 1, done + rows * part // whole - monitor.done)

            try:
                found = request.send(
                    self.explainer, noise, chunk, rng=stream(noise.seed, first), progress=report, cancel=cancel
                )
            except KeyboardInterrupt:
                if not first:  # nothing to give back yet
                    raise
                tally.stopped = True
                return
            tally.add(found, len(chunk))
            del found  # before the next one is there
            if tally.stopped:
                return


def _settled(target: Any, inputs: Inputs, clean: Explanation) -> Any:
    """Return the target with the predicted classes of the input without noise in the place of their names."""
    if callable(target):
        return target
    parsed = parse(fetched(inputs.backend, target), inputs.samples)
    named = parsed.kind in ("default", "predicted", "top")
    return clean.targets if named else plain(target, parsed)


def _tiled(contrast: Any, inputs: Inputs) -> Any:
    if contrast is None:
        return None
    return plain(contrast, parse(fetched(inputs.backend, contrast), inputs.samples, name="contrast"))


def _chunk(inputs: Inputs, clean: Explanation) -> int:
    """Return how many draws one call takes: a number that follows from the input alone."""
    floats = row_floats(inputs.leaves)
    floats += sum(leaf[0].size for leaf in tree.flatten(clean.attributions)[0])
    return max(1, int(min(_ROWS, _BYTES // (8 * max(1, floats)))) // max(1, clean.values.size))


def _shown(stdevs: Any) -> Any:
    """Return numbers for the record as JSON knows them."""
    if isinstance(stdevs, dict):
        return {str(key): _shown(value) for key, value in stdevs.items()}
    if isinstance(stdevs, (list, tuple)):
        return [_shown(value) for value in stdevs]
    return np.asarray(stdevs).tolist()
