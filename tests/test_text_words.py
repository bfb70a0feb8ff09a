"""Where words and tokens are: scanning, aligning, batches, baselines and limits; no model, no framework."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyig.errors import InputError, InputTypeError
from pyig.text.alignment import aligned
from pyig.text.baselines import baseline_ids
from pyig.text.batches import batches
from pyig.text.encoded import Encoded
from pyig.text.limits import fitted
from pyig.text.scanning import words
from pyig.text.tokenizers import Tokenizer, read_tokenizer

VOCABULARY = {0: "<pad>", 1: "<", 2: ">", **{i: chr(87 + i) for i in range(10, 36)}}


def letters(text: str) -> list[int]:
    """Tokenise by first letters of words, between two special ids."""
    return [1, *(ord(word[0].lower()) - 87 for word in text.split()), 2]


def spelled(text: str) -> list[str]:
    return [text[a:b] for a, b in words(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't panic!", ["Don't", "panic", "!"]),
        ("it’s 3.5 or 1,000.", ["it’s", "3.5", "or", "1,000", "."]),
        ("مرحبا بالعالم، كيف", ["مرحبا", "بالعالم", "،", "كيف"]),
        ("猫だ yes", ["猫", "だ", "yes"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("👨‍👩‍👧 ok 👍🏽", ["👨‍👩‍👧", "ok", "👍🏽"]),
        ("🇩🇪🇫🇷ok 🇩 🇪", ["🇩🇪", "🇫🇷", "ok", "🇩", "🇪"]),
        ("\U0001f3f4\U000e0067\U000e007f!", ["\U0001f3f4\U000e0067\U000e007f", "!"]),
        ("e\u0301te\u0301", ["e\u0301te\u0301"]),
        ("<b>x</b>", ["<", "b", ">", "x", "<", "/", "b", ">"]),
        ("a_b  \t\n", ["a_b"]),
        ("'quoted'", ["'", "quoted", "'"]),
        ("", []),
        ("   ", []),
    ],
)
def test_words_of_any_script(text: str, expected: list[str]) -> None:
    assert spelled(text) == expected


@given(st.text(max_size=60))
def test_words_lose_nothing_but_white_space(text: str) -> None:
    spans = words(text)
    assert all(a < b for a, b in spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    left = "".join(
        text[a:b] for a, b in zip([0, *(b for _, b in spans)], [*(a for a, _ in spans), len(text)], strict=True)
    )
    kept = {c for c in left if c.isprintable() and not c.isspace()}
    assert not kept


def test_every_token_belongs_to_one_word() -> None:
    text = "unhappy end"
    e = Encoded(text, (1, 2, 3, 4, 5), ("[", "un", "##happy", "end", "]"), (None, (0, 2), (2, 7), (8, 11), None),
                (True, False, False, False, True))  # fmt: skip
    assert [(w.text, w.tokens) for w in e.words()] == [("unhappy", (1, 2)), ("end", (3,))]


def test_a_token_over_two_words_joins_them() -> None:
    e = Encoded("New York is", (1, 2), ("New York", "is"), ((0, 8), (9, 11)), (False, False))
    assert [w.text for w in e.words()] == ["New York", "is"]


def test_tokens_outside_words_keep_their_place() -> None:
    e = Encoded("a  b", (1, 2, 3, 4), ("a", "__", "b", "?"), ((0, 1), (1, 3), (3, 4), None), (False,) * 4)
    assert [(w.text, w.tokens) for w in e.words()] == [("a", (0,)), ("  ", (1,)), ("b", (2,)), ("?", (3,))]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [({"spans": ((0, 99),)}, "inside the text"), ({"special": ()}, "one id, token, span")],
)
def test_an_encoding_that_does_not_fit_its_text(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Encoded(**({"text": "ab", "ids": (1,), "tokens": ("ab",), "spans": ((0, 2),), "special": (False,)} | changes))


def test_alignment_finds_words_and_special_tokens() -> None:
    ids, spans, special = aligned("to be or", letters)
    assert ids == letters("to be or")
    assert spans == [None, (0, 2), (3, 5), (6, 8), None]
    assert special == [True, False, False, False, True]


def test_alignment_gives_no_spans_where_words_do_not_add_up() -> None:
    ids, spans, special = aligned("to be", lambda text: [len(text)])
    assert (ids, spans, special) == ([5], [None], [False])


def test_functions_as_tokenizers() -> None:
    plain = read_tokenizer(letters, VOCABULARY)
    pairs = read_tokenizer(lambda text: [(7, (0, 2)), (8, (2, 2))])
    told = read_tokenizer(lambda text: {"input_ids": [5, 6], "tokens": ["t", "o"], "offsets": [(0, 1), (1, 2)]})
    assert plain.encode(["to be"])[0].tokens == ("<", "t", "b", ">")
    assert pairs.encode(["to"])[0].special == (False, True)
    assert told.encode(["to"])[0].tokens == ("t", "o")


@pytest.mark.parametrize(
    ("function", "error", "sentence"),
    [
        (lambda text: [0.5, 1.5], InputError, "whole numbers"),
        (lambda text: [[1, 2]], InputError, "whole numbers"),
        (lambda text: {"words": [1]}, InputError, "mapping with 'ids'"),
        ("bert", InputTypeError, "Hugging Face tokenizer"),
    ],
)
def test_what_is_no_tokenizer(function: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        read_tokenizer(function).encode(["to be"])


@pytest.mark.parametrize("side", ["left", "right"])
def test_batches_hold_texts_of_like_length(side: str) -> None:
    counts = [2, 30, 29, 4, 12]
    texts = [Encoded("x" * n, tuple(range(1, n + 1)), ("x",) * n, ((0, 1),) * n, (False,) * n) for n in counts]
    found = batches(texts, [text.ids for text in texts], 0, side)
    assert sorted(row for batch in found for row in batch.rows.tolist()) == list(range(5))
    assert [batch.ids.shape for batch in found] == [(2, 30), (1, 12), (1, 4), (1, 2)]
    for batch in found:
        for row, ids, mask in zip(batch.rows, batch.ids, batch.mask, strict=True):
            assert ids[mask == 1].tolist() == list(texts[row].ids)
            assert (ids[mask == 0] == 0).all()
    assert found[0].mask[1, 0 if side == "left" else -1] == 0


def test_one_length_for_all() -> None:
    texts = [Encoded("x", (1,) * n, ("x",) * n, (None,) * n, (False,) * n) for n in (2, 9)]
    assert [batch.ids.shape for batch in batches(texts, [t.ids for t in texts], 0, length=20)] == [(2, 20)]


@given(st.lists(st.integers(1, 80), min_size=1, max_size=60))
def test_padding_stays_small(counts: list[int]) -> None:
    texts = [Encoded("", (1,) * n, ("",) * n, (None,) * n, (False,) * n) for n in counts]
    found = batches(texts, [text.ids for text in texts], 0)
    assert sum(batch.ids.size for batch in found) <= sum(counts) / 0.7 + 1e-9


TOKENIZER = Tokenizer(read_tokenizer(letters, VOCABULARY).encode, str, pad=0, mask=None, unknown=3, size=40)


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        (None, [1, 0, 0, 2]),
        ("unknown", [1, 3, 3, 2]),
        (9, [1, 9, 9, 2]),
        (np.int64(9), [1, 9, 9, 2]),
        (["a"], [1, 10, 0, 2]),
    ],
)
def test_baselines_keep_special_tokens(given_: Any, expected: list[int]) -> None:
    assert baseline_ids(TOKENIZER.encode(["to be"]), TOKENIZER, given_) == [expected]


@pytest.mark.parametrize(
    ("given_", "error", "sentence"),
    [
        ("mask", InputError, "has a token for"),
        ("padd", InputError, "did you mean 'pad'"),
        (99, InputError, "below 40"),
        (1.5, InputTypeError, "token id"),
        (["a", "b"], InputError, "1 texts"),
    ],
)
def test_baselines_that_are_none(given_: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        baseline_ids(TOKENIZER.encode(["to be"]), TOKENIZER, given_)


def test_too_long_is_never_silent() -> None:
    texts = TOKENIZER.encode(["a b c d e", "a"])
    with pytest.raises(InputError, match=r"at most 5 tokens; text 0 .* has 7"):
        fitted(texts, 5, "error")
    with pytest.raises(InputError, match="did you mean 'truncate'"):
        fitted(texts, 5, "truncat")
    assert [[part.tokens for part in each] for each in fitted(texts, 5, "window")] == [
        [("<", "a", "b", "c", ">"), ("<", "d", "e", ">")],
        [("<", "a", ">")],
    ]
    assert [part.tokens for part in fitted(texts, 5, "truncate")[0]] == [("<", "a", "b", "c", ">")]
    assert fitted(texts, None, "error") == [[text] for text in texts]
    with pytest.raises(InputError, match="room for the text"):
        fitted(texts, 2, "window")
