"""torch files: weights with a factory, exported programs, TorchScript; whole pickled modules where they are trusted."""

from __future__ import annotations

import inspect
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyig.errors import InputError, InputTypeError, MissingPackageError, ModelError, missing, unknown
from pyig.registry import Registry

if TYPE_CHECKING:
    from pyig.artifacts.named import NamedArtifact

_SUFFIXES = (".pt", ".pth", ".pt2", ".ts", ".safetensors")
OPTIONS = ("factory", "inputs", "columns", "layer", "output", "output_names")
_NESTED = ("state_dict", "model_state_dict", "model")  # where training loops keep the weights in a checkpoint


class TorchOpener:
    """Opens torch files for `pyig.artifacts.load`."""

    options = OPTIONS

    @staticmethod
    def recognises(path: Path) -> bool:
        """Tell by the end of the name."""
        return path.suffix.lower() in _SUFFIXES and path.is_file()

    @staticmethod
    def open(path: Path, *, trust: bool = False, **options: Any) -> NamedArtifact:
        """Open a file by what is in it, whatever its name ends in.

        Parameters
        ----------
        path : Path
            Weights (``state_dict``, also inside a checkpoint; ``.safetensors``), a program of `torch.export`, or one
            of TorchScript.
        trust : bool
            Let the file run the code that it holds: a whole pickled module, and operations that are not torch's own.
        factory : callable or str, optional
            For weights: makes the module that they belong to, without arguments. ``"package.module:function"`` imports
            code by name, and needs `trust`.
        inputs : sequence of str, or dict, optional
            Names of the inputs in order, where the model does not say them; a dict gives dtypes (``"int64"``), or
            pairs of dtype and shape without the batch axis.
        columns : sequence of str, or dict, optional
            The columns that make up a vector input.
        layer : str, optional
            The submodule whose output stands for an input of integers, such as the embedding of token ids.
        output : str or int, optional
            Which output, where there are several.
        output_names : sequence of str, optional
            Names for the outputs.

        Raises
        ------
        InputError
            When the file holds code and is not trusted, or no factory is given for weights.
        ModelError
            When this version of torch cannot read it, or the weights do not fit the module.
        """
        try:
            import torch
        except ModuleNotFoundError as error:
            raise missing("torch", f"a {path.suffix} file", "torch") from error
        from pyig.artifacts.named import NamedArtifact
        from pyig.artifacts.torch_source import TorchSource, declared, first_width

        kind, module, inputs, about = _opened(path, trust, options.get("factory"))
        if not isinstance(inputs, Mapping):
            inputs = declared(inputs, options.get("inputs"), first_width(module))
        elif options.get("inputs") is not None:
            raise InputError("expected inputs= only for a model that does not say what it takes; this program does")
        about = {"format": kind, "read_by": f"torch {torch.__version__}", **about}
        _check_layer(kind, module, options.get("layer"))
        source = TorchSource(module, inputs, about, options.get("layer"), options.get("output"))
        return NamedArtifact("torch", path, source, options.get("columns"), options.get("output_names"))


def _opened(path: Path, trust: bool, factory: Any) -> tuple[str, Any, Any, dict[str, Any]]:
    """Return the kind of file, the module, its inputs (or their names alone), and what to say of it."""
    from pyig.artifacts import torch_program, torch_scan

    if path.suffix.lower() == ".safetensors":
        return _weighted("safetensors", _safetensors(path), path, trust, factory)
    names = torch_scan.names_in(path)
    if "archive_format" in names or path.suffix.lower() == ".pt2":
        if not zipfile.is_zipfile(path):
            raise InputError(f"expected an archive written by torch.export.save; {str(path)!r} is none")
        if not trust:
            torch_scan.check_program(path)
        module, inputs, about = torch_program.exported(path)
        return "torch.export", module, inputs, about
    if "constants.pkl" in names and any(name.startswith("code/") for name in names):
        if not trust:
            torch_scan.check_script(path)
        scripted, arguments = torch_program.scripted(path)
        return "TorchScript", scripted, arguments, {}
    found = torch_scan.unpickled(path, trust)
    if hasattr(found, "named_modules"):
        return "module", found.eval(), _parameters(found), {}
    return _weighted("state_dict", found, path, trust, factory)


