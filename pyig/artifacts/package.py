"""ModelPackage: the base class that makes a package of any differentiable model in ten lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig import tree
from pyig.errors import InputError

Table = Any


class ModelPackage:
    """A model, its columns and its baseline; derive from it in `package.py`, and return an instance in `get_model()`.

    What is written as a class attribute covers tables of numbers; a method is overridden where more is needed.

    Parameters
    ----------
    file : path
        ``__file__`` of the package.

    Attributes
    ----------
    path : Path
        Folder of the package.
    columns : sequence of str
        What a row must have.
    outputs : sequence of str
        Names of the outputs.
    model : str
        File of the model in the folder: a ``.keras`` or ``.h5`` file, or a SavedModel directory. Write `load` for
        anything else.
    encoded : dict of str
        Of a SavedModel: float tensors that stand for inputs, by name of the input.
    baseline : number, str, array, dict or callable
        As `pyig.IntegratedGradients.explain` takes it; a dict from columns to values is encoded as a row is.
    max_allowed_error : float, optional
        Largest error in percent.
    options : dict
        Options of `pyig.IntegratedGradients.explain`.

    Examples
    --------
    >>> class Area(ModelPackage):
    ...     columns, outputs, baseline = ("width", "height"), ("area",), {"width": 1, "height": 1}
    ...     def load(self):
    ...         return lambda x: x[:, 0] * x[:, 1]
    ...     def gradient(self, x):
    ...         return x[:, ::-1]
    >>> Area(__file__ if "__file__" in globals() else ".").columns
    ('width', 'height')
    """

    columns: Sequence[str] = ()
    outputs: Sequence[str] = ()
    model: str | None = None
    encoded: Mapping[str, str] = {}
    baseline: Any = 0
    max_allowed_error: float | None = None
    options: Mapping[str, Any] = {}
    gradient: Any = None
    """Of a numpy function: its gradient, as `pyig.IntegratedGradients` takes it."""

    def __init__(self, file: Any) -> None:
        place = Path(file).resolve()
        self.path = place if place.is_dir() else place.parent

    def load(self) -> Any:
        """Return the model: a torch module, a Keras model, a `tf.function`, or any function with a gradient."""
        if self.model is None:
            raise InputError(
                f"expected {type(self).__qualname__} to name the file of its model (model = 'net.keras') or to write "
                "load(); it does neither"
            )
        place = self.path / self.model
        if (place / "saved_model.pb").exists():
            from pyig.artifacts.saved_model import SavedModel

            # The package runs because it is trusted, and the model is a part of it.
            return SavedModel.load(place, trust=True).cut(dict(self.encoded))
        from pyig.artifacts.package_template import read_keras

        return read_keras(place)

    def encode(self, rows: Table) -> Any:
        """Return the model's input for rows: by default the columns as float32 (N, D).

        For a SavedModel with several inputs, by default the column of each.
        """
        return self.numbers(rows)

    def numbers(self, rows: Table) -> NDArray[np.float32]:
        """Return the columns as float32 (N, D)."""
        wrong = [column for column in self.columns if rows[column].dtype.kind not in "fiub"]
        if wrong:
            raise InputError(
                f"expected numbers in {', '.join(wrong)}; got text. Write encode(rows), and projections(rows) to match"
            )
        return np.asarray(rows[list(self.columns)].to_numpy(), np.float32)

    def baselines(self, rows: Table) -> Any:
        """Return where the paths start: a number, a name, or what `encode` would give for the rows to start from."""
        if not isinstance(self.baseline, Mapping) or set(self.baseline) != set(self.columns):
            return self.baseline
        import pandas as pd

        return self.encode(pd.DataFrame([{column: self.baseline[column] for column in self.columns}] * len(rows)))

    def projections(self, rows: Table) -> Any:
        """Return the projections of the model's input, as `pyig.projections.project` takes them.

        By default each column of a (N, D) input is a feature.
        """
        from pyig.projections import BagOfFeatures

        leaves, spec = tree.flatten(self.encode(rows))
        lone = spec.kind == "leaf" and leaves[0].ndim == 2 and leaves[0].shape[1] == len(self.columns)
        return BagOfFeatures(self.columns) if lone else {}
