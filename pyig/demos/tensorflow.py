"""The demo's networks in Keras."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read once, while TensorFlow is imported
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # else it announces itself on stderr

import keras
import tensorflow as tf
from keras import layers

from pyig.demos import DIGITS, RISK, Recipe


class KerasTrainer:
    """Fits by AdamW; every initial weight has a seed of its own, so no global seed is set."""

    label = f"Keras {keras.__version__} on {keras.config.backend()} {tf.__version__}"

    def risk(self, x: NDArray[np.float32], y: NDArray[np.float32], seed: int) -> Any:
        """Fit a network with one hidden layer."""
        model = keras.Sequential(
            [
                layers.Input(x.shape[1:]),
                layers.Normalization(mean=x.mean(0), variance=x.var(0) + 1e-12),
                layers.Dense(16, "relu", kernel_initializer=_start(seed)),
                layers.Dense(1, "sigmoid", kernel_initializer=_start(seed + 1)),
            ]
        )
        return _fit(model, x, y, "binary_crossentropy", RISK, seed)

    def digits(self, images: NDArray[np.float32], labels: NDArray[np.int64], seed: int) -> Any:
        """Fit a convolutional network."""
        model = keras.Sequential(
            [
                layers.Input(images.shape[1:]),
                layers.Reshape((8, 8, 1)),
                layers.Conv2D(16, 3, padding="same", activation="relu", kernel_initializer=_start(seed)),
                layers.Conv2D(32, 3, activation="relu", kernel_initializer=_start(seed + 1)),
                layers.Flatten(),
                layers.Dense(10, kernel_initializer=_start(seed + 2)),
            ]
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        return _fit(model, images, labels, loss, DIGITS, seed)

    def predict(self, model: Any, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the network's outputs as numpy."""
        outputs: NDArray[np.float32] = np.asarray(model.predict(x, verbose=0))
        return outputs


def _start(seed: int) -> Any:
    return keras.initializers.GlorotUniform(seed=seed)


def _fit(model: Any, x: NDArray[Any], y: NDArray[Any], loss: Any, recipe: Recipe, seed: int) -> Any:
    model.compile(keras.optimizers.AdamW(recipe.rate, weight_decay=recipe.decay), loss)
    order = np.random.default_rng(seed).permutation(len(x))  # one fixed order: Keras shuffles from a global seed
    model.fit(x[order], y[order], batch_size=recipe.batch, epochs=recipe.epochs, shuffle=False, verbose=0)
    return model
