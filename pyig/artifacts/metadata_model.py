"""A SavedModel with its ``explanation_metadata.json``: rows in, attributions by the user's feature names out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig.artifacts import metadata_read, metadata_rows, saved_model_file
from pyig.artifacts.artifact import Problem, Table
from pyig.artifacts.metadata_average import averaged
from pyig.artifacts.metadata_bind import Binding, bind
from pyig.artifacts.metadata_rules import unexplainable
from pyig.artifacts.metadata_schema import FILE_NAME, TENSORFLOW, Metadata
from pyig.artifacts.metadata_targets import Labels
from pyig.artifacts.metadata_write import to_dict
from pyig.artifacts.saved_model import SavedModel
from pyig.errors import InputError
from pyig.explainer import IntegratedGradients
from pyig.explanation import Explanation

PREPROCESS, EXPLAINED = "xai_preprocess", "xai_model"


class MetadataOpener:
    """Opens SavedModel directories with a metadata file."""

    options = ("metadata", "signature", "output")

    @staticmethod
    def recognises(path: Path) -> bool:
        """Tell by the two files."""
        return (path / FILE_NAME).is_file() and (path / "saved_model.pb").is_file()

    @staticmethod
    def open(path: Path, *, trust: bool = False, **options: Any) -> MetadataModel:
        """Open a directory; the options are those of `MetadataModel`."""
        return MetadataModel(path, trust=trust, **options)


class MetadataModel:
    """An artifact that knows what its inputs and outputs are called.

    Parameters
    ----------
    path : path
        Directory of a SavedModel.
    metadata : Metadata or path, optional
        Default: the ``explanation_metadata.json`` of the directory.
    signature : str, optional
        Which signature is explained. Default: ``xai_model``, what the metadata says, ``serving_default``, or the only
        one. In front of ``xai_model``, rows go through ``xai_preprocess`` where the model has it.
    output : str, optional
        Name of the output, where the metadata has several.
    trust : bool, default False
        Load also a model with operations that read files or run other code.

    Raises
    ------
    InputError
        When the metadata breaks a rule, or names what the model does not have; the message names the key.
    """

    kind = "metadata"

    def __init__(
        self,
        path: str | Path,
        *,
        metadata: Metadata | str | Path | None = None,
        signature: str | None = None,
        output: str | None = None,
        trust: bool = False,
    ) -> None:
        self.path = Path(path)
        self.metadata = metadata if isinstance(metadata, Metadata) else metadata_read.read(metadata or self.path)
        if self.metadata.framework not in (None, *TENSORFLOW):
            raise InputError(
                f"{FILE_NAME}, framework: expected tensorflow or tensorflow2 beside a SavedModel; got "
                f"{self.metadata.framework!r}"
            )
        key = signature or self._key()
        self.model = SavedModel.load(self.path, key, trust=trust)
        self.binding: Binding = bind(self.model, self.metadata, self.model.key, output)
        self.labels = Labels(self.binding)
        self.defaults: Mapping[str, Any] = {}
        self._explainer: IntegratedGradients | None = None

    def _key(self) -> str | None:
        """Return the signature that is explained, where its name says so."""
        known = saved_model_file.read(self.path).signatures
        if EXPLAINED in known:
            return EXPLAINED
        return self.metadata.serving_sigdef_key if self.metadata.serving_sigdef_key in known else None

    @property
    def columns(self) -> tuple[str, ...]:
        """What a row must have."""
        if self.preprocesses:
            return tuple(self.model.signatures[PREPROCESS].inputs)
        return metadata_rows.wanted(self.binding.features, self._needed())

    @property
    def outputs(self) -> tuple[str, ...]:
        """Labels of the output's columns, where the metadata has them."""
        return self.labels.names

    @property
    def preprocesses(self) -> bool:
        """Whether rows go through ``xai_preprocess`` before ``xai_model``."""
        return PREPROCESS in self.model.signatures and self.model.key == EXPLAINED

    def predict(self, rows: Table) -> NDArray[Any]:
        """Return the model's outputs, shape (N, ...)."""
        from pyig.artifacts.metadata_tail import feeds

        return self.binding.cut.predict(feeds(self._read(rows), self.binding.features))

    def explain(self, rows: Table, target: Any = None, *, baselines: Any = None, **options: Any) -> Explanation:
        """Explain rows in the user's features.

        Parameters
        ----------
        rows : DataFrame, dict of columns, or list of dicts
            With the names of the metadata (a bag of features also as one column per feature), or of the model's
            inputs.
        target : int, str or other, optional
            As for `IntegratedGradients.explain`, or a label of the metadata. Default: the column with the highest
            score. Two labels for one column: its probability is that of the second.
        baselines : optional
            Instead of those of the metadata: a row, a list of rows (averaged), or what `IntegratedGradients.explain`
            takes for the explained tensors.
        **options
            Of `IntegratedGradients.explain`.

        Returns
        -------
        Explanation
            Its dicts have one entry per feature of the user; `values` to `meta` are those of the path through the
            explained tensors.
        """
        return self._from_raw(self._read(rows), target, baselines, options)

    def _from_raw(self, raw: Mapping[str, Any], target: Any, baselines: Any, options: Mapping[str, Any]) -> Explanation:
        from pyig.artifacts import metadata_baselines
        from pyig.artifacts.metadata_tail import encode
        from pyig.artifacts.metadata_words import combines

        explained = encode(self.binding, raw, self.binding.features)
        if baselines is None:
            start = metadata_baselines.from_metadata(self.binding, raw, explained)
        else:
            start = metadata_baselines.from_user(self.binding, baselines, raw, explained)
        if len(start.singles) > 1 and combines(self.binding, raw, explained) and options.get("method") != "expected":
            each = [
                self._explained(raw, explained, single, words, target, options)
                for single, words in zip(start.singles, start.words, strict=True)
            ]
            return averaged(each)
        words = start.words[0] if len(start.words) == 1 else {}
        return self._explained(raw, explained, start.together, words, target, options)

    def _explained(
        self,
        raw: Mapping[str, Any],
        explained: Mapping[str, Any],
        start: Any,
        words: Mapping[str, Any],
        target: Any,
        options: Mapping[str, Any],
    ) -> Explanation:
        """Explain from one baseline, or from several at once, whose words then are of no use."""
        from pyig.artifacts.metadata_tail import Tail
        from pyig.artifacts.metadata_words import in_words

        if self._explainer is None:
            self._explainer = IntegratedGradients(Tail(self.binding), backend="tensorflow")
        labels = cache(lambda: self._labels_of(raw))
        own = {**options, "forward_kwargs": {**self._fixed(raw), **(options.get("forward_kwargs") or {})}}
        if isinstance(own.get("contrast"), str):
            own["contrast"] = self.labels.target(own["contrast"], labels)
        if not callable(target):
            own.setdefault("output_kind", self.binding.cut.output_kind)
            if not self.labels.binary or target is not None:
                own.setdefault("output_names", self.labels.flat(labels))
            if self.labels.binary and target is not None:
                own["value"] = own.get("value") or "probability"
        found = self._explainer.explain(dict(explained), start, self.labels.target(target, labels), **own)
        notes = [*found.meta["notes"], *self.binding.cut.notes]
        found = replace(found, meta=found.meta | {"notes": notes, "artifact": self.kind, "model": self.path.name})
        return in_words(found, self.binding, raw, words)

    def describe(self) -> dict[str, Any]:
        """Return what `pyig info` prints."""
        return {
            "kind": self.kind,
            "path": str(self.path),
            "signature": self.model.key,
            "signatures": {key: signature.data() for key, signature in self.model.signatures.items()},
            "columns": list(self.columns),
            "features": {
                bound.item.name: {
                    "fed": bound.feed,
                    "explained": bound.place.tensor_name,
                    "shape": None if bound.place.shape is None else list(bound.place.shape),
                    "encoding": bound.item.encoding,
                    **({"group": bound.item.group_name} if bound.item.group_name else {}),
                }
                for bound in self.binding.features
            },
            "fixed": list(self._needed()),
            "output": {"name": self.binding.output.name, "tensor": self.binding.cut.output.tensor_name},
            "labels": list(self.outputs),
            "metadata": to_dict(self.metadata),
        }

    def problems(self, rows: Table | None = None) -> Iterator[Problem]:
        """Look for what keeps it from being explained: in the metadata, and on rows where some are given."""
        yield from unexplainable(self.metadata)
        for name in self._needed():
            what = f"the model takes {self.binding.cut.inputs[name]}, of which the metadata does not speak"
            yield Problem("warning", f"inputs.{name}", what, "It is held fixed; rows must have it")
        try:
            raw = self._invented() if rows is None else self._read(_first(rows))
            rank = len(self.binding.cut.output.shape or (None, None))
            self._from_raw(raw, None if rank < 3 else (0,) * (rank - 1), None, {"n_steps": 2, "progress": False})
        except Exception as error:  # of pyig, or of TensorFlow in one of its many ways
            if rows is None:
                yield Problem("warning", "rows", f"invented rows could not be explained: {error}", "Try real ones")
            else:
                yield Problem("error", "rows", str(error), "Correct the rows or the metadata")

    def _invented(self) -> dict[str, Any]:
        """Return two rows of the right dtypes and shapes."""
        cut, raw = self.binding.cut, dict[str, Any]()
        for name, place in cut.inputs.items():
            if name not in cut.defaults:
                raw[name] = metadata_rows.invented(place)
        for bound in self.binding.features:
            if bound.sparse is not None and bound.source is not None:
                width = len(bound.item.index_feature_mapping or (0, 0)) if bound.direct else 2
                raw[str(bound.feed)] = metadata_rows.invented(replace(bound.source, shape=(None, width)))
                raw[bound.sparse.indices] = np.ones((2, width), bool)
                raw.pop(bound.sparse.dense_shape)
                if bound.weights is not None:
                    raw[bound.weights[0]] = np.ones((2, width), np.float32)
                    raw = {name: value for name, value in raw.items() if name not in bound.weights[1:]}
        return raw

    def _needed(self) -> tuple[str, ...]:
        """Return the inputs that no metadata speaks of and that the model has no value for."""
        return tuple(name for name in self.binding.others if name not in self.binding.cut.defaults)

    def _read(self, rows: Table) -> dict[str, Any]:
        table = metadata_rows.columns(rows)
        cut = self.binding.cut
        if self.preprocesses:
            raw_names = self.model.signatures[PREPROCESS].inputs
            if all(name in table for name in raw_names):
                table = self._preprocessed(table)
        others = {name: cut.inputs[name] for name in self.binding.others}
        return metadata_rows.read(table, self.binding.features, others, cut.defaults)

    def _preprocessed(self, table: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs of ``xai_preprocess``, which the explained signature takes by name."""
        from pyig.artifacts.saved_model_cut import as_tensor

        places = self.model.signatures[PREPROCESS].inputs
        given = {name: as_tensor(metadata_rows.dense(table[name], p, name), p) for name, p in places.items()}
        found = self.model.loaded.signatures[PREPROCESS](**given)
        return {name: np.asarray(tensor) for name, tensor in found.items()}

    def _fixed(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the model needs as it is behind the explained tensors."""
        import tensorflow as tf

        needed = set(self.binding.fixed)
        for bound in self.binding.features:
            if bound.sparse is not None and needed & set(bound.taken):
                needed |= set(bound.taken)
                if bound.direct:  # its places come from the points themselves
                    needed -= {bound.feed, bound.sparse.indices, bound.sparse.dense_shape}
        defaults = {name: value for name, value in self.binding.cut.defaults.items() if name in needed}
        return {name: tf.constant(value) for name, value in {**defaults, **raw}.items() if name in needed}

    def _labels_of(self, raw: Mapping[str, Any]) -> NDArray[Any]:
        """Return the labels of each row's columns, where the model itself has them."""
        from pyig.artifacts.metadata_tail import feeds

        key = self.labels.key
        tensor = self.model.signature(self.model.key).outputs[str(key)].tensor_name
        return np.asarray(self.binding.cut.fetch(feeds(raw, self.binding.features), {"labels": tensor})["labels"])


def _first(rows: Table) -> dict[str, Any]:
    return {name: column[:1] for name, column in metadata_rows.columns(rows).items()}
