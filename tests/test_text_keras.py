"""Texts for Keras models: a TextVectorization beside them, and inputs of one length."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from pyig.errors import InputError
from pyig.text import explain_text
from pyig.text.limits import length_of
from pyig.text.tokenizers import read_tokenizer

layers = keras.layers
TEXTS = ["The good film", "so bad"]


def vectorization(length: int | None = None, mode: str = "int") -> layers.TextVectorization:
    made = layers.TextVectorization(output_mode=mode, output_sequence_length=length)
    made.adapt([*TEXTS, "not"])
    return made


def model(length: int | None) -> keras.Model:
    keras.utils.set_random_seed(0)
    pool = layers.GlobalAveragePooling1D() if length is None else layers.Flatten()
    ids = keras.Input((length,), dtype="int32")
    return keras.Model(ids, layers.Dense(2, "tanh")(pool(layers.Embedding(9, 4)(ids))))


@pytest.mark.parametrize("length", [None, 6])
def test_texts_have_the_length_that_the_model_takes(length: int | None) -> None:
    net, words = model(length), vectorization()
    assert length_of(net, None) == length
    assert length_of(net, 7) == 7
    found = explain_text(net, TEXTS, words, target=1, progress=False)
    assert [share.text for share in found.shares(0)] == ["The", "good", "film"]
    for i, text in enumerate(TEXTS):
        ids = np.asarray(words([text]))
        padded = np.pad(ids, [(0, 0), (0, (length or ids.shape[1]) - ids.shape[1])])
        assert found.values[i] == pytest.approx(float(net(padded)[0, 1]), abs=1e-6)


def test_inputs_of_several_lengths_say_nothing_of_the_text() -> None:
    ids, price = keras.Input((6,)), keras.Input((2,))
    assert length_of(keras.Model([ids, price], layers.Concatenate()([ids, price])), None) is None


@pytest.mark.parametrize("length", [None, 6])
def test_a_vectorization_does_not_cut_without_a_word(length: int | None) -> None:
    net, words, long = model(length), vectorization(6), "good bad " * 4
    with pytest.raises(InputError, match=r"at most 6 tokens; text 0 .* has 8"):
        explain_text(net, long, words, target=1)
    assert words([long]).shape == (1, 6)  # as it was
    cut = explain_text(net, long, words, target=1, too_long="truncate", progress=False)
    assert [share.span for share in cut.shares(0)] == [(0, 4), (5, 8), (9, 13), (14, 17), (18, 22), (23, 26)]
    assert "its beginning alone" in cut.meta["notes"][-1]


def test_a_longest_text_within_one_length() -> None:
    with pytest.raises(InputError, match="at most 2 tokens"):
        explain_text(model(None), TEXTS, vectorization(), target=1, length=2)


def test_counts_of_words_are_no_tokens() -> None:
    with pytest.raises(InputError, match="output_mode='int'; got 'count'"):
        read_tokenizer(vectorization(mode="count"))


def test_a_model_that_makes_ids_of_texts() -> None:
    words = keras.layers.TextVectorization(output_sequence_length=4)
    words.adapt(["to be or not to be"])
    behind = [keras.layers.Embedding(9, 4), keras.layers.Flatten(), keras.layers.Dense(1)]
    whole = keras.Sequential([words, *behind])
    with pytest.raises(InputError, match=r"keras\.Sequential\(model\.layers\[1:\]\).* as the tokenizer"):
        explain_text(whole, "to be", words)
    rest = keras.Sequential([keras.Input((4,), dtype="int32"), *behind])
    assert explain_text(rest, "to be", words, progress=False).texts == ("to be",)
