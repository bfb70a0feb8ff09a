"""Texts: batches sorted by length against padding to the longest, and gradients against 50 fixed nodes.

Run with ``python benchmarks/text.py``; ``--quick`` takes fewer texts, rounds and models. Models: the packaged MiniLM
encoder, and BERT and GPT-2 of random weights. Every run of a row explains the same texts on the same nodes.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import interleave, machine, show_seconds, table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import text_models

from pyig.text import TextExplanation, explain_text
from pyig.text.language import explain_next, explain_similarity

WORDS = ["the", "film", "was", "not", "as", "bad", "I", "feared", "but", "its", "plot", "went", "nowhere"]


def sentences(count: int, longest: int, seed: int = 0) -> list[str]:
    """Return texts of mixed length, most of them short, as people write them."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.lognormal(2.3, 0.7, count).astype(int), 3, longest)
    return [" ".join(rng.choice(WORDS, length)) for length in lengths]


def error(found: TextExplanation, truth: TextExplanation) -> float:
    """Return the mean relative L1 error per token."""
    width = max(map(len, truth.encoded))
    a, b = (e.tokens.attributions["text"][:, :width] for e in (found, truth))
    return float(np.mean(np.abs(a - b).sum(1) / np.abs(b).sum(1)))


def speed(count: int, rounds: int, models: int) -> list[list[str]]:
    """Time texts sorted by length, and the same texts padded to the longest."""
    tokenizer = text_models.tokenizer()

    def encoder(texts: list[str], length: int | None) -> TextExplanation:
        model = text_models.encoder()
        return explain_similarity(model, texts, "a review", tokenizer, length=length, n_steps=8, progress=False)

    def classifier(texts: list[str], length: int | None) -> TextExplanation:
        model = text_models.classifier()
        return explain_text(model, texts, tokenizer, target=1, length=length, n_steps=16, progress=False)

    rows = []
    for name, run, longest in (
        ("BERT, 2 layers of 32", classifier, 56),
        ("MiniLM, 6 layers of 384", encoder, 120),
    )[:models]:
        texts = sentences(count, longest)
        most = max(len(ids) for ids in tokenizer(texts)["input_ids"])
        by_length, to_longest = partial(run, texts, None), partial(run, texts, most)
        times = interleave({"sorted": by_length, "padded": to_longest}, rounds)
        difference = error(by_length(), to_longest())
        rows.append(
            [name, str(len(texts)), show_seconds(times["sorted"].median), show_seconds(times["padded"].median),
             f"{times['padded'].over(times['sorted']):.2f}x", f"{difference:.0e}"]
        )  # fmt: skip
    return rows


def gradients(count: int, models: int) -> list[list[str]]:
    """Count the gradients of two tolerances, and the errors of these and of 50 nodes, against 400 nodes."""
    tokenizer = text_models.tokenizer()
    texts = sentences(count, 30, seed=1)
    cases: dict[str, Any] = {
        "BERT logit": lambda **o: explain_text(text_models.classifier(), texts, tokenizer, target=1, **o),
        "GPT-2 next token": lambda **o: explain_next(text_models.causal(), texts, tokenizer, **o),
        "MiniLM similarity": lambda **o: explain_similarity(text_models.encoder(), texts, "a review", tokenizer, **o),
    }
    rows = []
    for name, run in list(cases.items())[:models]:
        truth = run(n_steps=400, progress=False)
        fixed, gauss = run(n_steps=50, method="riemann_trapezoid", progress=False), run(n_steps=50, progress=False)
        for rtol in (0.01, 5e-4):
            found = run(rtol=rtol, progress=False)
            rows.append(
                [name, f"{rtol:.2%}", f"{found.n_evals.mean():.1f}", f"{found.converged.mean():.0%}",
                 *(f"{error(e, truth):.4%}" for e in (found, fixed, gauss))]
            )  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    print(machine("numpy", "torch", "transformers"), end="\n\n")
    head = ["model", "texts", "sorted by length", "padded to the longest", "padded / sorted", "difference"]
    print(table(head, speed(20 if quick else 100, 1 if quick else 5, 1 if quick else 2)), end="\n\n")
    head = ["F", "tolerance", "gradients", "converged", "error", "50 trapezoid", "50 Gauss"]
    print(table(head, gradients(4 if quick else 24, 2 if quick else 3)))


if __name__ == "__main__":
    main()
