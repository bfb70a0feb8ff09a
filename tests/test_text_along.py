"""Words along the path: the sums over their tokens and embeddings, for models with and without a layer named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import text_models

from pyig.errors import InputError
from pyig.text import TextExplanation, explain_text

TEXTS = ["Not bad at all, not bad", "a dull film"]


def explained(**options: Any) -> TextExplanation:
    given = {"target": 1, "progress": False, **options}
    return explain_text(text_models.classifier(), TEXTS, text_models.tokenizer(), **given)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"baseline": "mask"},
        {"baseline": "zero"},
        {"target": "top2"},
        {"target": [0, 2]},
        {"n_steps": 12},
        {"value": "probability"},
    ],
)
def test_lines_of_words_end_at_their_shares(options: dict[str, Any]) -> None:
    e = explained(**options)
    for i in range(2):
        k = 1 if options.get("target") == "top2" else 0
        lines = e.along(i, k, top=20)
        shares = [share for share in e.shares(i, k) if share.span is not None]
        assert lines.cumulative[-1].sum() == pytest.approx(e.total(i, k), abs=1e-9)
        by_name = dict(zip(lines.names, lines.attributions, strict=True))
        for share in shares:
            alike = [other for other in shares if other.text == share.text]
            if len(alike) == 1 and share.attribution:
                assert by_name[share.text] == pytest.approx(share.attribution)
        assert lines.reconciles, lines
        np.testing.assert_allclose(
            lines.cumulative.sum(axis=1),
            lines.values - lines.values[0],
            atol=0.03 * np.abs(lines.attributions).sum() + lines.error,
        )


def test_words_that_are_written_alike_are_told_apart() -> None:
    names = explained().along(0, top=20).names
    assert "bad (1)" in names
    assert "bad (2)" in names
    assert not any(name.strip() == "" for name in names)
    few = explained().along(0, top=2)
    assert few.others == len(names) - 2


def test_a_layer_of_ones_own() -> None:
    model = text_models.classifier()
    layer = next(
        module for name, module in model.named_modules() if "embed" in name.lower() and not list(module.children())
    )
    e = explain_text(model, TEXTS, text_models.tokenizer(), target=1, layer=layer, progress=False)
    assert e.along(1).reconciles


def test_what_has_no_single_path_is_refused() -> None:
    e = explained(anchors=2)
    with pytest.raises(InputError, match="anchors="):
        e.along()
    loaded = TextExplanation(e.tokens, e.encoded)
    with pytest.raises(InputError, match="of this session"):
        loaded.along()
