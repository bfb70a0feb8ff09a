"""What a new user asks of texts: encodings as they come, a span of tokens, and mistakes that are easily made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import text_models
import torch
import transformers

import pyig
from pyig.errors import InputError, ModelError, PyigError

TEXTS = ["Not as bad as I feared.", "A dull film"]
PROMPT = "The capital of France is"


def test_encodings_as_the_tokenizer_gives_them() -> None:
    """Ids, token types and masks together are what `explain_text` makes of them, but for special tokens."""
    model, tokenizer = text_models.classifier(), text_models.tokenizer()
    encoded = tokenizer(TEXTS, return_tensors="pt", padding=True)
    special = np.isin(encoded["input_ids"], tokenizer.all_special_ids)
    start = {"input_ids": torch.where(torch.from_numpy(special), encoded["input_ids"], tokenizer.pad_token_id)}
    start["token_type_ids"] = encoded["token_type_ids"]
    found = pyig.IntegratedGradients(model).explain(encoded, start, target=1, n_steps=40)
    texts = pyig.explain_text(model, TEXTS, tokenizer, target=1, n_steps=40, progress=False)
    for i in range(len(TEXTS)):
        shares = [share.attribution for share in texts.shares(i, level="token")]
        np.testing.assert_allclose(found.attributions["input_ids"][i, : len(shares)], shares, atol=1e-5)
    assert (found.attributions["attention_mask"] == 0).all()
    assert (found.attributions["input_ids"][encoded["attention_mask"] == 0] == 0).all()
    kinds = {name: np.asarray(leaf) for name, leaf in encoded.items()}
    alone = pyig.IntegratedGradients(model).explain(kinds, target=1, n_steps=40)
    again = pyig.IntegratedGradients(model).explain(
        {name: leaf[1:, :5] for name, leaf in kinds.items()}, target=1, n_steps=40
    )
    np.testing.assert_allclose(alone.attributions["input_ids"][1, :5], again.attributions["input_ids"][0], atol=1e-5)


def test_token_types_move_where_they_differ() -> None:
    model, tokenizer = text_models.classifier(), text_models.tokenizer()
    encoded = dict(tokenizer(TEXTS[:1], ["Really"], return_tensors="np"))
    found = pyig.IntegratedGradients(model).explain(encoded, target=1, n_steps=64)
    second = encoded["token_type_ids"] == 1
    assert (np.abs(found.attributions["token_type_ids"][second]) > 0).all()
    assert (found.attributions["token_type_ids"][~second] == 0).all()
    total = found.attributions["input_ids"].sum() + found.attributions["token_type_ids"].sum()
    assert total == pytest.approx(found.values[0] - found.baseline_values[0], abs=1e-3)


def test_a_span_of_tokens_by_hand() -> None:
    model, tokenizer = text_models.causal(), text_models.tokenizer()
    span = tokenizer("new york", add_special_tokens=False)["input_ids"]
    assert len(span) == 2
    found = pyig.explain_span(model, [PROMPT, "Who"], tokenizer, "new york", rtol=1e-5, progress=False)
    by_ids = pyig.explain_span(model, PROMPT, tokenizer, span, rtol=1e-5, progress=False)
    mine, theirs = ([share.attribution for share in each.shares(0)] for each in (found, by_ids))
    np.testing.assert_allclose(mine, theirs, atol=1e-4)
    for i, text in enumerate(found.encoded):
        start = [t if s else tokenizer.pad_token_id for t, s in zip(text.ids, text.special, strict=True)]

        def scalar(out: Any) -> Any:
            rows = out.logits[0].log_softmax(-1)
            return rows[-3, span[0]] + rows[-2, span[1]]

        wanted = text_models.reference(model, text.ids, start, [1] * len(text), scalar, 200)
        shares = [share.attribution for share in found.shares(i, level="token")]
        np.testing.assert_allclose(shares, wanted, atol=1e-5 * np.abs(wanted).sum())
    story = pyig.explain_generation(model, PROMPT, tokenizer, "new york", n_steps=200, progress=False)
    np.testing.assert_allclose(
        [share.attribution for share in found.shares(0)], story.matrix()[2].sum(axis=1), atol=1e-3
    )
    edited = found[0].edit({"France": "Spain"})
    assert edited.after.texts == ("The capital of Spain is",)
    with pytest.raises(InputError, match="at least one token"):
        pyig.explain_span(model, PROMPT, tokenizer, "")


class Plain(torch.nn.Module):
    """A hundred tokens, and nothing that says so."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table, self.last = torch.nn.Embedding(100, 8), torch.nn.Linear(8, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.last(self.table(ids).tanh().mean(1))
        return scores


def explain(x: Any) -> Any:
    return pyig.IntegratedGradients(text_models.classifier()).explain(x, target=1)


def texts(text: Any, **options: Any) -> Any:
    return pyig.explain_text(
        text_models.classifier(), text, **({"tokenizer": text_models.tokenizer(), "target": 1} | options)
    )


