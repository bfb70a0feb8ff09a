"""A Sequential or Functional Keras model as a graph of calls, cut at one of them.

Keras could build the second half as a model, but that adds nodes to the user's layers. So the calls after the cut are
made here one by one, as Keras makes them; the first half is an ordinary Keras model, which leaves the layers alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pyig import tree
from pyig.structure.keras_tools import CutError, called_again, check_rows, flavour, mask_of, nest, tuple_spec, with_mask


class Call:
    """One call of a layer in a graph: Keras 3 and tf-keras name its parts differently."""

    def __init__(self, node: Any) -> None:
        self.operation: Any = node.operation if hasattr(node, "operation") else node.layer
        self.args, self.kwargs = (
            (node.arguments.args, node.arguments.kwargs)
            if hasattr(node, "arguments")
            else (node.call_args, node.call_kwargs)
        )
        self._nest = nest(self.operation)
        self.outputs: list[Any] = self._nest.flatten(node.outputs)
        flat = self._nest.flatten((self.args, self.kwargs))
        self.inputs = [item for item in flat if hasattr(item, "_keras_history")]

    def __call__(self, tensors: Sequence[Any]) -> list[Any]:
        """Call the layer in inference mode with tensors in the place of its symbolic inputs."""
        return self._made(self.operation, tensors)

    def bare(self, tensors: Sequence[Any]) -> list[Any]:
        """Do the same by the layer's own code alone, which neither casts the inputs nor hangs masks on the outputs."""
        return self._made(self.operation.call, tensors)

    def _made(self, function: Callable[..., Any], tensors: Sequence[Any]) -> list[Any]:
        fresh = iter(tensors)
        flat = self._nest.flatten((self.args, self.kwargs))
        filled = [next(fresh) if hasattr(item, "_keras_history") else item for item in flat]
        args, kwargs = self._nest.pack_sequence_as((self.args, self.kwargs), filled)
        if _takes_training(self.operation):
            kwargs = {**kwargs, "training": False}
        return list(self._nest.flatten(function(*args, **kwargs)))


class GraphCut:
    """One level of a graph; where the layer sits inside a nested model, that model is cut in turn."""

    def __init__(self, model: Any, layer: Any, to_inputs: bool) -> None:
        if not getattr(model, "outputs", None) or not hasattr(model.outputs[0], "_keras_history"):
            raise CutError("the model is not a graph of layers")
        self._model = model
        calls = calls_of(model)
        inside = _containers(model, layer)
        mine = [call for call in calls if call.operation is layer or any(call.operation is item for item in inside)]
        if not mine:
            raise CutError("the layer is inside a layer that is not a graph")
        if len(mine) > 1:
            raise called_again(layer)
        self._call = mine[0]
        self._inner = None if self._call.operation is layer else GraphCut(self._call.operation, layer, to_inputs)
        self._to_inputs = to_inputs
        self._tail = _after(self._call, calls)
        self._crossing = _crossing(self._call, self._tail, model.outputs)
        self._entry = self._call.outputs if self._inner is None and not to_inputs else self._call.inputs
        self._masks: list[bool] = []
        self._outputs: Any = None
        if not self._entry:
            raise CutError("the layer has no inputs")
        self._head = flavour(model).Model(_input(model), [*self._entry, *self._crossing], name="before_the_cut")
        self.spec: tree.Spec = self._inner.spec if self._inner else tuple_spec(len(self._entry))

    def before(self, x: Any, batched: dict[str, Any], shared: dict[str, Any]) -> tuple[list[Any], list[Any]]:
        """Return the layer's values, and the tensors and masks that cross the cut."""
        if batched or shared:
            raise CutError("the model is called with keyword arguments")
        if self._outputs is None:
            packing = nest(self._model)
            raw = self._model(x, training=False)
            self._outputs = packing.pack_sequence_as(raw, [0] * len(packing.flatten(raw)))
        found = nest(self._model).flatten(self._head(x, training=False))
        samples = int(nest(self._model).flatten(x)[0].shape[0])
        entry, crossing = found[: len(self._entry)], found[len(self._entry) :]
        inner: list[Any] = []
        if self._inner is not None:
            entry, inner = self._inner.before(_packed(self._call.operation, entry), {}, {})
        masks = [mask_of(tensor) for tensor in ([] if self._inner else entry)] + [mask_of(t) for t in crossing]
        self._masks = [mask is not None for mask in masks]
        context = [*crossing, *(mask for mask in masks if mask is not None)]
        check_rows(context, samples)
        return entry, [*context, *inner]

    def after(self, points: Sequence[Any], context: Sequence[Any]) -> Any:
        """Make the calls behind the cut."""
        count = len(self._crossing)
        masks = iter(context[count : count + sum(self._masks)])
        flags = iter(self._masks)
        if self._inner is None:
            points = [with_mask(point, next(masks) if next(flags) else None) for point in points]
        crossing = [with_mask(t, next(masks) if next(flags) else None) for t in context[:count]]
        if self._inner is not None:
            done = nest(self._model).flatten(self._inner.after(points, context[count + sum(self._masks) :]))
        else:
            done = self._call(points) if self._to_inputs else list(points)
        known = {id(symbol): tensor for symbol, tensor in zip(self._crossing, crossing, strict=True)}
        known |= {id(symbol): tensor for symbol, tensor in zip(self._call.outputs, done, strict=True)}
        for call in self._tail:
            found = call([known[id(symbol)] for symbol in call.inputs])
            known |= {id(symbol): tensor for symbol, tensor in zip(call.outputs, found, strict=True)}
        flat = [known[id(symbol)] for symbol in self._model.outputs]
        return nest(self._model).pack_sequence_as(self._outputs, flat)


