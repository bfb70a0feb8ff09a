"""Run by test_mixed_inputs_keras.py in a process of its own: ids and floats in Keras on the backend of that process."""

from __future__ import annotations

import sys

import keras
import numpy as np
from keras import layers

import pyig

X = {"ids": np.array([[1, 2, 3, 4], [5, 6, 7, 8]]), "numbers": np.array([[0.1, 0.5], [0.9, 0.3]], np.float32)}

keras.utils.set_random_seed(0)
ids, numbers = keras.Input((4,), dtype="int32", name="ids"), keras.Input((2,), name="numbers")
table = layers.Embedding(15, 4)
joined = layers.Concatenate()([layers.Flatten()(table(ids)), numbers])
model = keras.Model({"ids": ids, "numbers": numbers}, layers.Dense(2)(layers.Dense(8, activation="tanh")(joined)))
ig = pyig.IntegratedGradients(model)
for step in (1, -1):
    x = {name: leaf[::step].copy() for name, leaf in X.items()}
    found = ig.explain(x, target=1, n_steps=32)
    total = found.attributions["ids"].sum(1) + found.attributions["numbers"].sum(1)
    np.testing.assert_allclose(total, found.values - found.baseline_values, atol=1e-5)
    assert np.abs(found.attributions["ids"]).min() > 0
    assert found.meta["layer"] == table.name
sys.stdout.write(keras.backend.backend())
