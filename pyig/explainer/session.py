"""One call: the door, the blocks, and everything that was found, still in the framework's tensors."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from pyig import tree
from pyig.baselines import at_layer
from pyig.contracts import Backend, Tensor
from pyig.errors import InputError
from pyig.explainer.options import Options
from pyig.explainer.structures import Structures
from pyig.explainer.tokens import Routed, route
from pyig.integrate.batching import Sizer
from pyig.integrate.expected import Expected
from pyig.integrate.fixed import Fixed
from pyig.integrate.inputs import Inputs, read_baselines, read_inputs
from pyig.integrate.monitor import Monitor
from pyig.integrate.probe import Probe
from pyig.integrate.runner import AnyScheme, Block, Runner
from pyig.integrate.stages import InputStages, LayerStages
from pyig.rows import row_floats
from pyig.structure import split
from pyig.targets import Target, fetched, parse


@dataclass(frozen=True)
class Outcome:
    """What a call found.

    Attributes
    ----------
    spec : Spec
        Structure of the attributions: the input's, or the layer's.
    template : list of tensor
        One tensor per leaf of `spec`, for its dtype, device and shape behind the first axis.
    moving : tuple of int
        Leaves of `spec` that were on the path; the others have zero attribution.
    blocks : list of Block
        Results in the order of the samples; fewer than asked for when the run was stopped.
    layer : object or None
        Where the path ran; None at the input.
    routed : Routed or None
        The embeddings that were found for an input of ids.
    """

    backend: Backend
    inputs: Inputs
    baselines: list[list[Tensor]]
    spec: tree.Spec
    template: list[Tensor]
    moving: tuple[int, ...]
    blocks: list[Block]
    target: Target
    custom_target: bool
    scheme: AnyScheme
    monitor: Monitor
    probe: Probe
    seconds: float
    notes: list[str]
    layer: Any = None
    routed: Routed | None = None


class Session:
    """Everything of one call that the explainer should not have to see.

    Parameters
    ----------
    memory : dict
        What earlier calls of the explainer found out: batch sizes that pay, and closed forms; updated.
    """

    def __init__(
        self, backend: Backend, model: Any, output: str | int | None, memory: MutableMapping[Any, Any]
    ) -> None:
        self._backend = backend
        self._model = model
        self._output = output
        self._memory = memory

    def run(self, x: Any, baselines: Any, target: Any, options: Options, record: bool) -> Outcome:
        """Check, integrate, and return what was found; the record of the paths where it is wanted."""
        backend = self._backend
        scheme = options.scheme()
        inputs = read_inputs(backend, x, options.forward_kwargs)
        custom = target if callable(target) else None
        parsed = parse(None if custom is not None else fetched(backend, target), inputs.samples)
        if custom is not None and options.value not in (None, "output"):
            raise InputError(f"expected value={options.value!r} only with an index target; got a function as target=")
        contrast = None
        if options.contrast is not None:
            if custom is not None:
                raise InputError("expected contrast= only with an index target; got a function as target=")
            contrast = parse(fetched(backend, options.contrast), inputs.samples, name="contrast")
            if contrast.top > 1:
                raise InputError(f"expected contrast= as one class per sample; got {options.contrast!r}")
        layer, routed = None if options.layer is False else options.layer, None
        if options.layer is None and not options.attribute_to_layer_inputs:
            routed = route(backend, self._model, inputs, self._memory)
        positions: Sequence[int] = inputs.floating if layer is None else range(len(inputs.leaves))
        if routed is not None:
            positions, layer = (*inputs.floating, *routed.places), routed.layers
        # To seed a generator takes as long as to explain a small model; zero baselines need none.
        idle = baselines is None and options.rng is None and not isinstance(scheme, Expected)
        rng = _idle() if idle else options.generator()
        begin = baselines if isinstance(baselines, at_layer) else None
        if begin is not None and layer is None:
            raise InputError("expected baselines=pyig.at_layer(...) only with layer=, or with inputs of token ids")
        if begin is not None:
            baselines, positions = begin.beside, inputs.floating if routed is not None else ()
        elif baselines is None and routed is not None:
            baselines = routed.starts(inputs)
        starts = read_baselines(inputs, baselines, rng, positions)
        if isinstance(scheme, Expected):
            scheme = scheme.over(len(starts), rng)
        with backend.session():
            stages = self._stages(inputs, starts, layer, routed, options.attribute_to_layer_inputs, begin)
            moving = [stages.template[i] for i in stages.moving]
            floats, host = max(1, row_floats(moving)), all(backend.on_host(leaf) for leaf in moving)
            sizer = self._sizer(options, floats, host)
            if isinstance(stages, LayerStages):
                stages.sizer = sizer
            paths = inputs.samples * parsed.top * len(starts)
            fixed = isinstance(scheme, Fixed | Expected)
            gradients = inputs.samples * parsed.top * scheme.n if isinstance(scheme, Expected) else paths * scheme.steps
            monitor = Monitor(
                gradients if fixed else paths, "grad" if fixed else "path", options.progress, options.cancel
            )
            probe = Probe(backend, sizer, monitor, options.value, options.output_kind, custom, options.nan_policy)
            names = [tree.names(stages.spec)[i] for i in stages.moving]
            structures = Structures(
                backend, self._model, self._memory, stages, options, probe,
                lambda floats: self._sizer(options, floats, host), inputs.samples,
            )  # fmt: skip
            runner = Runner(
                backend,
                stages,
                probe,
                parsed,
                contrast,
                scheme,
                lambda: structures.way(scheme, inputs.samples * parsed.top, len(starts)),
                options.nan_policy,
                options.allow_unused or (routed is not None and routed.rounded),
                inputs.samples,
                names,
                record,
                structures.early() if parsed.top == 1 else None,
                options.multiply_by_inputs,
            )
            try:
                blocks = list(runner.run(floats, len(starts)))
            finally:
                monitor.close()
        taken = runner.chosen.scheme if blocks else scheme
        return Outcome(
            backend=backend,
            inputs=inputs,
            baselines=starts,
            spec=stages.spec,
            template=stages.template,
            moving=stages.moving,
            blocks=blocks,
            target=parsed,
            custom_target=custom is not None,
            scheme=taken,
            monitor=monitor,
            probe=probe,
            seconds=monitor.seconds,
            notes=[note for note in (stages.note, getattr(taken, "note", None), *structures.notes) if note],
            layer=layer,
            routed=routed,
        )

    def _stages(
        self,
        inputs: Inputs,
        starts: list[list[Tensor]],
        layer: Any,
        routed: Routed | None,
        to_inputs: bool,
        begin: at_layer | None,
    ) -> InputStages | LayerStages:
        if layer is None:
            return InputStages(self._backend, inputs, starts, self._output)
        cut = split(self._backend, self._model, layer, to_inputs) if routed is None else routed.cut(inputs)
        own = 0 if routed is None else len(routed.floats)
        return LayerStages(self._backend, inputs, starts, cut, self._output, begin, own)

    def _sizer(self, options: Options, floats: int, host: bool) -> Sizer:
        """Return the batch sizes for rows of so many numbers, with what earlier calls have learnt of them."""
        fresh = Sizer(options.batch_size, 4 * floats, host, getattr(self._backend, "host_bytes", None))
        if options.batch_size != "auto":
            return fresh
        if options.repeatable:
            fresh.only(fresh.rows)
        learnt: Sizer = self._memory.setdefault(("rows", floats, host), fresh)
        return learnt


@cache
def _idle() -> np.random.Generator:
    """Return a generator that nobody draws from."""
    return np.random.default_rng(0)
