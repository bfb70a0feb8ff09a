"""Lay metadata over a SavedModel: which tensor each of its names means, what is fed, explained, and held fixed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyig.artifacts.metadata_schema import Input, Metadata, Output
from pyig.artifacts.signatures import Tensor
from pyig.artifacts.tensor_names import find
from pyig.errors import InputError, ModelError

if TYPE_CHECKING:
    from pyig.artifacts.saved_model import SavedModel
    from pyig.artifacts.saved_model_cut import Cut


_KEYS = (
    "input_tensor_name", "indices_tensor_name", "dense_shape_tensor_name",
    "weight_values_name", "weight_indices_name", "weight_dense_shape_name",
)  # fmt: skip


@dataclass(frozen=True)
class Sparse:
    """The inputs of the model that make up one sparse tensor beside its values."""

    indices: str
    dense_shape: str


@dataclass(frozen=True)
class Bound:
    """One input of the metadata, found in the model.

    Attributes
    ----------
    item : Input
        What the metadata says.
    feed : str, optional
        The model's input that takes its values; None where the metadata names a tensor inside the model.
    source : Tensor, optional
        That input.
    place : Tensor
        The tensor that is explained.
    sparse : Sparse, optional
        What is fed beside sparse values.
    weights : tuple of str, optional
        The model's inputs for the weights: values, indices, dense shape.
    parsed : dict of str
        Where the model itself makes the values of something else, such as a serialised example: the tensors that hold
        them, by the metadata's keys.
    """

    item: Input
    feed: str | None
    source: Tensor | None
    place: Tensor
    sparse: Sparse | None = None
    weights: tuple[str, str, str] | None = None
    parsed: Mapping[str, str] = field(default_factory=dict)

    @property
    def direct(self) -> bool:
        """Whether what is fed is what is explained."""
        return self.feed is not None and not self.item.encoded_tensor_name

    @property
    def taken(self) -> tuple[str, ...]:
        """The model's inputs that its values go to."""
        sparse = () if self.sparse is None else (self.sparse.indices, self.sparse.dense_shape)
        return tuple(name for name in (self.feed, *sparse, *(self.weights or ())) if name is not None)


@dataclass(frozen=True)
class Binding:
    """A SavedModel and what its metadata calls it.

    Attributes
    ----------
    features : tuple of Bound
        The metadata's inputs, in its order.
    cut : Cut
        Of the explained signature, for its values.
    fixed : tuple of str
        The model's inputs that are needed as they are behind the explained tensors.
    output : Output
        What the metadata says of the output.
    signature : str, optional
        Key of the explained signature.
    """

    model: SavedModel
    features: tuple[Bound, ...]
    cut: Cut
    fixed: tuple[str, ...]
    output: Output
    signature: str | None

    @property
    def others(self) -> tuple[str, ...]:
        """The model's inputs that no metadata speaks of, in order; they do not move on a path."""
        taken = {name for bound in self.features for name in bound.taken}
        return tuple(name for name in self.cut.inputs if name not in taken)


def bind(model: SavedModel, metadata: Metadata, signature: str | None, output: str | None) -> Binding:
    """Find every tensor that the metadata names.

    Raises
    ------
    InputError
        For a tensor that is not there, or an input without a gradient; the message names the key.
    """
    if not metadata.inputs:
        raise InputError("inputs: expected at least one input; got none. Name what is to be explained")
    chosen = _output(metadata, output)
    named = _Names(model, metadata, signature)
    end = chosen.output_tensor_name or (chosen.name if chosen.name in named.outputs else None)
    with _at(f"outputs.{chosen.name}.output_tensor_name"):
        cut = named.whole(end)
    features = tuple(named.bound(item, cut, end) for item in metadata.inputs)
    places = [bound.place.tensor_name for bound in features]
    twice = next((bound for i, bound in enumerate(features) if bound.place.tensor_name in places[:i]), None)
    if twice is not None:
        raise InputError(
            f"inputs.{twice.item.name}: expected a tensor of its own; {twice.place.tensor_name!r} is another input's"
        )
    graph = model.graph(signature)
    stops = [*places, *(tensor.tensor_name for tensor in cut.inputs.values())]
    reached = graph.reached([cut.output.tensor_name], stops) - set(places)
    fixed = tuple(name for name, tensor in cut.inputs.items() if tensor.tensor_name in reached)
    return Binding(model, features, cut, fixed, chosen, signature)


def _output(metadata: Metadata, name: str | None) -> Output:
    known = {item.name: item for item in metadata.outputs}
    if name is not None:
        return known.get(name) or Output(name=name, output_tensor_name=name)
    if len(known) > 1:
        raise InputError(f"outputs: expected one; got {', '.join(known)}. Choose with output=, or keep one")
    return next(iter(known.values()), Output(name="output"))


