"""Model packages of every form, as text: a test writes the ones it needs into a folder."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

COLUMNS = ("age", "sex", "trestbps", "chol", "fbs", "thalach", "exang", "oldpeak", "slope")

AREA = """
    from pyig.artifacts import ModelPackage

    class Area(ModelPackage):
        columns, outputs = ("width", "height"), ("area",)
        max_allowed_error = 1

        def load(self):
            return lambda x: x[:, 0] * x[:, 1]

        def gradient(self, x):
            return x[:, ::-1]

    def get_model():
        return Area(__file__)
"""

LINEAR_SECOND = """
    import numpy as np
    import pandas as pd
    from fiddler.packtools.gem import GEMContainer, GEMSimple, GEMText

    W = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]])

    class Model:
        output_columns = ["low", "high"]

        def get_settings(self):
            return {"ig_start_steps": 4, "ig_max_steps": 256, "ig_min_error_pct": 1.0}

        def _x(self, rows):
            return rows[["a", "b", "c"]].to_numpy(float)

        def predict(self, rows):
            return pd.DataFrame(np.tanh(self._x(rows) @ W.T), columns=self.output_columns)

        def get_ig_baseline(self, rows):
            return rows * 0

        def transform_to_attributable_input(self, rows):
            return {"numbers": self._x(rows)}

        def compute_gradients(self, points):
            inner = points["numbers"] @ W.T
            slopes = 1 - np.tanh(inner) ** 2
            return [{"numbers": slopes[:, k : k + 1] * W[k]} for k in range(2)]

        def project_attributions(self, row, attributions):
            found = {}
            for name, by_layer in zip(self.output_columns, attributions):
                nodes = [
                    GEMSimple(feature_name=column, value=float(row[column].iloc[0]), attribution=by_layer["numbers"][i])
                    for i, column in enumerate(row.columns)
                ]
                found[name] = GEMContainer(contents=nodes).render()
            return found

    def get_model():
        return Model()
"""

HEART_KERAS = """
    import pathlib

    import pandas as pd
    import tensorflow as tf
    from tensorflow.keras.models import load_model

    tf.compat.v1.disable_eager_execution()

    class HeartDisease:
        def __init__(self, max_allowed_error):
            self.sess = tf.Session()
            with self.sess.as_default():
                self.model = load_model(pathlib.Path(__file__).parent / "heart.h5")
            self.ig_enabled = True
            self.batch_size = 256
            self.max_allowed_error = max_allowed_error
            self.output_columns = ["predicted_target"]
            source, sink = self.model.input, self.model.output
            self.source = source
            self.gradient_tensors = {"predicted_target": {source: tf.gradients(sink, source)}}
            self.differentiable_tensors = {source: source}

        def get_feed_dict(self, rows):
            return {self.source: rows.values}

        def transform_input(self, rows):
            return rows

        def generate_baseline(self, rows):
            return rows * 0 + MEANS

        def predict(self, rows):
            with self.sess.as_default():
                found = self.model.predict(self.transform_input(rows), verbose=0)
            return pd.DataFrame(found, columns=self.output_columns)

        def project_attributions(self, rows, transformed, attributions):
            whole = attributions[self.source]
            return {column: whole[0][i].tolist() for i, column in enumerate(rows.columns)}

    MEANS = %s

    def get_model():
        return HeartDisease(max_allowed_error=1)
"""

HEART_SAVED_MODEL = """
    import pathlib

    import numpy as np
    import pandas as pd
    import tensorflow as tf

    from .tf_saved_model_wrapper_ig import TFSavedModelWrapperIg

    PLACE = pathlib.Path(__file__).parent / "saved_model"
    MEANS = %s

    class HeartDisease(TFSavedModelWrapperIg):
        def transform_input(self, rows):
            return pd.DataFrame({"findings": rows.to_numpy(np.float32).tolist()})

        def generate_baseline(self, rows):
            return pd.DataFrame({"findings": [MEANS] * len(rows)})

        def project_attributions(self, rows, transformed, attributions):
            return dict(zip(rows.columns, attributions["findings"][0].tolist()))

    def get_model():
        model = HeartDisease(
            PLACE,
            tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY,
            output_columns=["risk"],
            is_binary_classification=True,
            batch_size=32,
            max_allowed_error=1,
        )
        model.load_model()
        return model
