"""What stands in ``saved_model.pb``, read without running anything of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyig.artifacts.signatures import Signature, Tensor
from pyig.errors import InputError, missing

NAME = "saved_model.pb"
_INTERNAL = ("__saved_model_init_op", "__saved_model_train_op")
_SERVE = "serve"
# Operations that reach out of the graph: files, programs, the network. Weights are read and written by operations of
# the same kind as the last two, which only the saver of the model may hold.
_OUTSIDE = {
    "ReadFile", "WriteFile", "MatchingFiles", "WholeFileReader", "WholeFileReaderV2", "TextLineReader",
    "TextLineReaderV2", "TFRecordReader", "TFRecordReaderV2", "FixedLengthRecordReader", "FixedLengthRecordReaderV2",
    "PyFunc", "PyFuncStateless", "EagerPyFunc", "TextLineDataset", "TFRecordDataset", "TFRecordDatasetV2",
    "FixedLengthRecordDataset", "FixedLengthRecordDatasetV2", "SaveDataset", "SaveDatasetV2", "LoadDataset",
    "SnapshotDataset", "SnapshotDatasetV2", "FileSystemSetConfiguration", "RpcCall", "RpcClient", "RpcServer",
    "CreateSummaryFileWriter", "CreateSummaryDbWriter", "DebugIdentity", "DebugIdentityV2", "DebugIdentityV3",
    "LoadLibrary", "XlaHostCompute",
}  # fmt: skip
_SAVER = {"Save", "SaveSlices", "SaveV2", "MergeV2Checkpoints", "Restore", "RestoreSlice", "RestoreV2"}


@dataclass(frozen=True)
class Description:
    """One meta graph of a SavedModel.

    Attributes
    ----------
    tags : tuple of str
        ``("serve",)``.
    signatures : dict of Signature
        With the names that the file gives the tensors.
    flat : bool
        Whether the graph is all in one, as TF1 wrote it, or in functions.
    outside : tuple of str
        Operations that read or write files, or run other code.
    custom_gradients : int
        Operations whose gradient is the model's own code.
    """

    tags: tuple[str, ...]
    signatures: Mapping[str, Signature]
    flat: bool
    outside: tuple[str, ...]
    custom_gradients: int


def read(directory: Path, tags: Sequence[str] | None = None) -> Description:
    """Read the meta graph with these tags; without any, the one for serving, or the only one.

    Raises
    ------
    InputError
        When the file is damaged, or has no such meta graph.
    """
    graphs = list(_parse(directory / NAME).meta_graphs)
    every = [tuple(graph.meta_info_def.tags) for graph in graphs]
    if not graphs:
        raise InputError(f"expected a SavedModel; {str(directory / NAME)!r} has no graph in it. The file is damaged")
    wanted = {_SERVE} if tags is None else set(tags)
    fitting = [graph for graph in graphs if set(graph.meta_info_def.tags) == wanted]
    if not fitting and tags is None and len(graphs) == 1:
        fitting = graphs
    if not fitting:
        raise InputError(f"expected tags= as one of {', '.join(map(str, every))}; got {tags!r}")
    return _describe(fitting[0])


def _parse(path: Path) -> Any:
    try:
        from tensorflow.core.protobuf import saved_model_pb2
    except ModuleNotFoundError as error:
        raise missing("tensorflow", "a SavedModel", "tensorflow") from error
    parsed = saved_model_pb2.SavedModel()
    try:
        parsed.ParseFromString(path.read_bytes())
    except Exception as error:  # protobuf's DecodeError has another home in each of its implementations
        raise InputError(f"expected a SavedModel; {str(path)!r} cannot be read. The file is damaged: {error}") from None
    return parsed


def _describe(graph: Any) -> Description:
    nodes = [*graph.graph_def.node]
    functions = {function.signature.name: function for function in graph.graph_def.library.function}
    every = [*nodes, *(node for function in functions.values() for node in function.node_def)]
    return Description(
        tags=tuple(graph.meta_info_def.tags),
        signatures={
            key: Signature(
                key,
                dict(_tensors(definition.inputs)),
                dict(_tensors(definition.outputs)),
                {name: _value(default) for name, default in definition.defaults.items()},
            )
            for key, definition in sorted(graph.signature_def.items())
            if key not in _INTERNAL
        },
        flat=not graph.object_graph_def.nodes,
        outside=tuple(sorted(set(_outside(graph, nodes, functions)))),
        custom_gradients=sum("_gradient_op_type" in node.attr for node in every),
    )


def _tensors(infos: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    import tensorflow as tf

    for key, info in sorted(infos.items()):
        if info.WhichOneof("encoding") == "coo_sparse":  # three tensors, which are fed one by one
            parts = info.coo_sparse
            yield f"{key}/indices", Tensor(f"{key}/indices", parts.indices_tensor_name, "int64", (None, None))
            yield f"{key}/values", Tensor(f"{key}/values", parts.values_tensor_name, _dtype(info.dtype), (None,))
            yield (
                f"{key}/dense_shape",
                Tensor(f"{key}/dense_shape", parts.dense_shape_tensor_name, "int64", (None,)),
            )
        else:
            rank = tf.TensorShape(info.tensor_shape)
            shape = None if rank.rank is None else tuple(rank.as_list())
            yield key, Tensor(key, info.name, _dtype(info.dtype), shape)


def _dtype(number: int) -> str:
    import tensorflow as tf

    return str(tf.as_dtype(number).name)


def _value(proto: Any) -> Any:
    import tensorflow as tf

    return tf.make_ndarray(proto)


def _outside(graph: Any, nodes: Sequence[Any], functions: Mapping[str, Any]) -> Iterator[str]:
    """Name what reaches out of the graph; the saver's own operations count where something else reaches them."""
    for node in [*nodes, *(node for function in functions.values() for node in function.node_def)]:
        if node.op in _OUTSIDE:
            yield node.op
    saver = graph.saver_def
    own = {name.partition(":")[0] for name in (saver.save_tensor_name, saver.restore_op_name) if name}
    own_calls = {name for node in nodes if node.name in own for name in _calls(node, functions)}
    for name, function in functions.items():
        if name not in own_calls:
            yield from (node.op for node in function.node_def if node.op in _SAVER)
    yield from _reached(graph, nodes)


def _reached(graph: Any, nodes: Iterable[Any]) -> Iterator[str]:
    """Name the saver's operations in the graph itself that a signature or the start-up would run."""
    by_name = {node.name: node for node in nodes}
    ends = [info.name for signature in graph.signature_def.values() for info in signature.outputs.values()]
    for key in ("saved_model_main_op", "legacy_init_op", "table_initializer"):
        ends += graph.collection_def[key].node_list.value if key in graph.collection_def else []
    stack, seen = [end.partition(":")[0] for end in ends], set[str]()
    while stack:
        name = stack.pop()
        if name in seen or name not in by_name:
            continue
        seen.add(name)
        stack += [source.lstrip("^").partition(":")[0] for source in by_name[name].input]
        if by_name[name].op in _SAVER:
            yield by_name[name].op


def _calls(node: Any, functions: Mapping[str, Any]) -> set[str]:
    """Return the functions that a node calls, and those that they call."""
    stack, seen = [node], set[str]()
    while stack:
        for attribute in stack.pop().attr.values():
            for name in (attribute.func.name, *(function.name for function in attribute.list.func)):
                if name in functions and name not in seen:
                    seen.add(name)
                    stack += functions[name].node_def
    return seen
