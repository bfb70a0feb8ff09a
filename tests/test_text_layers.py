"""Which layers a path may begin at, and encoder-decoders: T5 and BART, tiny and random."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import text_models
import torch
import transformers

import pyig
from pyig.errors import InputError, ModelError
from pyig.text.layers import TextLayers

TEXTS = ["The film wasn't as bad as I feared.", "Short one"]
SMALL = {"vocab_size": len(text_models.tokenizer()), "num_labels": 3, "pad_token_id": 0, "eos_token_id": 102}
WIDTHS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


def model_of(name: str) -> Any:
    """Return a tiny random model by the name of its class."""
    torch.manual_seed(0)
    config: Any
    if name.startswith("T5"):
        sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
        config = transformers.T5Config(
            **SMALL, **sizes, decoder_start_token_id=0, feed_forward_proj="gated-gelu", initializer_factor=0.5
        )
    elif name.startswith("Bart"):
        halves = {
            f"{half}_{what}": size
            for half in ("encoder", "decoder")
            for what, size in (("layers", 2), ("attention_heads", 4), ("ffn_dim", 64))
        }
        more: dict[str, Any] = {"decoder_start_token_id": 102, "bos_token_id": 101, "forced_eos_token_id": None}
        config = transformers.BartConfig(
            **SMALL, **halves, **more, d_model=32, max_position_embeddings=64, init_std=0.3
        )
    elif name.startswith("Roberta"):
        config = transformers.RobertaConfig(**(SMALL | {"pad_token_id": 1}), **WIDTHS)
    elif name.startswith("Distil"):
        config = transformers.DistilBertConfig(**SMALL, dim=32, n_layers=2, n_heads=4, hidden_dim=64)
    else:
        config = transformers.LlamaConfig(**SMALL, **WIDTHS)
    return getattr(transformers, name)(config).eval()


def ids_of(*texts: str) -> Any:
    found = text_models.tokenizer()(list(texts), return_tensors="pt", padding=True)
    return found["input_ids"], {"attention_mask": found["attention_mask"]}


LAYERS: dict[str, list[str]] = {
    "RobertaForSequenceClassification": ["embeddings.word_embeddings", "roberta.embeddings", "roberta.encoder.layer.0"],
    "DistilBertForSequenceClassification": [
        "embeddings.word_embeddings",
        "distilbert.embeddings",
        "transformer.layer.0",
    ],
    "LlamaForCausalLM": ["model.embed_tokens", "model.layers.0"],
    "T5EncoderModel": ["encoder.embed_tokens", "encoder.block.0"],
    "T5ForSequenceClassification": ["encoder.embed_tokens", "decoder.embed_tokens", "encoder.block.0"],
    "BartForSequenceClassification": [
        "encoder.embed_tokens",
        "decoder.embed_tokens",
        "encoder.layernorm_embedding",
        "encoder.layers.0",
    ],
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_a_model_of_text(name: str) -> None:
    ids, kwargs = ids_of(*TEXTS)
    found = pyig.text_layers(model_of(name), ids, kwargs)
    assert len(found) == len(LAYERS[name])
    assert all(each.name.endswith(wanted) for each, wanted in zip(found, LAYERS[name], strict=True))
    tables = sum(isinstance(each.layer, torch.nn.Embedding) for each in found)
    assert [each.recommended for each in found] == [True] * tables + [False] * (len(found) - tables)
    assert {each.shape for each in found} == {(1, ids.shape[1], 32)}


def test_every_layer_goes_to_explain() -> None:
    model, (ids, kwargs) = text_models.classifier(), ids_of(*TEXTS)
    found = pyig.text_layers(model, {"input_ids": ids, **kwargs})
    assert [each.kind for each in found] == ["table", "sum", "block"]
    ig = pyig.IntegratedGradients(model)
    for each in found:
        for layer in (each.name, each.layer):
            explained = ig.explain(ids, target=1, layer=layer, forward_kwargs=kwargs, n_steps=48)
            assert explained.attributions.shape == (2, *each.shape[1:])
            total = explained.attributions.sum((1, 2))
            np.testing.assert_allclose(total, explained.values - explained.baseline_values, atol=1e-2)
    whole = pyig.explain_text(model, TEXTS, text_models.tokenizer(), target=1, layer=found[1].layer, progress=False)
    assert whole.converged.all()


def test_layers_are_told_in_words() -> None:
    found = pyig.text_layers(text_models.classifier(), *ids_of("Short one"))
    first, second, third = repr(found).splitlines()
    assert "recommended" in first
    assert "places and types" in second
    assert "no longer a word's" in third
    assert repr(TextLayers()) == "no layer is seen to look anything up"


def test_layers_of_keras_models() -> None:
    keras = pytest.importorskip("keras")
    given = keras.Input((4,), dtype="int32")
    words = keras.layers.Embedding(20, 6, name="words")(given)
    scaled = keras.layers.LayerNormalization(name="scaled")(words)
    model = keras.Model(given, keras.layers.Dense(2)(keras.layers.LSTM(3, return_sequences=True, name="read")(scaled)))
    found = pyig.text_layers(model, np.array([[1, 2, 3, 4]]))
    assert [each.name for each in found] == ["words", "scaled", "read"]
    assert not any("call" in layer.__dict__ for layer in model.layers)


def test_no_layer_looks_anything_up() -> None:
    class Placed(torch.nn.Module):
        """Its table is of places, which are no part of the input."""

        def __init__(self) -> None:
            super().__init__()
            self.places = torch.nn.Embedding(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x[..., None] * self.places(torch.arange(x.shape[1]))).sum(1)

    for model, x in (
        (torch.nn.Linear(4, 2), np.ones((2, 4))),
        (Placed(), np.ones((2, 4))),
        (Placed(), np.arange(8).reshape(2, 4)),
    ):
        with pytest.raises(InputError, match="none was seen"):
            pyig.text_layers(model, x)
    with pytest.raises(ModelError, match="Pass integers"):
        pyig.text_layers(torch.nn.Embedding(4, 2), np.ones((2, 4)))


# --- encoder-decoders ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["T5ForSequenceClassification", "BartForSequenceClassification"])
def test_a_classifier_that_reads_a_text_twice(name: str) -> None:
    """Encoder and decoder: the same as a path by hand that gives both tables' values."""
    model, tokenizer = model_of(name), text_models.tokenizer()
    found = pyig.explain_text(model, TEXTS, tokenizer, target=1, output="logits", n_steps=128, progress=False)
    for i, text in enumerate(found.encoded):
        assert found.total(i) == pytest.approx(found.values[i] - found.baseline_values[i], abs=1e-2)
        start = [t if s else 0 for t, s in zip(text.ids, text.special, strict=True)]
        wanted = _twice(model, list(text.ids), start, 1)
        np.testing.assert_allclose([s.attribution for s in found.shares(i, level="token")], wanted, atol=1e-5)
        assert abs(found.total(i)) > 1e-3


