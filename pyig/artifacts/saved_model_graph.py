"""The graph of a SavedModel, all in one piece and with live variables, from which any part can be cut.

TF1 wrote one flat graph. TF2 writes functions that call functions, whose tensors have no name outside: TensorFlow's own
inliner gives them one, as ``StatefulPartitionedCall/model/emb/GatherV2:0``. The variables and tables stay outside the
graph, as captures: a constant in the graph would count against the 2 GB that a graph may have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf

_CONTROL_FLOW_V1 = {
    "Switch",
    "RefSwitch",
    "Merge",
    "RefMerge",
    "Enter",
    "RefEnter",
    "Exit",
    "NextIteration",
    "LoopCond",
}
_WRITES = re.compile(
    "(Assign|Resource.*(Scatter|Apply)|Scatter(Nd)?(Update|Add|Sub|Mul|Div|Min|Max)|LookupTable(Insert|Remove)"
    "|Queue.*Enqueue|Stack.*Push|Barrier).*"
)
_SHAPES = {"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"}
_NO_GRADIENT = {"StopGradient", "PreventGradient"}
_GRADIENT = "_gradient_op_type"
# What keeps a function apart: other code for another device, and a wish to compile it by itself.
_APART = ("api_implements", "_XlaMustCompile", "_XlaCompile", "_noinline")
_LOWER = "_lower_using_switch_merge"


class FlatGraph:
    """One graph, from whose tensors to whose tensors differentiable functions can be made.

    Parameters
    ----------
    function : WrappedFunction
        With the graph, and what it captures.
    variables : sequence of Variable
        That it reads or writes.
    stripped : int
        How many operations had a gradient of their own, and now have that of what they compute.
    """

    def __init__(self, function: Any, variables: Sequence[Any], stripped: int = 0) -> None:
        self.variables = list(variables)
        self._function = function
        self._programs: dict[Any, Any] = {}
        self.graph = function.graph
        self.stripped = stripped
        self.order = [tensor for operation in _topological(self.graph) for tensor in operation.outputs]
        self.by_name = {tensor.name: tensor for tensor in self.order}

    def program(self, feeds: Sequence[str], fetches: Sequence[str]) -> Any:
        """Return the function from some tensors to others; it takes and returns them in this order."""
        key = (tuple(feeds), tuple(fetches))
        if key not in self._programs:
            self._programs[key] = self._function.prune(
                [self.by_name[name] for name in feeds], [self.by_name[name] for name in fetches]
            )
        return self._programs[key]

    def reached(self, fetches: Iterable[str], stops: Iterable[str] = ()) -> set[str]:
        """Return the names of everything that must be computed, or fed, for some tensors once `stops` are fed."""
        halt, seen, done = set(stops), set(fetches), set[str]()
        stack = [self.by_name[name].op for name in seen - halt]
        while stack:
            operation = stack.pop()
            if operation.name in done:
                continue
            done.add(operation.name)
            used = {tensor.name: tensor.op for tensor in operation.inputs}
            seen |= set(used)
            stack += [source for name, source in used.items() if name not in halt]
            stack += operation.control_inputs
        return seen

    def between(self, inputs: Sequence[str], output: str) -> list[str]:
        """Return the float tensors that depend on an input and that the output depends on by gradients, in order."""
        forward = set(inputs)
        for tensor in self.order:
            operation = tensor.op
            if operation.type not in _SHAPES and any(source.name in forward for source in operation.inputs):
                forward.add(tensor.name)
        stack, backward = [output], set[str]()
        while stack:
            name = stack.pop()
            tensor = self.by_name[name]
            if name in backward or not (tensor.dtype.is_floating or tensor.dtype == tf.variant):  # lists, in loops
                continue
            backward.add(name)
            if tensor.op.type not in _NO_GRADIENT:
                stack += [source.name for source in tensor.op.inputs]
        found = forward & backward
        return [tensor.name for tensor in self.order if tensor.name in found and tensor.dtype.is_floating]

    def leaving(self, scope: str, among: Iterable[str]) -> list[str]:
        """Return the tensors of a scope that something outside it uses, out of those given."""

        def inside(operation: Any) -> bool:
            return bool(operation.name == scope or operation.name.startswith(f"{scope}/"))

        own = [self.by_name[name] for name in among if inside(self.by_name[name].op)]
        return [tensor.name for tensor in own if not tensor.consumers() or not all(map(inside, tensor.consumers()))]


def from_flat(loaded: Any, outputs: Iterable[str]) -> FlatGraph:
    """Take the graph of a TF1-style SavedModel."""
    graph = loaded.graph
    if {operation.type for operation in graph.get_operations()} & _CONTROL_FLOW_V1:
        from pyig.artifacts.saved_model_loops import LoopGraph

        return LoopGraph(
            loaded, graph.variables
        )  # such a loop knows its frame by more than the definition of the graph
    return _rebuilt(graph.as_graph_def(), graph, outputs)


def from_function(function: Any) -> FlatGraph:
    """Inline a TF2 signature, or any other concrete function."""
    outputs = [tensor.name for tensor in function.outputs]
    kept = [tensor.name for tensor in (*function.inputs, *function.outputs)]
    return _rebuilt(_inlined(function.graph.as_graph_def(), kept), function.graph, outputs)


def _inlined(definition: Any, kept: Iterable[str]) -> Any:
    """Return the graph with the functions that it calls in place of the calls; loops and branches stay functions."""
    from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, rewriter_config_pb2
    from tensorflow.python.grappler import tf_optimizer  # there is no public way to the optimizer

    whole = meta_graph_pb2.MetaGraphDef(graph_def=definition)
    for called in (*whole.graph_def.library.function, *_nodes(whole.graph_def)):
        for name in _APART:
            called.attr.pop(name, None)
    for node in _nodes(whole.graph_def):  # else a loop becomes many nodes without a name
        if _LOWER in node.attr:
            node.attr[_LOWER].b = False
    whole.collection_def["train_op"].node_list.value.extend(kept)  # what the optimizer must not remove
    config = config_pb2.ConfigProto()
    rewrite = config.graph_options.rewrite_options
    rewrite.min_graph_nodes = -1
    rewrite.optimizers.append("function")
    rewrite.function_optimization = rewriter_config_pb2.RewriterConfig.AGGRESSIVE
    found = tf_optimizer.OptimizeGraph(config, whole)
    for node in _nodes(found):
        if _LOWER in node.attr:
            node.attr[_LOWER].b = True
    return found


def _rebuilt(definition: Any, source: Any, outputs: Iterable[str]) -> FlatGraph:
    functions = [node for function in definition.library.function for node in function.node_def]
    hooked = [node for node in _nodes(definition) if _GRADIENT in node.attr]
    for node in hooked:  # the gradient of what the operation computes is the true one, and is always there
        del node.attr[_GRADIENT]
    if not any(_WRITES.match(node.op) for node in (*_used(definition.node, outputs), *functions)):
        _untie(definition.node)

    def build() -> None:
        graph = tf.compat.v1.get_default_graph()
        held = {inner.name: graph.capture(outer) for outer, inner in source.captures}
        tf.graph_util.import_graph_def(definition, input_map=held, name="")

    return FlatGraph(tf.compat.v1.wrap_function(build, []), source.variables, len(hooked))


def _nodes(definition: Any) -> list[Any]:
    return [*definition.node, *(node for function in definition.library.function for node in function.node_def)]


def _used(nodes: Iterable[Any], outputs: Iterable[str]) -> list[Any]:
    by_name = {node.name: node for node in nodes}
    stack, seen = [name.partition(":")[0] for name in outputs], dict[str, Any]()
    while stack:
        name = stack.pop()
        if name in by_name and name not in seen:
            seen[name] = by_name[name]
            stack += [source.lstrip("^").partition(":")[0] for source in by_name[name].input]
    return list(seen.values())


def _untie(nodes: Iterable[Any]) -> None:
    """Remove the edges of order: where nothing is written, every order is the same, and a cut needs less."""
    for node in nodes:
        data = [source for source in node.input if not source.startswith("^")]
        del node.input[:]
        node.input.extend(data)


def _topological(graph: Any) -> list[Any]:
    """Return the operations, each behind what it uses; an imported graph has them in the order of its file."""
    done: dict[str, Any] = {}
    stack = [(operation, False) for operation in reversed(graph.get_operations())]
    while stack:
        operation, ready = stack.pop()
        if operation.name in done:
            continue
        if ready:
            done[operation.name] = operation
            continue
        stack.append((operation, True))
        sources = [tensor.op for tensor in operation.inputs if tensor.op.type != "NextIteration"]  # closes a circle
        stack += [(source, False) for source in sources if source.name not in done]
    return list(done.values())
