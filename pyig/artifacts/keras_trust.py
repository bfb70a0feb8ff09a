"""What in a model's configuration would run code, import modules or read files, found before Keras sees it.

Keras has a safe mode, but not everywhere: Keras 2 runs the lambdas of an ``.h5`` file in spite of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pyig.artifacts.keras_archive import Archive
from pyig.errors import InputError

_CODE = {
    "Lambda": "Python code",
    "__lambda__": "Python code",
    "TorchModuleWrapper": "a pickle",
    "TFSMLayer": "another model by its path",
    "JaxLayer": "Python code",
    "FlaxLayer": "Python code",
}
_OWN = {"keras", "tf_keras", "keras_hub", "keras_nlp", "keras_cv", "builtins", "tensorflow"}
_FUNCTIONS = re.compile(
    r"(builtins|(tf_)?keras\.(src\.)?(activations|initializers|regularizers|constraints|losses|metrics|ops)(\..*)?)"
)
# Keras 2 calls functions of TensorFlow by name: these compute, and those among them without a module that do not.
_COMPUTES = re.compile(
    r"(compat\.v1\.)?((math|nn|linalg|image|strings|signal|sparse|ragged|random|bitwise|dtypes|sets|quantization"
    r"|__operators__|keras\.backend|keras\.activations)\.[\w.]+|\w+)"
)
_REACHES = re.compile(
    r"(compat\.v1\.)?(py_func\w*|numpy_function|[pP]rint|load_\w+|read_file|write_file|matching_files|import_graph_def"
    r"|\w*Reader|\w*Session)"
)
_CLASSES = ("RaggedTensor", "SparseTensor", "TensorShape")


def check(archive: Archive, path: Any, known: Mapping[str, Any]) -> None:
    """Raise when the file would do more than build layers and fill in weights.

    Parameters
    ----------
    archive : Archive
    path : path
        For the message.
    known : dict
        Classes and functions that the user vouches for, by name.

    Raises
    ------
    InputError
        Which says what was found and how to allow it.
    """
    found = [*_found(archive.config, known), *(f"data of another file ({link})" for link in archive.links)]
    if found:
        shown = "; ".join(list(dict.fromkeys(found))[:6])
        raise InputError(
            f"{str(path)!r} holds more than layers and weights: {shown}. Nothing of it was run. If its origin is "
            "trusted as one's own code is, pass trust=True; for classes of your own, custom_objects={name: class}"
        )


def _found(config: Any, known: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(config, list):
        for item in config:
            yield from _found(item, known)
    if not isinstance(config, dict):
        return
    kind = config.get("class_name")
    if isinstance(kind, str):
        yield from _object(kind, config, known)
    if config.get("function_type") == "lambda":
        yield f"{config.get('name', 'a layer')!r} with Python code"
    vocabulary = config.get("vocabulary")
    if isinstance(vocabulary, str):
        yield f"a vocabulary that is read from {vocabulary!r}"
    for item in config.values():
        yield from _found(item, known)


def _object(kind: str, config: dict[str, Any], known: Mapping[str, Any]) -> Iterator[str]:
    inner = config.get("config")
    label = inner.get("name") if isinstance(inner, dict) else inner
    module, registered = config.get("module"), config.get("registered_name")
    names = {kind.rpartition(">")[2], str(registered).rpartition(">")[2], str(registered), str(label)}
    if kind in _CODE:
        yield f"{label or kind!r}, a {kind} with {_CODE[kind]}"
    elif kind in ("TFOpLambda", "SlicingOpLambda"):
        function = str(inner.get("function", "")) if isinstance(inner, dict) else ""
        if not _COMPUTES.fullmatch(function) or _REACHES.fullmatch(function):
            yield f"{label!r}, which calls tf.{function}"
    elif kind == "ClassMethod":
        symbol = str(inner.get("cls_symbol", "")) if isinstance(inner, dict) else ""
        if symbol.rpartition(".")[2] not in _CLASSES:
            yield f"{label!r}, which calls tf.{symbol}"
    elif names & set(known):
        return
    elif isinstance(module, str) and kind == "function" and not _FUNCTIONS.fullmatch(module):
        yield f"the function {label!r} of the module {module!r}"
    elif isinstance(module, str) and module.partition(".")[0] not in _OWN:
        yield f"the class {kind!r} of the module {module!r}"
    elif module is None and ">" in (kind if registered is None else str(registered)):
        yield f"the class {registered or kind!r}"
