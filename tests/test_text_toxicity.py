"""The packaged toxicity model (Keras 2, bidirectional LSTM): which words get the blame, and what an edit changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import toxicity

from pyig.errors import InputError, InputTypeError
from pyig.text import TextExplanation, explain_text
from pyig.text.edits import edit_table, edited, minimal_pairs, slices
from pyig.text.tokenizers import Tokenizer, read_tokenizer

CASES = {
    "You are a stupid person": "stupid",
    "What a moron you are": "moron",
    "You are such a pathetic loser": {"pathetic", "loser"},
    "This whole page is complete crap": "crap",
    "He is a dumb man": "dumb",
    "I hate you, you ugly pig": {"ugly", "pig", "hate"},
    "Only an idiot would write this": "idiot",
    "Shut up and go to hell": {"Shut", "hell"},
    "That is a damn lie": "damn",
    "Your work is garbage and it sucks": {"sucks", "garbage"},
}


def tokens() -> Tokenizer:
    names = {number: word for word, number in toxicity.vocabulary().items()}
    return replace(read_tokenizer(toxicity.tokenize, names), pad=0, side="left")


def explain(texts: Any, **options: Any) -> TextExplanation:
    given = {"target": 0, "length": toxicity.LENGTH, "progress": False} | options
    return explain_text(toxicity.model(), texts, tokens(), **given)


@pytest.fixture(scope="module")
def cases() -> TextExplanation:
    return explain(list(CASES))


def test_the_insult_is_the_top_word(cases: TextExplanation) -> None:
    right = 0
    for i, wanted in enumerate(CASES.values()):
        top = max(cases.shares(i), key=lambda share: share.attribution).text
        right += top in ({wanted} if isinstance(wanted, str) else wanted)
    assert right >= 9
    assert (cases.values > 0.5).all()
    assert cases.converged.all()


def test_fewer_gradients_than_fifty_at_equal_error(cases: TextExplanation) -> None:
    """Fixed rules of 50 nodes, and the adaptive rule, against 200 nodes."""
    texts = list(CASES)[:2]
    truth, fixed = explain(texts, n_steps=200), explain(texts, n_steps=50)
    for i in range(2):
        exact = truth.tokens.attributions["text"][i]
        width = min(exact.shape[0], cases.tokens.attributions["text"].shape[1])
        of_fixed = np.abs(fixed.tokens.attributions["text"][i] - exact).sum()
        mine = np.abs(cases.tokens.attributions["text"][i, :width] - exact[:width]).sum()
        assert mine <= max(of_fixed, 0.01 * np.abs(exact).sum())
    assert np.mean(cases.n_evals) < 50


def test_from_man_to_boy() -> None:
    story = explain("That man is a stupid liar")
    table = edit_table(story, [{"man": "boy"}, {"man": "woman"}, {"stupid": None}, "You are kind"])
    assert table["edit"].tolist() == ["", "man -> boy", "man -> woman", "without stupid", "You are kind"]
    assert table["text"].tolist()[1:4] == [
        "That boy is a stupid liar",
        "That woman is a stupid liar",
        "That man is a liar",
    ]
    assert table["top"].tolist()[:3] == ["stupid"] * 3
    assert table["value"].iloc[0] > 0.9 > table["value"].iloc[3] > table["value"].iloc[4]
    change = story.edit({"man": "boy"})
    steps = change.aligned()
    pairs = [(step.before.text, step.after.text) for step in steps if step.before and step.after]
    assert pairs == [("That", "That"), ("man", "boy"), ("is", "is"), ("a", "a"), ("stupid", "stupid"), ("liar", "liar")]
    total = sum(step.change for step in steps)
    assert total == pytest.approx(change.after.total() - change.before.total(), abs=1e-9)
    assert "* " in repr(change)
    assert len(change.to_frame()) == 6


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"man": "woman", "woman": "man"}, "A woman, an old man and his MAN"),
        ({"old": "new", "old woman": "child"}, "A man, an child and his WOMAN"),
        ({"woman": None, "his": "her"}, "A man, an old and her "),
        ({}, "A man, an old woman and his WOMAN"),
    ],
)
def test_words_are_replaced_at_once(changes: dict[str, str | None], expected: str) -> None:
    assert edited("A man, an old woman and his WOMAN", changes) == expected


def test_an_edit_that_adds_and_drops_words() -> None:
    change = explain("You are stupid").edit("You are a very kind man")
    assert [(s.before and s.before.text, s.after and s.after.text) for s in change.aligned()] == [
        ("You", "You"),
        ("are", "are"),
        ("stupid", "a"),
        (None, "very"),
        (None, "kind"),
        (None, "man"),
    ]


def test_pairs_that_differ_in_one_term() -> None:
    terms = ["tall", "gay", "black", "christian"]
    table = minimal_pairs(explain("I am a tall person"), "I am a {} person", terms)
    assert sorted(table["term"]) == sorted(terms)
    assert table["value"].is_monotonic_decreasing
    biased, neutral = (table.set_index("term").loc[term] for term in ("gay", "tall"))
    assert biased["attribution"] > neutral["attribution"]
    again = minimal_pairs(explain("x you"), "a {} person and a {}", ["tall"]).iloc[0]
    once = minimal_pairs(explain("x you"), "a {} person and a tall", ["tall"]).iloc[0]
    assert again["text"] == once["text"] == "a tall person and a tall"
    assert again["value"] == pytest.approx(once["value"])
    assert again["attribution"] + again["rest"] == pytest.approx(once["attribution"] + once["rest"])
    assert again["attribution"] != pytest.approx(once["attribution"], rel=1e-3)
    with pytest.raises(InputError, match=r"'\{\}' in the template"):
        minimal_pairs(explain("x you"), "no slot", terms)


def test_slices_over_many_texts(cases: TextExplanation) -> None:
    table = slices(cases, ["you", "stupid", "unseen"]).set_index("term")
    assert table.loc["", "texts"] == len(cases)
    assert table.loc["you", "texts"] == sum("you" in text.lower().replace(",", "").split() for text in CASES)
    assert table.loc["stupid", "texts"] == 1
    assert table.loc["stupid", "attribution"] > table.loc["you", "attribution"]
    assert np.isnan(table.loc["unseen", "attribution"])


def test_slices_of_several_words(cases: TextExplanation) -> None:
    table = slices(cases, ["Ugly  pig", "ugly", "pig", "pig ugly"]).set_index("term")
    assert table["texts"].tolist()[1:] == [1, 1, 1, 0]
    both = table.loc[["ugly", "pig"], "attribution"].sum()
    assert table.loc["Ugly  pig", "attribution"] == pytest.approx(both)
    with pytest.raises(InputError, match="at least one word"):
        slices(cases, [" "])


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"woman": "boy"}, InputError, "'woman' is not in"),
        ({"man": "dog", "dog": "x"}, InputError, "'dog' is not in"),
        ({"": "x"}, InputTypeError, "dict from word to word"),
    ],
)
def test_edits_that_cannot_be(changes: dict[str, Any], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        edited("The man and his manners", changes)


def test_replaced_words_keep_their_capitals() -> None:
    assert edited("Man! The MAN's manner, man.", {"man": "boy"}) == "Boy! The BOY's manner, boy."
    assert edited("a very very good day", {"very": None}) == "a good day"
