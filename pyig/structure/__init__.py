"""What a model's graph lets us save: cuts at a layer, and integrals in closed form.

Behind a cut, what comes before the layer runs once per sample, what comes after once per node.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any

from pyig.contracts import Backend, Forward, Prefix, Split, Tensor
from pyig.errors import InputTypeError
from pyig.registry import Registry
from pyig.structure.refusal import Refusal

Kept = MutableMapping[str, Any]
SPLITS = Registry("structure", {"torch": "pyig.structure.torch:split", "keras": "pyig.structure.keras:split"})
TAPS = Registry("tap", {"torch": "pyig.structure.torch_tap:TorchTap"})
PREFIXES = Registry(
    "affine prefix",
    {"torch": "pyig.structure.torch_hoisting:hoisting", "tensorflow": "pyig.structure.keras_hoisting:hoisting"},
)
CLOSED_FORMS = Registry(
    "closed form",
    {
        "torch": "pyig.structure.torch_closed_form:closed_form",
        "tensorflow": "pyig.structure.keras_closed_form:closed_form",
    },
)
PIECEWISE = Registry(
    "linear regions",
    {"torch": "pyig.structure.torch_regions:piecewise", "tensorflow": "pyig.structure.keras_regions:piecewise"},
)


def closed_form(
    backend: Backend,
    model: Any,
    forward: Forward,
    points: Sequence[Tensor],
    starts: Sequence[Tensor],
    fixed: Sequence[Tensor],
    known: Any = None,
    kept: Kept | None = None,
) -> Any:
    """Find the closed form of the integral, checked against the model itself; a `Refusal` says why there is none.

    Parameters
    ----------
    points, starts, fixed : sequence of tensor (N, ...)
        Ends of a few paths, and what does not move.
    known : object, optional
        What an earlier call found: it is compared with the model again before it is used.
    kept : dict, optional
        Of one call, with one model and one path: a recording that one search makes there serves the next.
    """
    return _asked("closed forms", CLOSED_FORMS, backend, model, forward, points, starts, fixed, known, kept)


def piecewise_linear(
    backend: Backend,
    model: Any,
    forward: Forward,
    points: Sequence[Tensor],
    starts: Sequence[Tensor],
    fixed: Sequence[Tensor],
    known: Any = None,
    kept: Kept | None = None,
) -> Any:
    """Find the linear regions of a small model with kinks, checked against the model itself, or return a `Refusal`.

    Parameters are those of `closed_form`.
    """
    return _asked("linear regions", PIECEWISE, backend, model, forward, points, starts, fixed, known, kept)


def find_prefix(
    backend: Backend,
    model: Any,
    forward: Forward,
    points: Sequence[Tensor],
    starts: Sequence[Tensor],
    fixed: Sequence[Tensor],
    evaluations: float,
    explicit: Any = None,
    known: Any = None,
    kept: Kept | None = None,
) -> Prefix | Refusal:
    """Find the affine prefix of the model, checked against the model itself; a `Refusal` says why there is none.

    Parameters
    ----------
    forward : callable
        The model as the engine calls it; hashable.
    points, starts, fixed : sequence of tensor (N, ...), (1 or N, ...), (N, ...)
        Ends of a few paths, and what does not move; one sample is enough.
    evaluations : float
        Gradient evaluations that the call is expected to spend, over all samples: whether it pays depends on them.
    explicit : layer object, str, or callable, optional
        The layer whose output is the frontier; of a Keras layer the output before its activation. The user says that it
        is affine, and that it pays; the first is checked all the same.
    known : Prefix, optional
        What an earlier call with the same `explicit` found: it is compared with the model again before it is used.
    kept : dict, optional
        As for `closed_form`.

    Returns
    -------
    Prefix or Refusal
        A refusal that is not `lasting` is due to `evaluations` alone, and nothing to remember.

    Raises
    ------
    InputError, InputTypeError
        `explicit` names no layer of the model.
    """
    given = (backend, model, forward, points, starts, fixed, evaluations, explicit, known, kept)
    found: Prefix | Refusal = _asked("affine prefixes", PREFIXES, backend, *given)
    return found


def tap(backend: Backend, model: Any, layer: Any, to_inputs: bool) -> Any:
    """Return a layer inside a run of the whole model, as `split` names it.

    Raises
    ------
    InputTypeError
        The framework of this model has none.
    """
    if backend.name not in TAPS or hasattr(model, "compute_output_shape"):
        raise InputTypeError(f"expected a torch model to look into; got one of backend {backend.name!r}")
    return TAPS[backend.name](backend, model, layer, to_inputs)


def _asked(what: str, table: Registry, backend: Backend, *given: Any) -> Any:
    """Ask the row of a backend, where the table has one."""
    if backend.name not in table:
        return Refusal(f"{what} are not looked for in models of backend {backend.name!r}")
    return table[backend.name](*given)


def split(backend: Backend, model: Any, layer: Any, to_inputs: bool) -> Split:
    """Cut a model at a layer.

    Parameters
    ----------
    layer : layer object, str, or callable
        The layer itself, its name, or ``callable(model) -> layer``.
    to_inputs : bool
        Whether the path runs at the layer's inputs rather than at its outputs.

    Raises
    ------
    InputTypeError
        The framework of this model has no layers to cut at.
    """
    # Keras' models on torch are torch modules as well, but their layers do not go through torch's own call.
    kind = "keras" if hasattr(model, "compute_output_shape") or backend.name == "tensorflow" else backend.name
    if kind not in SPLITS:
        raise InputTypeError(
            f"expected a torch module or a Keras model for layer=; got a model of backend {backend.name!r}"
        )
    found: Split = SPLITS[kind](backend, model, layer, to_inputs)
    return found
