"""Small Keras models of the kinds in alibi's documented examples, and both libraries asked for the same."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import alibi_peer
import keras
import numpy as np
from keras import layers, ops

from pyig.compat.alibi import IntegratedGradients

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(5, 4)).astype(np.float32)
TOKENS = RNG.integers(1, 20, size=(4, 7))
IMAGES = RNG.random(size=(4, 14, 14, 1))  # float64, as pixels divided by 255 are
PHOTOS = RNG.random(size=(2, 12, 12, 3)).astype(np.float32)


@cache
def peer() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return alibi_peer.peer()


def theirs(model: Any, *given: Any, ctor: dict[str, Any] | None = None, **options: Any) -> Any:
    """Return the peer's explanation; what it has to say on the way is not asked for."""
    module = peer()
    before = module.logger.disabled
    module.logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return module.IntegratedGradients(model, **(ctor or {})).explain(*given, **options)
    finally:
        module.logger.disabled = before


def ours(model: Any, *given: Any, ctor: dict[str, Any] | None = None, **options: Any) -> Any:
    return IntegratedGradients(model, **(ctor or {})).explain(*given, **options)


def both(make: Callable[[], Any], *given: Any, ctor: dict[str, Any] | None = None, **options: Any) -> tuple[Any, Any]:
    """Return ours and theirs, each of its own model with the same weights: the peer may leave something behind."""
    return ours(make(), *given, ctor=ctor, **options), theirs(make(), *given, ctor=ctor, **options)


def close(found: Any, wanted: Any, atol: float = 1e-5) -> None:
    """Compare lists of attributions."""
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol * max(1.0, np.abs(b).max()))


def tabular(columns: int = 3, activation: str | None = "softmax") -> Any:
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(8, "tanh"), layers.Dense(columns, activation, kernel_initializer="normal")]
    )


def of_rank(shape: tuple[int, ...]) -> Any:
    keras.utils.set_random_seed(2)
    x = keras.Input((4,))
    return keras.Model(x, layers.Reshape(shape)(layers.Dense(int(np.prod(shape)), "tanh")(x)))


def mnist() -> Any:
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(6, 2, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(4, 2, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(16, "relu"),
            layers.Dense(10, "softmax"),
        ]
    )


def imdb() -> Any:
    keras.utils.set_random_seed(4)
    return keras.Sequential(
        [
            keras.Input((7,), dtype="int32"),
            layers.Embedding(20, 6, embeddings_initializer="normal"),
            layers.Conv1D(8, 3, padding="valid", activation="tanh"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(8, "tanh"),
            layers.Dense(2, "softmax", kernel_initializer="normal"),
        ]
    )


class Transformer(keras.Model):
    """One block of attention over tokens, with the mask as an argument of the call."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = layers.Embedding(20, 8, embeddings_initializer="normal")
        self.attention = layers.MultiHeadAttention(2, 4)
        self.norm = layers.LayerNormalization()
        self.classify = layers.Dense(2, "softmax", kernel_initializer="normal")

    def call(self, ids: Any, attention_mask: Any = None) -> Any:
        hidden = self.embed(ids)
        mask = None if attention_mask is None else ops.cast(attention_mask, "bool")[:, None, :]
        hidden = self.norm(hidden + self.attention(hidden, hidden, attention_mask=mask))
        return self.classify(hidden[:, 0])


def transformer() -> Any:
    keras.utils.set_random_seed(5)
    model = Transformer()
    model(TOKENS)
    # The peer asks every model for what only a graph of layers has.
    model.inputs, model.output_shape = [keras.KerasTensor((None, 7), "int32")], (None, 2)
    return model


def resnet() -> Any:
    keras.utils.set_random_seed(6)
    x = keras.Input((12, 12, 3))
    first = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    block = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(first))
    joined = layers.ReLU()(layers.Add()([first, block]))
    return keras.Model(x, layers.Dense(5, "softmax")(layers.GlobalAveragePooling2D()(joined)))


def embedding(model: Any) -> Any:
    """Return the embedding, as the `layer=` of old code does."""
    return model.embed if isinstance(model, Transformer) else model.layers[0]
