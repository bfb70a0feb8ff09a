"""The Keras template that the second generation of packages derives from, on Keras 3 and on tf-keras.

A model is cut behind its embeddings by a new functional model over the same layers; nothing is rebuilt or mutated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pyig.errors import InputError, missing

Rows = Any


class ComputeGradientsKerasTF2:
    """Gradients of a Keras model with respect to its inputs or to its embeddings.

    Parameters
    ----------
    model : Keras model
        Functional or Sequential.
    model_dir, model_artifact_path : path, str
        Where it was read from; kept for packages that look.
    att_layer_names_mapping : dict of str to sequence of str
        The columns behind each layer.
    embedding_names : sequence of str
        Layers at whose outputs gradients are taken; none for a table of numbers.
    hybrid : bool
        Whether inputs come transformed, by layer.
    """

    def __init__(
        self,
        model: Any,
        model_dir: Any,
        model_artifact_path: Any,
        att_layer_names_mapping: Mapping[str, Sequence[str]],
        embedding_names: Sequence[str] | None,
        hybrid: bool = False,
    ) -> None:
        if not isinstance(att_layer_names_mapping, Mapping) or not att_layer_names_mapping:
            raise ValueError(
                "expected att_layer_names_mapping= from layers to lists of columns, such as {'num': ['price']}; "
                f"got {att_layer_names_mapping!r}"
            )
        self.model, self.model_dir, self.model_artifact_path = model, model_dir, model_artifact_path
        self.att_layer_names_mapping = dict(att_layer_names_mapping)
        self.embedding_names = list(embedding_names or [])
        self.hybrid = hybrid

    def transform_to_attributable_input(self, input_data: Any) -> dict[str, Any]:
        """Return the arrays at which gradients are taken, by layer."""
        if self.embedding_names:
            layers = {name: self.model.get_layer(name).output for name in self.att_layer_names_mapping}
            front = model_class(self.model)(self.model.inputs, list(layers.values()))
            found = front(_inputs(self.model, input_data), training=False)
            return dict(
                zip(layers, map(np.asarray, found if isinstance(found, (list, tuple)) else [found]), strict=True)
            )
        if self.hybrid:
            return {layer: np.asarray(input_data[layer]) for layer in self.att_layer_names_mapping}
        return {
            layer: np.asarray(input_data[list(columns)].to_numpy(), np.float32)
            for layer, columns in self.att_layer_names_mapping.items()
        }

    def define_model_grads(self, batch_input_shape_list: Any = None) -> Any:
        """Return the part of the model behind its embeddings; shapes need not be given."""
        del batch_input_shape_list
        layers = {name: self.model.get_layer(name).output for name in self.att_layer_names_mapping}
        model, names = behind(self.model, layers)
        if len(names) > len(layers):
            raise InputError(
                f"expected att_layer_names_mapping= to have every way in; {', '.join(names[len(layers) :])} "
                "bypasses it. Map that input too"
            )
        return model

    def compute_gradients(self, attributable_input: Mapping[str, Any], grad_model: Any) -> list[dict[str, Any]]:
        """Return the gradients of each output column, by layer."""
        import tensorflow as tf

        points = {name: tf.convert_to_tensor(value) for name, value in attributable_input.items()}
        given = [points[name] for name in self.att_layer_names_mapping]
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(points)
            outputs = tf.reshape(_call(grad_model, given), (len(next(iter(points.values()))), -1))
            columns = tf.unstack(outputs, axis=1)
        return [
            {name: np.asarray(value) for name, value in tape.gradient(column, points).items()} for column in columns
        ]


class TemplateKerasTF2Model:
    """A Keras model with all that the second generation of packages asks for, but for what only its author knows.

    A package derives from it and writes `get_ig_baseline`, `_transform_input` and `project_attributions`.

    Parameters
    ----------
    model_dir : path
        Folder of the package.
    model_artifact_path : str
        The model's file or directory in it.
    att_layer_names_mapping : dict of str to sequence of str
        The columns behind each layer.
    output_col : sequence of str
        Names of the outputs.
    embedding_names : sequence of str, optional
        Layers at whose outputs gradients are taken.
    batch_input_shape_list : optional
        Not needed here.
    hybrid : bool
        Whether inputs come transformed, by layer.
    """

    def __init__(
        self,
        model_dir: Any,
        model_artifact_path: str,
        att_layer_names_mapping: Mapping[str, Sequence[str]],
        output_col: Sequence[str],
        embedding_names: Sequence[str] | None = None,
        batch_input_shape_list: Any = None,
        hybrid: bool = False,
    ) -> None:
        self.output_col, self.hybrid = list(output_col), hybrid
        self.embedding_names = list(embedding_names or [])
        self.model = read_keras(Path(model_dir) / model_artifact_path)
        self.grads_instance = ComputeGradientsKerasTF2(
            self.model, model_dir, model_artifact_path, att_layer_names_mapping, self.embedding_names, hybrid
        )
        cut = self.grads_instance.define_model_grads
        self.grad_model = cut(batch_input_shape_list) if self.embedding_names else self.model

    def transform_to_attributable_input(self, input_df: Rows) -> dict[str, Any]:
        """Return the arrays at which gradients are taken."""
        transformed = self._transform_input(input_df) if self.embedding_names or self.hybrid else input_df
        return self.grads_instance.transform_to_attributable_input(transformed)

    def compute_gradients(self, attributable_input: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the gradients of each output, by layer."""
        return self.grads_instance.compute_gradients(attributable_input, self.grad_model)

    def predict(self, input_df: Rows) -> Rows:
        """Return the outputs as a table."""
        import pandas as pd

        outputs = _call(self.model, _inputs(self.model, self._transform_input(input_df)))
        return pd.DataFrame(np.asarray(outputs).reshape(len(input_df), -1), columns=self.output_col)

    def _transform_input(self, input_df: Rows) -> Any:
        raise NotImplementedError("write _transform_input(input_df) in package.py: from columns to the model's input")

    def get_ig_baseline(self, input_df: Rows) -> Rows:
        """Return the baseline of each row, as rows; the package writes this."""
        raise NotImplementedError(
            "write get_ig_baseline(input_df) in package.py: the rows that stand for no information"
        )

    def project_attributions(self, input_df: Rows, attributions: Sequence[Mapping[str, Any]]) -> Any:
        """Return the attributions of the columns; the package writes this."""
        raise NotImplementedError(
            "write project_attributions(input_df, attributions) in package.py; IGTabularAttributions helps with tables"
        )