def _check_layer(kind: str, module: Any, layer: str | None) -> None:
    if layer is None:
        return
    if kind in ("torch.export", "TorchScript"):
        raise InputError(
            f"expected layer= for weights with a factory, or a whole module; a program of {kind} runs its layers out "
            "of sight. Export the part behind the layer, or save model.state_dict() and pass factory="
        )
    known = [name for name, _ in module.named_modules() if name]
    if layer not in known:
        raise unknown("layer", layer, known)


def _weighted(kind: str, found: Any, path: Path, trust: bool, factory: Any) -> tuple[str, Any, Any, dict[str, Any]]:
    weights, notes = _weights(found, path)
    module = _made(factory, trust, path, weights)
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        said = "; ".join(line.strip() for line in str(error).splitlines()[1:4])[:400]
        raise ModelError(
            f"expected a factory= whose module has the weights of {str(path)!r}; they do not fit a "
            f"{type(module).__name__}: {said}"
        ) from error
    return kind, module.eval(), _parameters(module), {"class": type(module).__name__, **notes}


def _weights(found: Any, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the tensors by name, out of a checkpoint and without the prefix of data-parallel training."""
    notes: dict[str, Any] = {}
    for key in _NESTED:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found, notes = found[key], {"found_under": key}
            break
    if not isinstance(found, Mapping) or not found or not all(hasattr(value, "shape") for value in found.values()):
        got = (
            f"a dict of {', '.join(map(repr, list(found)[:8]))}" if isinstance(found, Mapping) else type(found).__name__
        )
        raise InputError(f"expected tensors by name, as model.state_dict() gives them; {str(path)!r} holds {got}")
    if all(str(name).startswith("module.") for name in found):
        found = {str(name).removeprefix("module."): value for name, value in found.items()}
    return dict(found), notes


def _made(factory: Any, trust: bool, path: Path, weights: Mapping[str, Any]) -> Any:
    if factory is None:
        names = ", ".join(list(weights)[:3])
        raise InputError(
            f"expected factory=, which makes the module of the weights in {str(path)!r} ({names}, ...). Pass "
            "the class or a function without arguments, or export the whole model with torch.export"
        )
    if isinstance(factory, str):
        if not trust:
            raise InputError(
                f"expected factory= as a function; {factory!r} imports code by name. Pass trust=True to allow it"
            )
        if not factory.partition(":")[2]:
            raise InputError(f"expected factory='package.module:function'; got {factory!r}")
        factory = _imported(factory)
    if not callable(factory):
        raise InputTypeError(f"expected factory= as a function without arguments; got {type(factory).__qualname__}")
    module = factory()
    if not hasattr(module, "load_state_dict"):
        raise InputTypeError(f"expected factory() to return a torch.nn.Module; got {type(module).__qualname__}")
    return module


def _imported(name: str) -> Any:
    try:
        return Registry("factory", {"factory": name})["factory"]
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"expected factory= as 'package.module:function' that can be imported; {name!r} cannot be: {error}. "
            "A module of a folder is found where PYTHONPATH names that folder"
        ) from error


def _parameters(module: Any) -> list[str]:
    """Return the names of what a module's forward needs."""
    found = [
        name
        for name, parameter in inspect.signature(module.forward).parameters.items()
        if parameter.default is parameter.empty and parameter.kind < parameter.VAR_POSITIONAL
    ]
    return found or ["x"]


def _safetensors(path: Path) -> dict[str, Any]:
    try:
        from safetensors.torch import load_file
    except ModuleNotFoundError:
        raise MissingPackageError(
            "a .safetensors file needs safetensors; install it with: pip install safetensors"
        ) from None
    try:
        found: dict[str, Any] = load_file(str(path))
    except Exception as error:
        raise InputError(f"expected a safetensors file; {str(path)!r} cannot be read: {error}") from error
    return found