class _Names:
    """What the metadata's tensor names mean in one signature."""

    def __init__(self, model: SavedModel, metadata: Metadata, signature: str | None) -> None:
        self._model, self._signature = model, signature
        self.outputs: Mapping[str, Tensor] = {}
        self._inputs: dict[str, str] | None = None
        self._aliases: dict[str, str] = {}
        if signature is None:  # a graph without signatures: what the metadata feeds are its inputs
            names = [name for item in metadata.inputs for name in _fed(item)]
            self._inputs = {name: name for name in names}
        else:
            inside, written = model.signature(signature), model.description.signatures[signature]
            self.outputs = inside.outputs
            for key, tensor in inside.inputs.items():
                for name in (tensor.tensor_name, written.inputs[key].tensor_name):
                    self._aliases |= {name: key, name.removesuffix(":0"): key}
            self._aliases |= {key: key for key in inside.inputs}

    def whole(self, end: str | None) -> Cut:
        """Return the model without a cut, for its values."""
        return self._model.cut({}, end, self._signature, self._inputs, gradient=False)

    def bound(self, item: Input, cut: Cut, end: str | None) -> Bound:
        """Find the tensors of one input."""
        where = f"inputs.{item.name}"
        if not item.input_tensor_name:
            raise InputError(f"{where}.input_tensor_name: expected the tensor that it is fed to; got none")
        feed = self._key(item.input_tensor_name, cut)
        if feed is None:
            return self._made(item, where, cut, end)
        sparse = weights = None
        if item.indices_tensor_name and item.dense_shape_tensor_name:
            sparse = Sparse(*(self._fed(item, key, cut) for key in _KEYS[1:3]))
        if item.weight_values_name:
            values, indices, shape = (self._fed(item, key, cut) for key in _KEYS[3:])
            weights = (values, indices, shape)
        source = cut.inputs[feed]
        if item.encoded_tensor_name:
            with _at(f"{where}.encoded_tensor_name"):
                place = self._inside(item.encoded_tensor_name, feed, cut, end)
            return Bound(item, feed, source, place, sparse, weights)
        if not source.floating:
            raise InputError(
                f"{where}.encoded_tensor_name: expected the float tensor that {source} becomes, as a path through "
                f"{source.dtype} has no gradients; got none. Name one of {self._near(cut)}, or remove the input from "
                "the metadata to hold it fixed"
            )
        if source.tensor_name not in self._model.graph(self._signature).between([source.tensor_name], _end(cut)):
            raise InputError(f"{where}.input_tensor_name: expected an input that {cut.output.name!r} depends on")
        return Bound(item, feed, source, source, sparse, weights)

    def _made(self, item: Input, where: str, cut: Cut, end: str | None) -> Bound:
        """Find the tensors of an input that the model itself makes."""
        if item.encoded_tensor_name:
            parsed = {key: self._full(item, key) for key in _KEYS if getattr(item, key)}
            with _at(f"{where}.encoded_tensor_name"):
                return Bound(item, None, None, self._inside(item.encoded_tensor_name, None, cut, end), parsed=parsed)
        if item.indices_tensor_name:
            raise InputError(
                f"{where}.encoded_tensor_name: expected the tensor, with a row per row, that the sparse values become; "
                f"got none. Name one of {self._near(cut)}"
            )
        with _at(f"{where}.input_tensor_name"):
            return Bound(item, None, None, self._inside(str(item.input_tensor_name), None, cut, end))

    def _fed(self, item: Input, key: str, cut: Cut) -> str:
        name = getattr(item, key)
        found = self._key(name, cut)
        if found is None:
            known = ", ".join(f"{k} ({tensor.tensor_name})" for k, tensor in cut.inputs.items())
            raise InputError(f"inputs.{item.name}.{key}: expected an input of the model, one of {known}; got {name!r}")
        return found

    def _full(self, item: Input, key: str) -> str:
        """Return the full name of a tensor inside the model."""
        known = list(self._model.graph(self._signature).by_name)
        with _at(f"inputs.{item.name}.{key}"):
            return find(getattr(item, key), known, {}, lambda scope: [], f"the values of {item.name!r}")

    def _key(self, name: str, cut: Cut) -> str | None:
        found = self._aliases.get(name, name)
        return found if found in cut.inputs else None

    def _inside(self, name: str, feed: str | None, cut: Cut, end: str | None) -> Tensor:
        """Find a tensor inside the model, behind one of its inputs."""
        error: Exception | None = None
        for source in [feed] if feed is not None else list(cut.inputs):
            try:
                return self._cut({source: name}, end).encoded[source]
            except ModelError as found:  # it may depend on another input
                error = found
        raise error or InputError(f"expected a model with inputs; {name!r} has none before it")

    def _cut(self, encoded: Mapping[str, str], end: str | None) -> Cut:
        return self._model.cut(encoded, end, self._signature, self._inputs)

    def _near(self, cut: Cut) -> str:
        names = self._model.graph(self._signature).between([t.tensor_name for t in cut.inputs.values()], _end(cut))
        return ", ".join(names[:6]) or "its float tensors"


def _fed(item: Input) -> Iterator[str]:
    yield from (getattr(item, key) for key in _KEYS if getattr(item, key))


def _end(cut: Cut) -> str:
    return cut.output.tensor_name


class _at:  # noqa: N801 - read as a preposition: with _at(key): ...
    """Say which key of the metadata an error comes from."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Put the key before the message."""
        if isinstance(error, (InputError, ModelError)):
            raise InputError(f"{self._where}: {error}") from error