"""

FILM_SAVED_MODEL = """
    import pathlib

    import pandas as pd

    from .tf_saved_model_wrapper_ig import TFSavedModelWrapperIg

    WORDS = ["", "a", "good", "bad", "film"]
    LENGTH = 5

    class Film(TFSavedModelWrapperIg):
        def _ids(self, text):
            ids = [WORDS.index(word) for word in text.split()][:LENGTH]
            return [*ids, *[0] * (LENGTH - len(ids))]

        def transform_input(self, rows):
            return pd.DataFrame({"ids": [self._ids(text) for text in rows["sentence"]]})

        def generate_baseline(self, rows):
            return pd.DataFrame({"ids": [self._ids("")] * len(rows)})

        def project_attributions(self, rows, transformed, attributions):
            words = rows["sentence"][0].split()
            assert attributions["ids"].shape == (1, LENGTH)
            kept = LENGTH if KEEP_ALL else 1
            words = (words + [""] * LENGTH)[:kept]
            return {"sentence": [words, attributions["ids"][0].tolist()[:kept]]}

    KEEP_ALL = %s

    def get_model():
        model = Film(
            pathlib.Path(__file__).parent / "saved_model",
            "serving_default",
            ["positive"],
            is_binary_classification=True,
            input_tensor_to_differentiable_layer_mapping={"ids": "words"},
            max_allowed_error=5,
        )
        model.load_model()
        return model
"""

FILM_SECOND = """
    import pathlib

    import numpy as np

    from fiddler.packtools import project_attributions_helpers, template_model

    class Tokenizer:
        filters = "!,."
        words = ["", "a", "good", "bad", "film"]

        def texts_to_sequences(self, texts):
            plain = "".join(c for c in texts[0].lower() if c not in self.filters)
            return [[self.words.index(word) for word in plain.split()]]

        def sequences_to_texts(self, sequences):
            return [self.words[one[0]] for one in sequences]

    class Film(template_model.TemplateKerasTF2Model):
        tokenizer = Tokenizer()

        def get_settings(self):
            return {"ig_start_steps": 8, "ig_max_steps": 512, "ig_min_error_pct": 2.0}

        def get_ig_baseline(self, rows):
            rows = rows.copy()
            rows["sentence"] = ""
            return rows

        def _transform_input(self, rows):
            ids = [self.tokenizer.texts_to_sequences([text])[0] for text in rows["sentence"]]
            return [[*one, *[0] * (5 - len(one))] for one in ids]

        def project_attributions(self, row, attributions):
            helper = project_attributions_helpers.IGTextAttributionsTF2Keras(row, ["positive"])
            tokens = helper.text_to_tokens_keras(self.tokenizer, 5, "sentence")
            return helper.get_project_attribution(attributions, self.tokenizer, tokens, "words", "sentence")

    def get_model():
        return Film(
            pathlib.Path(__file__).parent,
            "film.keras",
            {"words": ["sentence"]},
            ["positive"],
            embedding_names=["words"],
            batch_input_shape_list=[(None, 5, 4)],
        )
"""

TORCH = """
    import torch
    from pyig.artifacts import ModelPackage

    class Heart(ModelPackage):
        columns, outputs = %r, ("risk",)
        max_allowed_error = 1

        def load(self):
            net = torch.nn.Sequential(torch.nn.Linear(9, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
            net.load_state_dict(torch.load(self.path / "net.pt", weights_only=True))
            return net

    def get_model():
        return Heart(__file__)
"""


def write(folder: Path, source: str, name: str = "package.py") -> Path:
    """Write a file of a package, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(dedent(source), encoding="utf-8")
    return folder
