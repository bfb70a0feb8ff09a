"""A first metadata file for a model: what can be seen of it, to be corrected by those who know it."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyig.artifacts.metadata_rules import broken
from pyig.artifacts.metadata_schema import TENSORFLOW, Input, Metadata, Output
from pyig.errors import InputError, InputTypeError, unknown


@dataclass(frozen=True)
class Known:
    """What the user knows of a model beforehand.

    Attributes
    ----------
    feature_names : dict of sequence of str
        By input: a name for each entry of its last axis.
    baselines : dict of sequence
        By input: up to 10 baselines.
    labels : sequence of str, optional
        Names of the output's columns.
    """

    feature_names: Mapping[str, Sequence[str]]
    baselines: Mapping[str, Sequence[Any]]
    labels: Sequence[str] | None

    def input(self, name: str, **keys: Any) -> Input:
        """Return the metadata of one input; its baselines belong to what is fed."""
        names = self.feature_names.get(name)
        if names is not None and "encoding" not in keys:
            keys |= {"encoding": "bag_of_features", "index_feature_mapping": tuple(names)}
        starts = self.baselines.get(name)
        return Input(name=name, input_baselines=None if starts is None else tuple(starts), **keys)

    def output(self, name: str, **keys: Any) -> Output:
        """Return the metadata of the output."""
        return Output(name=name, index_name_mapping=None if self.labels is None else tuple(self.labels), **keys)

    def finished(self, metadata: Metadata) -> Metadata:
        """Return the metadata once its names are those of inputs, and its rules are kept."""
        names = [item.name for item in metadata.inputs]
        for name in (*self.feature_names, *self.baselines):
            if name not in names:
                raise unknown("input", name, names)
        faults = broken(metadata)
        if faults:
            raise InputError("\n".join(str(fault) for fault in faults))
        return metadata


def build(
    model: Any,
    *,
    signature: str | None = None,
    output: str | None = None,
    feature_names: Mapping[str, Sequence[str]] | None = None,
    baselines: Mapping[str, Sequence[Any]] | None = None,
    labels: Sequence[str] | None = None,
    trust: bool = False,
) -> Metadata:
    """Build metadata for a model.

    Parameters
    ----------
    model : path, SavedModel, Keras or tf-keras model, or torch.nn.Module
        A directory is read by its signature; a Keras model, or its file, gets the names that it has once exported.
    signature : str, optional
        Of a SavedModel. Default: ``xai_model``, ``serving_default``, or the only one.
    output : str, optional
        Name of the output, where there are several.
    feature_names, baselines : dict, optional
        By input: a name for each entry of its last axis; up to 10 baselines.
    labels : sequence of str, optional
        Names of the output's columns.
    trust : bool, default False
        Let a file run the code that it holds.

    Returns
    -------
    Metadata
        For inputs without gradients the nearest float tensor behind them is proposed as the encoded one. A torch
        module gets the keys that the format allows to frameworks without tensor names.

    Raises
    ------
    InputError
        For names that the model does not have, or content that breaks a rule.

    Examples
    --------
    >>> class Net:
    ...     def forward(self, x, mask=None): ...
    >>> from_torch(Net(), Known({"x": ["age", "height"]}, {}, None)).inputs[0].index_feature_mapping
    ('age', 'height')
    """
    known = Known(feature_names or {}, baselines or {}, labels)
    if isinstance(model, (str, os.PathLike)) and Path(model).is_file():
        model = _keras_model(Path(model), trust)
    made = {cls.__module__.partition(".")[0] for cls in type(model).__mro__}
    if isinstance(model, (str, os.PathLike)) or hasattr(model, "signatures"):
        from pyig.artifacts.metadata_build_saved import from_saved_model

        return known.finished(from_saved_model(model, known, signature, output, trust))
    if made & {"keras", "tf_keras"}:
        from pyig.artifacts.metadata_build_keras import from_keras

        return known.finished(from_keras(model, known, output))
    if "torch" in made:
        return known.finished(from_torch(model, known, output))
    raise InputTypeError(
        "expected a SavedModel directory, a Keras model or a torch module; "
        f"got {type(model).__module__}.{type(model).__qualname__}"
    )


def _keras_model(path: Path, trust: bool) -> Any:
    from pyig.artifacts.keras_file import KerasOpener

    if not KerasOpener.recognises(path):
        raise InputError(f"expected a SavedModel directory, or a .keras or .h5 file; got {str(path)!r}")
    source: Any = KerasOpener.open(path, trust=trust).source
    return source._call.model


def from_torch(module: Any, known: Known, output: str | None = None) -> Metadata:
    """Build metadata for a torch module: its inputs are the arguments of ``forward`` that have no default."""
    names = [
        parameter.name
        for parameter in inspect.signature(module.forward).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.default is parameter.empty
    ]
    inputs = tuple(known.input(name) for name in names)
    return Metadata(framework="pytorch", inputs=inputs, outputs=(known.output(output or "output"),))


def framework(flat: bool) -> str:
    """Return how tensors are named: as the graph does, or by the keys of a signature."""
    return TENSORFLOW[0] if flat else TENSORFLOW[1]


def encoding(fed: int, encoded: int) -> str:
    """Return what an encoded tensor is by its rank: a vector for each value that is fed, or one for all of a row."""
    return "concat_embedding" if encoded > fed else "combined_embedding"