def read_keras(path: Path, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Read a Keras model of a package whose code is trusted: Keras 3 files, and what Keras 2 saved through tf-keras."""
    if not path.exists():
        raise InputError(f"expected the model of the package at {str(path)!r}; it is not there")
    import keras

    if path.is_file():
        try:
            return keras.models.load_model(path, custom_objects, compile=False, safe_mode=False)
        except (ValueError, TypeError, AttributeError) as error:
            reason = error
    else:
        reason = ValueError("Keras 3 does not read directories")
    try:
        import tf_keras
    except ModuleNotFoundError as absent:
        raise missing("tf-keras", f"{path.name}, which Keras 2 saved ({reason}),", "tensorflow") from absent
    return tf_keras.models.load_model(str(path), custom_objects, compile=False)


def behind(model: Any, cuts: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """Cut a functional model at some of its tensors.

    Returns
    -------
    model
        The part behind them, a model of the tensors and of the inputs that bypass them.
    names : list of str
        Of its inputs, in their order: the tensors' names, and those of the model's own inputs.
    """
    build, tensors = model_class(model), list(cuts.values())
    try:
        return build(tensors, model.outputs), list(cuts)
    except ValueError as error:  # an input bypasses the cut
        extra = [tensor for tensor in model.inputs if all(tensor is not cut for cut in tensors)]
        try:
            return build([*tensors, *extra], model.outputs), [*cuts, *(short(tensor) for tensor in extra)]
        except ValueError:
            raise InputError(
                f"expected the outputs of {', '.join(cuts)} to cut the model; Keras finds no way from there: {error}"
            ) from error


def short(tensor: Any) -> str:
    """Name a tensor of a Keras model, without what TensorFlow appends."""
    return str(tensor.name).partition(":")[0]


def model_class(model: Any) -> Any:
    """Return Model of the Keras that the model is of: tf-keras is another one than Keras 3."""
    if any(cls.__module__.partition(".")[0] == "tf_keras" for cls in type(model).__mro__):
        import tf_keras

        return tf_keras.Model
    import keras

    return keras.Model


def _inputs(model: Any, given: Any) -> Any:
    import tensorflow as tf

    if hasattr(given, "to_numpy"):
        given = given.to_numpy()
    if isinstance(given, Mapping) or len(model.inputs) > 1:
        return given
    return tf.cast(np.asarray(given), model.inputs[0].dtype)


def _call(model: Any, given: Any) -> Any:
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    outputs = model(given, training=False)
    return outputs[0] if isinstance(outputs, (list, tuple)) else outputs
