"""The text view against texts that were read and found good."""

from __future__ import annotations

import numpy as np
import pytest
import samples
from goldens import check_text, compare_text

from pyig.errors import InputError
from pyig.views.ranking import rank


@pytest.mark.parametrize(
    ("name", "options"),
    [("table", {"top": 4, "samples": 2}), ("frame", {}), ("several_targets", {}), ("mixed", {}), ("empty", {})],
)
def test_golden_text(name: str, options: dict[str, int]) -> None:
    check_text(f"text_{name}", samples.ALL[name]().plot("text", **options))


def test_golden_text_notices_a_change() -> None:
    with pytest.raises(AssertionError):
        compare_text("text_mixed", samples.mixed().plot("text", top=1))


def test_a_prompt_shows_the_lines_themselves() -> None:
    text = samples.table().plot("text")
    assert repr(text) == str(text)
    assert "\n" in repr(text)


def test_the_gap_has_a_line_only_where_it_shows() -> None:
    assert "completeness gap " not in samples.table(gap=1e-5).plot("text", samples=1).rpartition("\n\n")[0]
    assert "\n  completeness gap" in samples.table(gap=0.1).plot("text", samples=1)


@pytest.mark.parametrize("kind", ["table", "several_targets", "mixed", "picture", "sequence"])
@pytest.mark.parametrize("top", [1, 3, None])
def test_rows_remainder_and_gap_add_up(kind: str, top: int | None) -> None:
    e = samples.ALL[kind]()
    for k in range(1 if e.values.ndim == 1 else e.values.shape[1]):
        ranking = rank(e, 1 if len(e) > 1 else 0, k, top)
        total = sum(row.attribution for row in ranking.rows) + ranking.remainder + ranking.missing
        assert total == pytest.approx(ranking.difference, rel=1e-6)
        sizes = [abs(row.attribution) for row in ranking.rows]
        assert sizes == sorted(sizes, reverse=True)


def test_rows_belong_together() -> None:
    e = samples.frame()
    for row in rank(e, 1).rows:
        assert row.value == e.inputs.loc["p-2", row.label]
        assert row.baseline == e.baselines[row.label].iloc[0]
        assert row.attribution == e.attributions.loc["p-2", row.label]


def test_a_remainder_of_one_is_shown_by_name() -> None:
    e = samples.make(np.ones((1, 4)), np.arange(4.0)[None])
    assert (len(rank(e, 0, 0, 3).rows), rank(e, 0, 0, 3).others) == (4, 0)
    assert (len(rank(e, 0, 0, 2).rows), rank(e, 0, 0, 2).others) == (2, 2)


@pytest.mark.parametrize("top", [0, -1])
def test_top_must_be_one_at_least(top: int) -> None:
    with pytest.raises(InputError, match=f"expected top to be at least 1, or None for all features; got {top}"):
        samples.table().plot("text", top=top)
