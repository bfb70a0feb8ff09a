"""A SavedModel cut in two: from the inputs to the tensors that gradients are taken to, and from there to the output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pyig.artifacts.saved_model_graph import FlatGraph
from pyig.artifacts.signatures import Tensor
from pyig.errors import InputError, InputTypeError, ModelError, unknown

_PASSING = ("Identity", "Reshape", "Squeeze")


@dataclass(frozen=True, eq=False)
class Cut:
    """Two functions of one model, which together are the model.

    Attributes
    ----------
    inputs : dict of Tensor
        What the model takes, by name.
    encoded : dict of Tensor
        Where gradients are taken, by the name of the input: the tensor that stands for it, or a float input itself.
    fixed : dict of Tensor
        Inputs that the second part needs as they are; they do not move on a path. One that is also encoded is named
        ``"ids (as given)"``.
    output : Tensor
        What is explained.
    defaults : dict
        Values of inputs that may be left out.
    notes : tuple of str
        What the user should know of the gradients.
    """

    inputs: Mapping[str, Tensor]
    encoded: Mapping[str, Tensor]
    fixed: Mapping[str, Tensor]
    output: Tensor
    defaults: Mapping[str, Any]
    notes: tuple[str, ...]
    _graph: FlatGraph
    _keep: Any  # variables live as long as what was loaded

    @property
    def output_kind(self) -> str | None:
        """``"probabilities"`` where the output comes straight from a softmax or sigmoid."""
        operation = self._graph.by_name[self.output.tensor_name].op
        while operation.type in _PASSING:
            operation = operation.inputs[0].op
        return "probabilities" if operation.type in ("Softmax", "Sigmoid") else None

    def encode(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the float tensors that gradients are taken to, by input name, one row per row of the inputs.

        Parameters
        ----------
        inputs : dict
            Arrays or tensors by input name; strings and token ids as they are.
        """
        given = self._given(inputs)
        direct = {name for name, tensor in self.encoded.items() if tensor == self.inputs[name]}
        found = {name: given[name] for name in direct}
        behind = [name for name in self.encoded if name not in direct]
        if behind:
            found |= self._run(given, {name: self.encoded[name].tensor_name for name in behind})
        return {name: found[name] for name in self.encoded}

    def encode_one(self, name: str, value: Any) -> Any:
        """Return the tensor that stands for one input, for a value of that input or of the tensor itself.

        Parameters
        ----------
        name : str
            Of the input.
        value : array or scalar
            As the input takes it; or floats for an input of another dtype: then they are the tensor's own. A scalar
            stands for a whole row.
        """
        place = self.encoded[name]
        array = np.asarray(value)
        if array.dtype.kind == "f" and not self.inputs[name].floating:
            return array if array.ndim else float(array)
        source = self.inputs[name].tensor_name
        others = self._graph.reached([place.tensor_name], [source]) & {
            tensor.tensor_name for tensor in self.inputs.values()
        }
        if others - {source}:
            raise InputError(f"expected the baseline of {name!r} as floats: its encoding depends on other inputs too")
        shape = self.inputs[name].shape or ()
        if array.ndim == 0:
            array = np.full([n or 1 for n in shape[1:]], array)
        array = array[None] if array.ndim == len(shape) - 1 else array
        return self._run({name: as_tensor(array, self.inputs[name])}, {name: place.tensor_name})[name]

    def still(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the inputs that `tail` needs besides the encoded ones, as tensors."""
        given = self._given(inputs)
        source = {tensor.tensor_name: name for name, tensor in self.inputs.items()}
        return {name: given[source[tensor.tensor_name]] for name, tensor in self.fixed.items()}

    def tail(self, encoded: Mapping[str, Any], fixed: Mapping[str, Any] | None = None) -> Any:
        """Return the output for encoded values, differentiable in them.

        Parameters
        ----------
        encoded : dict of tensor
            As `encode` gives them, or other floats of these shapes.
        fixed : dict of tensor, optional
            As `still` gives them.
        """
        values = {**encoded, **(fixed or {})}
        places = {**self.fixed, **self.encoded}
        _complete(values, places, "tail")
        program = self._graph.program([place.tensor_name for place in places.values()], [self.output.tensor_name])
        return program(*[as_tensor(values[name], place) for name, place in places.items()])[0]

    def model(self, scalars: Mapping[str, Any] | None = None) -> Model:
        """Return the second part as a model of one dict, for `pyig.IntegratedGradients`: encoded and fixed together.

        Parameters
        ----------
        scalars : dict of tensor, optional
            Fixed inputs without a batch axis, such as a keep probability.
        """
        return Model(self, dict(scalars or {}))

    def predict(self, inputs: Mapping[str, Any]) -> NDArray[Any]:
        """Return the output for the inputs, shape (N, ...)."""
        found = self._run(self._given(inputs), {"output": self.output.tensor_name})
        return np.asarray(found["output"])

    def fetch(self, inputs: Mapping[str, Any], tensors: Mapping[str, str]) -> dict[str, NDArray[Any]]:
        """Return any tensors of the graph, by full name, as numpy: ids behind a lookup, an embedding table.

        Parameters
        ----------
        inputs : dict
            As for `predict`; what the tensors do not depend on may be left out.
        tensors : dict of str
            Full tensor names, by the name that each gets in the result.
        """
        for name in tensors.values():
            if name not in self._graph.by_name:
                raise unknown("tensor", name, self._graph.by_name)
        return {name: np.asarray(value) for name, value in self._run(self._given(inputs, tensors), tensors).items()}

    def _given(self, inputs: Mapping[str, Any], tensors: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return checked tensors for the inputs; all of them, or those that some tensors depend on."""
        for name in inputs:
            if name not in self.inputs:
                raise unknown("input", name, self.inputs)
        values = {**self.defaults, **inputs}
        wanted = self.inputs
        if tensors is not None:
            places = [tensor.tensor_name for tensor in self.inputs.values()]
            reached = self._graph.reached(tensors.values(), places)
            wanted = {name: place for name, place in self.inputs.items() if place.tensor_name in reached}
        absent = [str(place) for name, place in wanted.items() if name not in values]
        if absent:
            raise InputError(f"expected a value for every input; missing: {', '.join(absent)}")
        return {name: as_tensor(values[name], place) for name, place in wanted.items()}

    def _run(self, given: Mapping[str, Any], tensors: Mapping[str, str]) -> dict[str, Any]:
        places = [self.inputs[name].tensor_name for name in given]
        reached = self._graph.reached(tensors.values(), places)
        used = [name for name in given if self.inputs[name].tensor_name in reached]
        program = self._graph.program([self.inputs[name].tensor_name for name in used], list(tensors.values()))
        try:
            return dict(zip(tensors, program(*[given[name] for name in used]), strict=True))
        except tf.errors.ResourceExhaustedError:
            raise
        except tf.errors.OpError as error:
            said = error.message.strip().partition("\n")[0]
            raise ModelError(
                f"expected inputs that the model can take; it raised {type(error).__name__}: {said}"
            ) from error


class Model:
    """The part of a SavedModel behind its encodings, as a function of named tensors; graphs are kept with the cut."""

    def __init__(self, cut: Cut, scalars: Mapping[str, Any]) -> None:
        self.cut = cut
        self._scalars = scalars

    @property
    def variables(self) -> list[Any]:
        """What the model reads and writes; a session puts back what was written."""
        return self.cut._graph.variables

    def __call__(self, **values: Any) -> Any:
        """Return the output."""
        return self.cut.tail({**values, **self._scalars})


def as_tensor(value: Any, place: Tensor) -> Any:
    """Return a value as a tensor that fits its place: text as bytes, whole numbers in the graph's own width.

    Raises
    ------
    InputError, InputTypeError
        When shape or dtype do not fit.
    """
    dtype = tf.as_dtype(place.dtype)
    if not tf.is_tensor(value):
        value = _from_numpy(value, place, dtype)
    elif value.dtype != dtype:
        value = tf.cast(value, dtype)
    if place.shape is not None and not tf.TensorShape(place.shape).is_compatible_with(value.shape):
        raise InputError(f"expected {place}; got shape {tuple(value.shape)}")
    return value


def _from_numpy(value: Any, place: Tensor, dtype: Any) -> Any:
    array = np.asarray(value)
    if dtype == tf.string:
        if array.dtype.kind not in "OUST":
            raise InputTypeError(
                f"expected text for {place}; got {array.dtype}. Write the values as strings; a column of a rows file "
                "is read as text with --text"
            )
        return tf.constant(array.astype(object))
    if array.dtype.kind in "OUST":
        try:
            array = array.astype(dtype.as_numpy_dtype)
        except (TypeError, ValueError) as error:
            raise InputTypeError(f"expected {place}; got {np.asarray(value).dtype}: {error}") from None
    if dtype.is_integer and array.dtype.kind == "f" and not np.array_equal(array, np.floor(array)):
        raise InputTypeError(f"expected whole numbers for {place}; got {array.dtype} with fractions")
    return tf.constant(array.astype(dtype.as_numpy_dtype))


def _complete(values: Mapping[str, Any], places: Mapping[str, Tensor], where: str) -> None:
    for name in values:
        if name not in places:
            raise unknown("tensor", name, places)
    absent: Sequence[str] = [str(place) for name, place in places.items() if name not in values]
    if absent:
        raise InputError(f"{where} needs {', '.join(absent)} besides what it was given")
