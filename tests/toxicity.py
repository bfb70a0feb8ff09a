"""The packaged toxicity model (tox-block, MIT): a bidirectional LSTM, and its tokenizer, unpickled safely."""

from __future__ import annotations

import importlib.util
import pickle
import re
from functools import cache
from pathlib import Path
from typing import Any

LABELS = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")
WORDS, LENGTH = 20_000, 100
_FILTERED = r"""[^!"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~\t\n ]+"""  # what Keras' Tokenizer splits at by default


class _Plain:
    """Stands in for every class of the pickle; no foreign code runs."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


class _Restricted(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        import collections

        return getattr(collections, name) if module == "collections" else _Plain


def _folder() -> Path:
    spec = importlib.util.find_spec("tox_block")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "trained_models"


@cache
def vocabulary() -> dict[str, int]:
    """Return the words that the model knows, with their ids."""
    with (_folder() / "encoder_0.1.2.pkl").open("rb") as file:
        index: dict[str, int] = _Restricted(file).load().tokenizer.word_index
    return {word: number for word, number in index.items() if number < WORDS}


def tokenize(text: str) -> list[tuple[int, tuple[int, int]]]:
    """Return id and span of each known word; unknown ones are dropped, as the model's own tokenizer does."""
    known = vocabulary()
    return [(known[m.group().lower()], m.span()) for m in re.finditer(_FILTERED, text) if m.group().lower() in known]


@cache
def model() -> Any:
    """Return the Keras 2 model."""
    import tf_keras

    return tf_keras.models.load_model(_folder() / "lstm_model_0.1.2.h5", compile=False)