MISTAKES: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "floats": (lambda: explain(np.ones((2, 4))), ModelError, r"token ids as whole numbers.* Pass integers"),
    "floats in an encoding": (
        lambda: explain({"input_ids": torch.ones(2, 4), "attention_mask": torch.ones(2, 4).long()}),
        ModelError,
        "Pass integers",
    ),
    "no batch axis": (lambda: explain(np.array([101, 2023, 102])), InputError, r"Pass x\[None\] to explain one text"),
    "a text": (lambda: explain("A dull film"), PyigError, r"pyig\.explain_text"),
    "texts": (lambda: explain(TEXTS), PyigError, r"pyig\.explain_text"),
    "another tokenizer": (
        lambda: pyig.explain_text(Plain(), TEXTS, text_models.tokenizer(), target=1),
        ModelError,
        r"ids below the number of rows .* another model's tokenizer",
    ),
    "ids of another model": (
        lambda: pyig.IntegratedGradients(Plain()).explain(np.array([[1, 200]]), target=1),
        ModelError,
        "ids below the number of rows",
    ),
    "no tokenizer": (lambda: texts(TEXTS, tokenizer=None), PyigError, "tokenizer="),
    "too long": (lambda: texts("word " * 100), InputError, r"at most 64 tokens.* too_long='truncate'"),
    "several tokens for one": (
        lambda: pyig.explain_next(text_models.causal(), PROMPT, text_models.tokenizer(), token="new york"),
        InputError,
        "ask explain_span",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_answered(mistake: str) -> None:
    call, kind, sentence = MISTAKES[mistake]
    with pytest.raises(kind, match=sentence):
        call()


@pytest.mark.parametrize(
    "text", ["", "   ", "👍🏽👨‍👩‍👧", "مرحبا بالعالم", "<b>&amp;</b><script>alert(1)</script>", "a\n\tb"]
)
def test_texts_of_every_kind(text: str) -> None:
    found = texts(text)
    assert "".join(found.pieces().inputs["text"][0]) == text
    assert found.total() == pytest.approx(
        found.values[0] - found.baseline_values[0], abs=0.02 * (1 + abs(found.total()))
    )
    assert "<script>alert" not in found.to_html()
    if not text.strip():
        assert found.shares() == []
        assert "gap 0 %" in found.verdict()


def test_more_nodes_take_no_more_memory() -> None:
    """Rows of one call and paths that are open do not grow with the nodes, nor with the texts."""
    model, tokenizer = text_models.classifier(), text_models.tokenizer()
    few, many = (
        pyig.explain_text(model, TEXTS, tokenizer, target=1, n_steps=n, batch_size=16, progress=False)
        for n in (16, 256)
    )
    assert many.meta["batch_rows"] == few.meta["batch_rows"] == 16
    assert many.meta["most_open_rows"] == few.meta["most_open_rows"]
    crowd = pyig.explain_text(model, TEXTS * 20, tokenizer, target=1, n_steps=16, batch_size=16, progress=False)
    assert crowd.meta["batch_rows"] == 16
    assert crowd.meta["most_open_rows"] == few.meta["most_open_rows"]


def test_what_is_kept_in_mind_is_of_the_model_not_of_the_text() -> None:
    """The model is looked at once, whatever the length of later texts."""
    calls: list[int] = []

    class Counted(transformers.BertForSequenceClassification):  # type: ignore[misc]
        def forward(self, input_ids: Any, attention_mask: Any = None) -> Any:
            calls.append(len(input_ids))
            return super().forward(input_ids, attention_mask=attention_mask)

    model = Counted(text_models.classifier().config).eval()
    ig = pyig.IntegratedGradients(model)
    ids = text_models.tokenizer()(TEXTS[0], return_tensors="pt")["input_ids"]
    ig.explain(ids, target=1, n_steps=4, batch_size=4)
    assert max(calls) > 4, "the look"
    calls.clear()
    ig.explain(ids[:, :5], target=1, n_steps=4, batch_size=4)
    assert max(calls) == 4


@pytest.mark.parametrize("baseline", [None, "zero", "mask"])
def test_numbers_beside_a_text_are_held(baseline: str | None) -> None:
    class Priced(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.words, self.last = torch.nn.Embedding(len(text_models.tokenizer()), 8), torch.nn.Linear(9, 2)

        def forward(self, ids: torch.Tensor, price: torch.Tensor) -> torch.Tensor:
            return self.last(torch.cat([self.words(ids).tanh().mean(1), price], dim=1)).sin()

    price = np.array([[1.0], [2.0]], np.float32)

    def inputs(ids: Any, batch: Any) -> Any:
        return {"ids": ids, "price": price[batch.rows]}

    found = pyig.explain_text(
        Priced(), TEXTS, text_models.tokenizer(), target=1, baseline=baseline, inputs=inputs, n_steps=32, progress=False
    )
    for i in range(2):
        assert found.total(i) == pytest.approx(found.values[i] - found.baseline_values[i], abs=1e-5)
        assert abs(found.total(i)) > 1e-4
