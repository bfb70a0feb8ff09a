"""Texts through real language models: a sentence encoder, random BERT and GPT-2, against integrals by hand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import text_models
import torch

from pyig.errors import InputError, InputTypeError, SaveFileError
from pyig.text import TextExplanation, explain_text
from pyig.text.discrete import chain
from pyig.text.language import explain_generation, explain_next, explain_similarity

TEXTS = [
    "The film wasn't as bad as I feared.",
    "Short one",
    "An unbelievably <b>good</b> 👍🏽 film & مرحبا بالعالم",
    "one two three four five six seven eight nine ten eleven",
]


@pytest.fixture(scope="module")
def explained() -> TextExplanation:
    return explain_text(text_models.classifier(), TEXTS, text_models.tokenizer(), target=1, rtol=1e-5, progress=False)


def test_equal_to_the_integral_by_hand(explained: TextExplanation) -> None:
    model, tokenizer = text_models.classifier(), text_models.tokenizer()
    for i, text in enumerate(explained.encoded):
        start = [t if s else tokenizer.pad_token_id for t, s in zip(text.ids, text.special, strict=True)]
        wanted = text_models.reference(model, text.ids, start, [1] * len(text), lambda out: out.logits[0, 1], 200)
        found = [share.attribution for share in explained.shares(i, level="token")]
        np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).sum())
    assert explained.converged.all()


def test_words_add_up_to_tokens_and_to_the_difference(explained: TextExplanation) -> None:
    for i in range(len(explained)):
        tokens = sum(share.attribution for share in explained.shares(i, level="token"))
        assert sum(share.attribution for share in explained.shares(i)) == pytest.approx(tokens, abs=1e-12)
        assert explained.total(i) == pytest.approx(tokens, abs=1e-12)
        difference = explained.values[i] - explained.baseline_values[i]
        assert tokens - difference == pytest.approx(explained.deltas[i], abs=1e-6)


def test_special_tokens_contribute_nothing(explained: TextExplanation) -> None:
    for i, text in enumerate(explained.encoded):
        phi = np.array([share.attribution for share in explained.shares(i, level="token")])
        assert (phi[list(text.special)] == 0).all()
        assert np.abs(phi).max() > 0


def test_neither_padding_nor_company_changes_a_text(explained: TextExplanation) -> None:
    for i, text in enumerate(TEXTS):
        alone = explain_text(
            text_models.classifier(), text, text_models.tokenizer(), target=1, rtol=1e-5, progress=False
        )
        padded = explain_text(
            text_models.classifier(), text, text_models.tokenizer(), target=1, rtol=1e-5, length=40, progress=False
        )
        mine = np.array([share.attribution for share in explained.shares(i, level="token")])
        size = np.abs(mine).sum()
        for other in (alone, padded):
            theirs = np.array([share.attribution for share in other.shares(0, level="token")])
            np.testing.assert_allclose(theirs, mine, atol=1e-6 * max(size, 1))


def test_the_mask_matters() -> None:
    """Without it, padding is read as text."""
    model, tokenizer = text_models.classifier(), text_models.tokenizer()
    given = explain_text(model, "Short one", tokenizer, target=1, length=30, progress=False)
    ignored = explain_text(
        model, "Short one", tokenizer, target=1, length=30, inputs=lambda ids, batch: ids, progress=False
    )
    assert abs(given.values[0] - ignored.values[0]) > 1e-3


def test_joined_pieces_are_the_text(explained: TextExplanation) -> None:
    for level in ("word", "token"):
        pieces = explained.pieces(level)
        for i, text in enumerate(TEXTS):
            assert "".join(pieces.inputs["text"][i]) == text
            assert pieces.attributions["text"][i].sum() == pytest.approx(explained.total(i), abs=1e-6)


def test_markup_stays_text(explained: TextExplanation) -> None:
    markup = explained.to_html()
    assert "<b>good" not in markup
    assert 'dir="auto"' in markup
    assert "good" in markup


def test_frames_slices_and_words_of_the_report(explained: TextExplanation) -> None:
    frame = explained[[2, 0]].to_frame()
    assert frame["text"][frame["sample"] == 1].tolist()[:3] == ["The", "film", "wasn't"]
    first = frame.iloc[0]
    assert TEXTS[2][first["begin"] : first["end"]] == first["text"] == "An"
    assert "Short" in repr(explained)
    assert [len(one) for one in explained] == [1] * len(TEXTS)


def test_saved_and_loaded(explained: TextExplanation, tmp_path: Path) -> None:
    loaded = TextExplanation.load(explained.save(tmp_path / "texts.npz"))
    assert loaded.encoded == explained.encoded
    assert [loaded.shares(i) for i in range(len(loaded))] == [explained.shares(i) for i in range(len(explained))]
    assert loaded.tokens == explained.tokens
    with pytest.raises(InputError, match="does not hold its model"):
        loaded.edit({"good": "bad"}, 2)
    with pytest.raises(SaveFileError, match="Explanation without texts"):
        TextExplanation.load(explained.tokens.save(tmp_path / "tokens.npz"))


def test_several_targets() -> None:
    model, tokenizer = text_models.classifier(), text_models.tokenizer()
    found = explain_text(model, TEXTS[:2], tokenizer, target="top3", n_steps=32, progress=False)
    assert found.values.shape == (2, 3)
    for k in range(3):
        assert found.total(0, k) == pytest.approx(found.values[0, k] - found.baseline_values[0, k], abs=1e-3)
    assert set(found.to_frame()["target"]) == {0, 1, 2}


def test_a_target_for_each_text() -> None:
    model, tokenizer = text_models.classifier(), text_models.tokenizer()
    both = explain_text(model, TEXTS[:2], tokenizer, target=[2, 0], progress=False)
    other = explain_text(model, TEXTS[1], tokenizer, target=0, progress=False)
    assert both.tokens.targets is not None
    assert both.tokens.targets.tolist() == [2, 0]
    assert both.values[1] == pytest.approx(other.values[0], abs=1e-6)


@pytest.mark.parametrize("baseline", ["mask", "unknown", "zero", 1012, ["something else entirely"]])
def test_other_baselines(baseline: Any) -> None:
    model, tokenizer = text_models.classifier(), text_models.tokenizer()
    pads = explain_text(model, TEXTS[0], tokenizer, target=1, progress=False)
    found = explain_text(model, TEXTS[0], tokenizer, target=1, baseline=baseline, progress=False)
    assert found.values == pytest.approx(pads.values, abs=1e-6)
    same = abs(found.baseline_values[0] - pads.baseline_values[0]) < 1e-6
    assert same == (baseline == "zero")  # BERT's pad has the zero embedding
    assert found.total() == pytest.approx(
        found.values[0] - found.baseline_values[0], abs=0.02 * abs(found.total()) + 1e-4
    )


def test_a_long_text_by_windows_and_by_its_beginning() -> None:
    model, tokenizer = text_models.classifier(), text_models.tokenizer()
    text = " ".join(["very"] * 150)
    with pytest.raises(InputError, match="at most 64 tokens"):
        explain_text(model, text, tokenizer, target=1, progress=False)
    with pytest.raises(InputError, match="expected target= as a class"):
        explain_text(model, text, tokenizer, too_long="window", progress=False)
    windows = explain_text(model, ["short", text], tokenizer, target=1, too_long="window", rtol=1e-3, progress=False)
    assert len(windows.shares(1)) == 150
    assert windows.total(1) == pytest.approx(windows.values[1] - windows.baseline_values[1], abs=1e-3)
    assert "window by window: text 1" in windows.meta["notes"][0]
    cut = explain_text(model, text, tokenizer, target=1, too_long="truncate", progress=False)
    assert len(cut.shares()) == 62
    assert "beginning alone: text 0" in cut.meta["notes"][0]


def test_text_of_no_words() -> None:
    found = explain_text(text_models.classifier(), ["", " \n"], text_models.tokenizer(), target=0, progress=False)
    assert [found.shares(i) for i in range(2)] == [[], []]
    assert found.total(0) == 0


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [([], InputError, "at least one text"), ([3], TypeError, "texts as str; text 0 is builtins.int")],
)
def test_what_is_no_text(text: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        explain_text(text_models.classifier(), text, text_models.tokenizer())


def test_a_foreign_tokenizer_is_noticed() -> None:
    def foreign(text: str) -> list[int]:
        return [10**6 for _ in text.split()]

    with pytest.raises(InputError, match=r"token ids below 30522.*the model's own tokenizer\?"):
        explain_text(text_models.classifier(), "two words", foreign, target=0, baseline=0)


def test_a_function_around_a_model() -> None:
    model, tokenizer = text_models.classifier(), text_models.tokenizer()

    def apart(ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        logits = model(ids, attention_mask=attention_mask).logits
        return logits[:, 1] - logits[:, 0]

    given = {"n_steps": 16, "progress": False}
    found = explain_text(apart, TEXTS, tokenizer, backend="torch", **given)
    wanted = explain_text(model, TEXTS, tokenizer, target=1, contrast=0, **given)
    for i in range(len(TEXTS)):
        ours, theirs = ([share.attribution for share in each.shares(i)] for each in (found, wanted))
        assert ours == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"baselines": 3}, "expected baseline= for texts; got baselines="),
        ({"forward_kwargs": {}}, "expected inputs=, a function"),
        ({"anchors": -1}, "at least 0; got -1"),
        ({"anchors": 1.5}, "whole number of at least 0; got 1.5"),
    ],
)
def test_options_that_are_of_another_call(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        explain_text(text_models.classifier(), "a", text_models.tokenizer(), target=1, **options)


def test_a_model_without_an_embedding() -> None:
    class Sums(torch.nn.Module):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return ids.float().sum(1)

    with pytest.raises(InputError, match="none was seen to take them"):
        explain_text(Sums(), "two words", lambda text: [3, 4], baseline=0)


def test_nothing_is_left_behind() -> None:
    model = text_models.classifier()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    explain_text(model, TEXTS[:2], text_models.tokenizer(), target=1, progress=False)
    assert not any(m._forward_hooks or m._forward_pre_hooks or "forward" in m.__dict__ for m in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_similarity_of_sentences() -> None:
    model, tokenizer = text_models.encoder(), text_models.tokenizer()
    near, far = "A man plays the guitar on stage.", "The cat sleeps."
    other = "Someone performs music with a guitar"
    found = explain_similarity(model, [near, far], other, tokenizer, rtol=1e-3, progress=False)
    assert found.values[0] > 0.5 > 0.2 > found.values[1]
    assert max(found.shares(0), key=lambda share: share.attribution).text == "guitar"
    with torch.no_grad():
        states = model(**tokenizer(other, return_tensors="pt")).last_hidden_state[0].mean(0)
    unit = states / states.norm()

    def cosine(out: Any) -> torch.Tensor:
        mean = out.last_hidden_state[0].mean(0)
        return mean @ unit / mean.norm()

    text = found.encoded[0]
    start = [t if s else tokenizer.pad_token_id for t, s in zip(text.ids, text.special, strict=True)]
    wanted = text_models.reference(model, text.ids, start, [1] * len(text), cosine, 100)
    mine = [share.attribution for share in found.shares(0, level="token")]
    np.testing.assert_allclose(mine, wanted, atol=1e-3 * np.abs(wanted).sum())
    changed = found.edit({"guitar": "piano"}, 0)
    assert changed.after.values[0] < found.values[0]


@pytest.mark.parametrize("question", ["classes", "next token", "similarity"])
def test_fewer_gradients_than_fifty_at_equal_error(question: str) -> None:
    """The default at a tolerance of 0.05 %, and a trapezoid with 50 nodes, against Gauss-Legendre with 150."""
    tokenizer, texts = text_models.tokenizer(), ["the film was not as bad", "its plot went nowhere"]
    ask = {
        "classes": lambda **given: explain_text(text_models.classifier(), texts, tokenizer, target=1, **given),
        "next token": lambda **given: explain_next(text_models.causal(), texts, tokenizer, **given),
        "similarity": lambda **given: explain_similarity(text_models.encoder(), texts, "a review", tokenizer, **given),
    }[question]
    exact = ask(n_steps=150, progress=False).tokens.attributions["text"]

    def error(found: TextExplanation) -> float:
        return float((np.abs(found.tokens.attributions["text"] - exact).sum(1) / np.abs(exact).sum(1)).mean())

    found = ask(rtol=5e-4, progress=False)
    assert found.n_evals.max() < 50
    assert error(found) <= error(ask(n_steps=50, method="riemann_trapezoid", progress=False))


def test_the_next_token() -> None:
    model, tokenizer = text_models.causal(), text_models.tokenizer()
    texts = ["the capital of france is", "paris in"]
    found = explain_next(model, texts, tokenizer, rtol=1e-3, progress=False)
    for i, text in enumerate(texts):
        ids = tokenizer(text, add_special_tokens=True)["input_ids"][:-1]
        with torch.no_grad():
            logp = model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        assert found.values[i] == pytest.approx(float(logp.max()), abs=1e-5)
    with pytest.raises(InputError, match="writes 'unbelievably' as"):
        explain_next(model, texts, tokenizer, token="unbelievably")
    apart = explain_next(model, texts, tokenizer, token="paris", contrast="rome", progress=False)
    swapped = explain_next(model, texts, tokenizer, token="rome", contrast="paris", progress=False)
    assert apart.values == pytest.approx(-swapped.values, abs=1e-5)


def test_a_generation_token_by_token() -> None:
    model, tokenizer = text_models.causal(), text_models.tokenizer()
    found = explain_generation(model, "the capital of france is", tokenizer, max_new_tokens=4, progress=False)
    words, tokens, table = found.matrix()
    assert (words, len(tokens), table.shape) == (["the", "capital", "of", "france", "is"], 4, (5, 4))
    prompt = tokenizer("the capital of france is")["input_ids"][:-1]
    start = [prompt[0], *[tokenizer.pad_token_id] * 5]
    made = tokenizer.convert_tokens_to_ids(list(tokens))
    for k in range(4):
        ids = [*prompt, *made[:k]]

        def logp(out: Any, k: int = k) -> torch.Tensor:
            return out.logits[0, -1].log_softmax(-1)[made[k]]

        wanted = text_models.reference(model, ids, [*start, *made[:k]], [1] * len(ids), logp, 64)[1 : len(prompt)]
        np.testing.assert_allclose(table[:, k], wanted, atol=0.01 * np.abs(wanted).sum())
        assert found.prompt.values[0, k] == pytest.approx(_next(model, ids, made[k]), abs=1e-4)
    again = explain_generation(model, "the capital of france is", tokenizer, "and then", progress=False, n_steps=16)
    assert again.tokens == ("and", "then")
    assert list(again.to_frame().columns) == ["and", "then"]


def test_a_generation_ends_where_the_model_ends_it() -> None:
    model, tokenizer = text_models.causal(), text_models.tokenizer()
    whole = explain_generation(model, "the capital", tokenizer, max_new_tokens=3, progress=False, n_steps=4)
    second = tokenizer.convert_tokens_to_ids(whole.tokens[1])
    last = next(i for i, token in enumerate(whole.tokens) if token == whole.tokens[1])
    for ends in (second, [second]):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(model.config, "eos_token_id", ends)
            cut = explain_generation(model, "the capital", tokenizer, max_new_tokens=3, progress=False, n_steps=4)
        assert cut.tokens == whole.tokens[: last + 1]


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ({"prompt": "a " * 40}, InputError, "at most 48 tokens together; got 41 and max_new_tokens=16"),
        ({"prompt": "a " * 40, "generated": "b " * 10}, InputError, "at most 48 tokens; text 0 .* has 51"),
        ({"prompt": ["a"]}, InputTypeError, "expected prompt as one str; got builtins.list"),
        ({"prompt": "a", "generated": [3]}, InputTypeError, "expected generated as one str; got builtins.list"),
        ({"prompt": "", "tokenizer": lambda text: []}, InputError, "prompt of at least one token"),
    ],
)
def test_generations_that_cannot_be(given: dict[str, Any], error: type[Exception], sentence: str) -> None:
    model = text_models.causal()
    with pytest.raises(error, match=sentence):
        explain_generation(model, **({"tokenizer": text_models.tokenizer()} | given))


def test_what_the_document_promises_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = (Path(__file__).parents[1] / "docs" / "text.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", document, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 5
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {
        "model": text_models.classifier(),
        "encoder": text_models.classifier().bert,
        "language_model": text_models.causal(),
        "tokenizer": text_models.tokenizer(),
    }
    exec(compile("".join(blocks), "text.md", "exec"), names)
    assert (tmp_path / "texts.html").stat().st_size > 1000
    assert names["table"]["text"].tolist() == ["A dull film", "A dull book", "A film", "A great film"]
    assert names["story"].matrix()[2].shape == (5, 3)


def _next(model: torch.nn.Module, ids: list[int], token: int) -> float:
    with torch.no_grad():
        return float(model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)[token])


def test_a_path_by_way_of_real_words() -> None:
    model, tokenizer = text_models.classifier(), text_models.tokenizer()
    straight = explain_text(model, TEXTS[:2], tokenizer, target=1, progress=False)
    found = explain_text(model, TEXTS[:2], tokenizer, target=1, anchors=3, rtol=1e-3, progress=False)
    np.testing.assert_allclose(found.values, straight.values, atol=1e-6)
    np.testing.assert_allclose(found.baseline_values, straight.baseline_values, atol=1e-6)
    for i in range(2):
        difference = found.values[i] - found.baseline_values[i]
        assert found.total(i) - difference == pytest.approx(found.deltas[i], abs=1e-5)
        assert abs(found.deltas[i]) < 0.01 * abs(found.tokens.attributions["text"][i]).sum()
        own = np.array([share.attribution for share in found.shares(i)])
        other = np.array([share.attribution for share in straight.shares(i)])
        assert np.abs(own - other).max() > 1e-3  # another path, another account
    with pytest.raises(InputError, match="target= as a class"):
        explain_text(model, TEXTS[1], tokenizer, anchors=3)


def test_words_on_the_way() -> None:
    table = np.random.default_rng(0).normal(size=(200, 8))
    way = chain(table, [0, 5, 7], [3, 5, 9], 4)
    assert (way[0], way[-1]) == ([0, 5, 7], [3, 5, 9])
    assert [step[1] for step in way] == [5] * 6
    assert all(step[0] not in (0, 3) for step in way[1:-1])
    distance = [np.linalg.norm(table[step[0]] - table[0]) for step in way]
    assert distance[1] < distance[-1]
