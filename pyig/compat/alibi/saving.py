"""An explainer in a folder: one JSON file with its options, no code and no weights."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pyig.compat.alibi import layers
from pyig.compat.alibi.core import IntegratedGradients
from pyig.compat.alibi.defaults import Unchosen
from pyig.compat.alibi.failures import SerializationError
from pyig.compat.alibi.naming import function_at, path_of
from pyig.explanation.savefile import replace

FILE, FORMAT, VERSION = "explainer.json", "pyig.compat.alibi.IntegratedGradients", 1
_OPTIONS = ("method", "n_steps", "quirks", "rtol", "output")


def save_explainer(explainer: IntegratedGradients, path: str | os.PathLike[str]) -> None:
    """Write an explainer to a folder, without its model.

    Raises
    ------
    SerializationError
        The layer or `target_fn` is a function that no module names, as a lambda is, and nothing else says what it is.
    """
    batch = explainer.internal_batch_size
    entry = {
        "format": FORMAT,
        "version": VERSION,
        "options": {name: getattr(explainer, name) for name in _OPTIONS}
        | {"internal_batch_size": None if isinstance(batch, Unchosen) else batch},
        "layer": _written_layer(explainer),
        "target_fn": _written_function(explainer.target_fn),
    }
    text = json.dumps(entry, indent=1).encode()
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    replace(folder / FILE, lambda file: file.write(text))


def load_explainer(
    path: str | os.PathLike[str], predictor: Any, *, layer: Any = None, target_fn: Any = None
) -> IntegratedGradients:
    """Read an explainer and give it a model.

    Parameters
    ----------
    path : path
        The folder.
    predictor : Keras model
        The model to explain: the one of before, or another of its form.
    layer, target_fn : optional
        Instead of what the file names.
    """
    entry = _read(Path(path))
    options = dict(entry["options"])
    if options.get("internal_batch_size") is None:
        options.pop("internal_batch_size", None)
    if target_fn is None and entry["target_fn"] is not None:
        target_fn = function_at(entry["target_fn"], "target_fn")
    layer = _read_layer(entry["layer"], predictor) if layer is None else layer
    return IntegratedGradients(predictor, layer, target_fn, **options)


def _written_layer(explainer: IntegratedGradients) -> Any:
    asked = explainer.asked_layer
    if asked is None:
        return None
    if isinstance(asked, str):
        return {"name": asked}
    path = path_of(asked) if layers.is_function(asked) else None
    if path is not None:
        return {"callable": path}
    positions = layers.location(explainer.model, explainer.layer)
    if positions is None:
        raise SerializationError(
            "expected layer= as a function of a module, a name, or a layer that model.layers leads to, for only those "
            f"can be written without code; got {asked!r}"
        )
    return {"positions": positions}


def _read_layer(written: Any, predictor: Any) -> Any:
    if written is None:
        return None
    if "name" in written:
        return written["name"]
    if "callable" in written:
        return function_at(written["callable"], "layer")
    return layers.at(predictor, written["positions"])


def _written_function(function: Any) -> Any:
    path = None if function is None else path_of(function)
    if function is not None and path is None:
        raise SerializationError(
            f"expected target_fn= as a function of a module, which is written by its name; got {function!r}. Define it "
            "with def in a module, or save without it and pass target_fn= to load"
        )
    return path


def _read(folder: Path) -> Any:
    if not (folder / FILE).exists() and (folder / "explainer.dill").exists():
        raise SerializationError(
            f"{folder} was saved by alibi, as pickled code, which is not run. Make the explainer again and save it"
        )
    text = (folder / FILE).read_text(encoding="utf-8")
    try:
        entry = json.loads(text)
        if entry["format"] != FORMAT:
            raise SerializationError(f"expected the format {FORMAT!r}; got {entry['format']!r}")
        if entry["version"] > VERSION:
            raise SerializationError(f"written in format {entry['version']} by a newer pyig; this one reads {VERSION}")
        return {name: entry[name] for name in ("options", "layer", "target_fn")}
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise SerializationError(f"expected a saved explainer in {folder}; {FILE} is damaged ({error})") from error