def _twice(model: Any, ids: list[int], start: list[int], target: int) -> Any:
    """Return attributions by hand: hooks on both tables put the points in their place."""
    inner = model.transformer if hasattr(model, "transformer") else model.model
    tables = [inner.encoder.embed_tokens, inner.decoder.embed_tokens]
    x = torch.tensor([ids])
    first = model.config.decoder_start_token_id
    given = [(ids, start), ([first, *ids[:-1]], [first, *start[:-1]])]
    ends = [[table(torch.tensor([row])).detach() for row in pair] for table, pair in zip(tables, given, strict=True)]
    totals = [torch.zeros_like(stop, dtype=torch.float64) for stop, _ in ends]
    for place, weight in zip(*np.polynomial.legendre.leggauss(128), strict=True):
        points = [(b + (place + 1) / 2 * (a - b)).requires_grad_() for a, b in ends]
        hooks = [t.register_forward_hook(lambda *_, p=p: p) for t, p in zip(tables, points, strict=True)]
        grads = torch.autograd.grad(model(input_ids=x).logits[0, target], points)
        for hook in hooks:
            hook.remove()
        for total, grad in zip(totals, grads, strict=True):
            total += weight / 2 * grad.double()
    own, again = (((a - b) * total).sum(-1)[0].numpy() for (a, b), total in zip(ends, totals, strict=True))
    return own + np.append(again[1:], 0)


@pytest.mark.parametrize("name", ["T5ForConditionalGeneration", "BartForConditionalGeneration"])
def test_the_first_token_of_an_answer(name: str) -> None:
    model, tokenizer = model_of(name), text_models.tokenizer()
    found = pyig.explain_next(model, TEXTS, tokenizer, token=1012, n_steps=200, progress=False)
    for i, text in enumerate(found.encoded):
        assert text.special[-1], "an encoder reads its text to the end"
        begun = torch.tensor([[model.config.decoder_start_token_id]])
        start = [t if s else 0 for t, s in zip(text.ids, text.special, strict=True)]
        wanted = _answered(model, text, start, begun, lambda logits: logits[0, 0].log_softmax(-1)[1012])
        shares = [share.attribution for share in found.shares(i, level="token")]
        np.testing.assert_allclose(shares, wanted, atol=1e-5 * np.abs(wanted).sum())


