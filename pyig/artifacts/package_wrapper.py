"""The classes that the first generation of packages derives from: a SavedModel, its columns, and how it is explained.

Only what such a package says is kept here; the SavedModel is opened and cut as any other is (`saved_model`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pyig.errors import InputError, ModelError

Rows = Any


class TFSavedModelWrapper:
    """A SavedModel that predicts.

    Parameters
    ----------
    saved_model_path : path
        The directory.
    sig_def_key : str
        Which signature.
    output_columns : sequence of str
        Names of the outputs.
    is_binary_classification : bool
        One output column; of two that the model gives, the second.
    output_key : str, optional
        Which output of the signature; the first.
    batch_size : int
        Rows of one call.
    """

    def __init__(
        self,
        saved_model_path: Any,
        sig_def_key: str,
        output_columns: Sequence[str],
        is_binary_classification: bool = False,
        output_key: str | None = None,
        batch_size: int = 8,
    ) -> None:
        self.saved_model_path, self.sig_def_key = saved_model_path, sig_def_key
        self.output_columns, self.output_key = list(output_columns), output_key
        self.is_binary_classification, self.batch_size = is_binary_classification, batch_size
        self.input_tensor_to_differentiable_layer_mapping: Mapping[str, str] = {}
        self.saved_model: Any = None
        self.cut: Any = None

    def load_model(self) -> None:
        """Open the SavedModel and cut it at the tensors of the mapping."""
        from pyig.artifacts.saved_model import SavedModel

        # The package runs because it is trusted, and the model is a part of it.
        self.saved_model = SavedModel.load(self.saved_model_path, self.sig_def_key, trust=True)
        outputs = list(self.saved_model.signature().outputs)
        self.output_key = self.output_key or outputs[0]
        mapping = {key: name for key, name in self.input_tensor_to_differentiable_layer_mapping.items() if name}
        inputs = self.saved_model.signature().inputs
        itself = {
            key: (tensor.tensor_name, tensor.tensor_name.removesuffix(":0"), key) for key, tensor in inputs.items()
        }
        encoded = {key: name for key, name in mapping.items() if name not in itself.get(key, ())}
        self.cut = self.saved_model.cut(encoded, self.output_key)
        if self.is_binary_classification and len(self.output_columns) != 1:
            raise InputError(
                f"expected one output column for a binary classification; got {', '.join(self.output_columns)}"
            )

    def transform_input(self, input_df: Rows) -> Rows:
        """Return a table with one column per input of the signature; the package writes this."""
        raise NotImplementedError(
            "write transform_input(input_df) in package.py: one column per input of the signature"
        )

    def predict(self, input_df: Rows) -> Rows:
        """Return the outputs as a table."""
        import pandas as pd

        transformed = self.transform_input(input_df)
        outputs = [
            self.column(self.cut.predict(self.feed(transformed.iloc[start : start + self.batch_size])))
            for start in range(0, len(transformed), self.batch_size)
        ]
        found = np.concatenate(outputs) if outputs else np.zeros((0, len(self.output_columns)))
        return pd.DataFrame(found.reshape(len(transformed), -1), columns=self.output_columns)

    def column(self, outputs: Any) -> Any:
        """Return what the output columns stand for: of two columns of a binary classification, the second."""
        two = self.is_binary_classification and outputs.ndim == 2 and outputs.shape[1] == 2
        return outputs[:, 1] if two else outputs

    def feed(self, transformed: Rows) -> dict[str, Any]:
        """Return one array per input of the signature.

        Raises
        ------
        ModelError
            Where the transformed rows lack an input, or their shape is another one.
        """
        if self.cut is None:
            raise ModelError("expected load_model() to be called in get_model(); the SavedModel is not open")
        found = {}
        for name, tensor in self.cut.inputs.items():
            if name not in transformed.columns:
                raise ModelError(
                    f"expected transform_input() to give a column {name!r}, an input of the signature; it gives "
                    f"{', '.join(map(str, transformed.columns))}"
                )
            found[name] = shaped(np.array(transformed[name].tolist()), tensor)
        return found

    get_feed_dict = feed


class TFSavedModelWrapperIg(TFSavedModelWrapper):
    """A SavedModel that predicts and is explained.

    Parameters
    ----------
    saved_model_path, sig_def_key, output_columns, is_binary_classification, output_key, batch_size
        As for `TFSavedModelWrapper`.
    input_tensor_to_differentiable_layer_mapping : dict of str
        For each input of the signature the float tensor that stands for it: of the same shape, or with one axis more.
    max_allowed_error : float, optional
        Largest completeness gap in percent of F(x) - F(x').
    """

    def __init__(
        self,
        saved_model_path: Any,
        sig_def_key: str,
        output_columns: Sequence[str],
        is_binary_classification: bool = False,
        output_key: str | None = None,
        batch_size: int = 8,
        input_tensor_to_differentiable_layer_mapping: Mapping[str, str] | None = None,
        max_allowed_error: float | None = None,
    ) -> None:
        super().__init__(
            saved_model_path, sig_def_key, output_columns, is_binary_classification, output_key, batch_size
        )
        self.input_tensor_to_differentiable_layer_mapping = dict(input_tensor_to_differentiable_layer_mapping or {})
        self.max_allowed_error = max_allowed_error
        self.steps = 10
        self.ig_enabled = True

    def generate_baseline(self, input_df: Rows) -> Rows:
        """Return the baseline of each row, as transformed rows; the package writes this."""
        raise NotImplementedError("write generate_baseline(input_df) in package.py: transformed rows of no information")

    def project_attributions(self, input_df: Rows, transformed_input_df: Rows, attributions: Mapping[str, Any]) -> Any:
        """Return the attributions of the columns; the package writes this."""
        raise NotImplementedError(
            "write project_attributions(input_df, transformed_input_df, attributions) in package.py"
        )


def shaped(array: Any, tensor: Any) -> Any:
    """Return an array with the axes of its place: a number per row also fits (N, 1)."""
    if tensor.shape is not None and len(tensor.shape) == array.ndim + 1 and tensor.shape[-1] == 1:
        return array[..., None]
    return array