def calls_of(model: Any) -> list[Call]:
    """Return the calls that lead to the model's outputs, each after those it needs."""
    done: dict[int, Call] = {}
    stack = [_node_of(tensor) for tensor in reversed(model.outputs)]
    while stack:  # a loop: recursion would end at a graph as deep as Python's stack
        node = stack[-1]
        if id(node) in done:
            stack.pop()
            continue
        call = Call(node)
        missing = [parent for parent in map(_node_of, call.inputs) if id(parent) not in done]
        if missing:
            stack.extend(missing)
        else:
            done[id(stack.pop())] = call
    return list(done.values())


def _node_of(tensor: Any) -> Any:
    operation, node, _ = tensor._keras_history
    return operation._inbound_nodes[node]


def _after(first: Call, calls: list[Call]) -> list[Call]:
    """Return the calls that depend on the first one, in order."""
    reached = {id(tensor) for tensor in first.outputs}
    found = []
    for call in calls:
        if any(id(tensor) in reached for tensor in call.inputs):
            found.append(call)
            reached |= {id(tensor) for tensor in call.outputs}
    return found


def _crossing(first: Call, tail: list[Call], outputs: list[Any]) -> list[Any]:
    """Return the tensors that are needed behind the cut and made in front of it."""
    made = {id(tensor) for call in (first, *tail) for tensor in call.outputs}
    needed = [tensor for call in tail for tensor in call.inputs] + list(outputs)
    return list({id(tensor): tensor for tensor in needed if id(tensor) not in made}.values())


def _containers(model: Any, layer: Any) -> list[Any]:
    """Return the layers of this level that are graphs themselves and hold the layer somewhere inside."""
    found = []
    for item in getattr(model, "layers", ()):
        if getattr(item, "outputs", None) and hasattr(item, "layers") and item is not layer:
            direct = any(inner is layer for inner in getattr(item, "operations", item.layers))
            if direct or _containers(item, layer):
                found.append(item)
    return found


def _input(model: Any) -> Any:
    """Return the symbolic input in the structure that the model takes; a Sequential has one tensor and no structure."""
    return model.inputs[0] if isinstance(model, flavour(model).Sequential) else model.input


def _packed(model: Any, tensors: list[Any]) -> Any:
    """Return tensors in the structure that a nested model takes."""
    return nest(model).pack_sequence_as(_input(model), tensors)


def _takes_training(operation: Any) -> bool:
    known = getattr(operation, "_call_has_training_arg", None)  # Keras 3; tf-keras has the other name
    return bool(getattr(operation, "_expects_training_arg", False) if known is None else known)