def _answered(model: Any, text: Any, start: list[int], begun: Any, scalar: Any) -> Any:
    class Bound:
        get_input_embeddings = model.get_input_embeddings

        def __call__(self, **given: Any) -> Any:
            return model(decoder_input_ids=begun, **given).logits

    return text_models.reference(Bound(), list(text.ids), start, [1] * len(text), scalar, 200)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["T5ForConditionalGeneration", "BartForConditionalGeneration"])
@pytest.mark.parametrize("generated", [None, "a good film"])
def test_an_answer_token_by_token(name: str, generated: str | None) -> None:
    model, tokenizer = model_of(name), text_models.tokenizer()
    story = pyig.explain_generation(
        model, TEXTS[0], tokenizer, generated, max_new_tokens=3, n_steps=200, progress=False
    )
    words, tokens, table = story.matrix()
    assert words[:2] == ["The", "film"]
    ids = [int(tokenizer.convert_tokens_to_ids(token)) for token in tokens]
    if generated is None:
        made = model.generate(*ids_of(TEXTS[0])[:1], max_new_tokens=3, do_sample=False, num_beams=1)
        assert made[0, 1:].tolist()[: len(ids)] == ids
    else:
        assert tokens == ["a", "good", "film"]
    first = model.config.decoder_start_token_id
    (text,) = story.prompt.encoded
    start = [t if s else 0 for t, s in zip(text.ids, text.special, strict=True)]
    last = len(ids) - 1
    wanted = _answered(
        model, text, start, torch.tensor([[first, *ids[:-1]]]), lambda out: out[0, last].log_softmax(-1)[ids[last]]
    )
    shares = [share.attribution for share in story.prompt.shares(0, last, level="token")]
    np.testing.assert_allclose(shares, wanted, atol=1e-5 * max(np.abs(wanted).sum(), 1))
    assert table.shape == (len(words), len(tokens))


def test_a_writer_is_told_what_to_ask() -> None:
    model, tokenizer = model_of("T5ForConditionalGeneration"), text_models.tokenizer()
    with pytest.raises(InputError, match=r"writes another text\. Ask pyig\.explain_next.*explain_generation.*inputs="):
        pyig.explain_text(model, TEXTS, tokenizer, target=1)
    begun = torch.zeros(2, 1, dtype=torch.long)

    def inputs(ids: Any, batch: Any) -> Any:
        return ids, {"attention_mask": batch.mask, "decoder_input_ids": begun[: len(ids)]}

    found = pyig.explain_text(
        model, TEXTS[0], tokenizer, inputs=inputs, target=(0, 1012), output="logits", progress=False
    )
    asked = pyig.explain_next(model, TEXTS[0], tokenizer, token=1012, value="output", progress=False)
    assert found.values[0] == pytest.approx(asked.values[0], abs=1e-5)
    model.config.decoder_start_token_id = model.generation_config.decoder_start_token_id = None
    model.config.bos_token_id = model.generation_config.bos_token_id = None
    with pytest.raises(ModelError, match="decoder_start_token_id"):
        pyig.explain_next(model, TEXTS, tokenizer, token=1012)


def test_places_that_follow_from_padding_stay() -> None:
    """RoBERTa counts its places over what is no padding; they are those of the text, also at the baseline."""
    model, ids = model_of("RobertaForSequenceClassification"), torch.tensor([[101, 2023, 2003, 102]])
    start = torch.ones_like(ids)
    start[0, [0, 3]] = ids[0, [0, 3]]
    found = pyig.IntegratedGradients(model).explain(ids, start, target=1, n_steps=64)
    wanted = pyig.IntegratedGradients(model).explain(
        ids, start, target=1, n_steps=64, layer=model.get_input_embeddings()
    )
    np.testing.assert_allclose(found.attributions, wanted.attributions.sum(-1), atol=1e-6)
    assert (found.attributions[0, [0, 3]] == 0).all()


def test_the_longest_text_of_a_model_that_skips_places() -> None:
    """RoBERTa's first place is behind that of its padding."""
    model, tokenizer = model_of("RobertaForSequenceClassification"), text_models.tokenizer()
    most = model.config.max_position_embeddings - 2
    with pytest.raises(InputError, match=f"at most {most} tokens"):
        pyig.explain_text(model, "word " * (most - 1), tokenizer, target=1)
    found = pyig.explain_text(model, "word " * (most - 2), tokenizer, target=1, n_steps=2, progress=False)
    assert len(found.encoded[0]) == most
