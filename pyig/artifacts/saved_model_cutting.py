"""Where to cut a SavedModel: names become tensors, and every tensor is checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from pyig.artifacts.saved_model_cut import Cut
from pyig.artifacts.saved_model_graph import FlatGraph
from pyig.artifacts.signatures import Signature, Tensor
from pyig.artifacts.tensor_names import find
from pyig.errors import InputError, InputTypeError, ModelError, unknown


class Cutting:
    """The inputs of a cut, and the search for its tensors.

    Parameters
    ----------
    graph : FlatGraph
        What is cut.
    signature : Signature, optional
        Its inputs and outputs; None where it has names of tensors alone.
    inputs : dict of str, optional
        Tensors to feed, in place of the signature's inputs.
    aliases : dict of str
        Other names of tensors than those in the graph.
    keep : object
        What must live as long as the cut.
    """

    def __init__(
        self,
        graph: FlatGraph,
        signature: Signature | None,
        inputs: Mapping[str, str] | None,
        aliases: Mapping[str, str],
        keep: Any,
    ) -> None:
        self._graph = graph
        self._signature = signature
        self._aliases = dict(aliases)
        self._keep = keep
        if inputs is None:
            inputs = {} if signature is None else {k: t.tensor_name for k, t in signature.inputs.items()}
        self._inputs = {name: self._input(name, tensor) for name, tensor in inputs.items()}

    def cut(self, encoded: Mapping[str, str], output: str | None, gradient: bool = True) -> Cut:
        """Find the tensors, check that gradients flow between them where they are wanted, and return the two parts."""
        if not isinstance(encoded, Mapping):
            raise InputTypeError(f"expected encoded= as a dict from inputs to tensors; got {encoded!r}")
        names = {name: tensor.tensor_name for name, tensor in self._inputs.items()}
        end = self._output(output)
        reachable = self._graph.between(list(names.values()), end.tensor_name)
        keys = {self._input_key(name): tensor for name, tensor in encoded.items()}
        found = {name: self._encoding(name, tensor, names[name], reachable, end) for name, tensor in keys.items()}
        beside = self._graph.reached([end.tensor_name], [tensor.tensor_name for tensor in found.values()])
        for name, tensor in self._inputs.items():
            moves = tensor.floating and tensor.shape != () and tensor.tensor_name in reachable
            if name not in found and moves and tensor.tensor_name in beside:
                found[name] = tensor
        if gradient and not found:
            raise self._nothing(reachable, end)
        stops = [tensor.tensor_name for tensor in found.values()]
        reached = self._graph.reached([end.tensor_name], [*stops, *names.values()])
        taken = {tensor.tensor_name for tensor in found.values()}
        still = {n: t for n, t in self._inputs.items() if t.tensor_name in reached and t.tensor_name not in taken}
        fixed = {name if name not in found else f"{name} (as given)": tensor for name, tensor in still.items()}
        order = [name for name in self._inputs if name in found]
        defaults = {} if self._signature is None else self._signature.defaults
        return Cut(
            inputs=self._inputs,
            encoded={name: found[name] for name in order},
            fixed=fixed,
            output=end,
            defaults={**self._placeholder_defaults(), **{k: v for k, v in defaults.items() if k in self._inputs}},
            notes=self._notes([name for name in still if name in found]),
            _graph=self._graph,
            _keep=self._keep,
        )

    def _notes(self, twice: Sequence[str]) -> tuple[str, ...]:
        stripped, said = self._graph.stripped, []
        if stripped:
            said.append(
                f"custom gradients in the model: {stripped}; the gradient of what is computed there is used instead"
            )
        if twice:
            said.append(f"also used past the encoding, and held fixed there: {', '.join(twice)}")
        return tuple(said)

    def _input(self, name: str, tensor: str) -> Tensor:
        full = (
            tensor
            if tensor in self._graph.by_name
            else find(tensor, self._fed(), self._aliases, lambda scope: [], f"input {name!r}")
        )
        return _described(name, self._graph.by_name[full])

    def _fed(self) -> list[str]:
        kinds = ("Placeholder", "PlaceholderWithDefault")
        return [name for name, tensor in self._graph.by_name.items() if tensor.op.type in kinds]

    def _input_key(self, name: str) -> str:
        """Return the input's own name for its name or that of its tensor."""
        if name in self._inputs:
            return name
        for key, tensor in self._inputs.items():
            if name in (tensor.tensor_name, tensor.tensor_name.removesuffix(":0")):
                return key
            if self._aliases.get(name) == tensor.tensor_name:
                return key
        raise unknown("input", name, self._inputs)

    def _output(self, output: str | None) -> Tensor:
        if output is None:
            outputs = {} if self._signature is None else self._signature.outputs
            floats = [name for name, tensor in outputs.items() if tensor.floating]
            if len(floats) != 1 and len(outputs) != 1:
                raise InputError(f"expected output= as one of {', '.join(outputs) or 'the tensors of the graph'}")
            output = (floats or list(outputs))[0]
        full = find(
            output, list(self._graph.by_name), self._aliases,
            lambda scope: self._graph.leaving(scope, self._floats()), "output",
        )  # fmt: skip
        tensor = _described(output, self._graph.by_name[full])
        if not tensor.floating:
            raise ModelError(
                f"expected an output of floats, which has a gradient; got {tensor}. Choose another output="
            )
        return tensor

    def _floats(self) -> list[str]:
        return [tensor.name for tensor in self._graph.order if tensor.dtype.is_floating]

    def _encoding(self, name: str, tensor: str, source: str, reachable: list[str], end: Tensor) -> Tensor:
        graph, what = self._graph, f"the encoding of {name!r}"
        if tensor in graph.by_name or f"{tensor}:0" in graph.by_name or tensor in self._aliases:
            full = find(tensor, list(graph.by_name), self._aliases, lambda scope: [], what)
        else:
            full = find(tensor, reachable, {}, lambda scope: graph.leaving(scope, reachable), what)
        found = _described(name, graph.by_name[full])
        if not found.floating:
            raise ModelError(
                f"expected a float tensor for {what}, to which gradients can flow; {full!r} is {found.dtype}. "
                f"{_candidates(reachable, full)}"
            )
        depends = source in graph.reached([full])
        if not depends or full not in reachable:
            why = f"is not on the way to {end.name!r}" if depends else f"does not depend on {name!r}"
            raise ModelError(
                f"expected {what} between the input and the output; {full!r} {why}. {_candidates(reachable, full)}"
            )
        return found

    def _nothing(self, reachable: list[str], end: Tensor) -> ModelError:
        kinds = ", ".join(str(tensor) for tensor in self._inputs.values())
        return ModelError(
            f"expected an input of floats on which {end.name!r} depends; got {kinds}. Say which float tensor stands "
            f"for an input: encoded={{{next(iter(self._inputs), 'input')!r}: tensor}}. {_candidates(reachable, '')}"
        )

    def _placeholder_defaults(self) -> dict[str, Any]:
        """Return the values that the graph itself has for inputs that are not fed."""
        found = {}
        for name, tensor in self._inputs.items():
            operation = self._graph.by_name[tensor.tensor_name].op
            if operation.type == "PlaceholderWithDefault":
                value = tf.get_static_value(operation.inputs[0])
                if value is not None:
                    found[name] = value
        return found


def _described(name: str, tensor: Any) -> Tensor:
    shape = None if tensor.shape.rank is None else tuple(tensor.shape.as_list())
    return Tensor(name, tensor.name, tensor.dtype.name, shape)


def _candidates(reachable: list[str], full: str) -> str:
    others = [name for name in reachable if name != full][:12]
    return f"Float tensors on the way, from front to back: {', '.join(others) or 'none'}"
