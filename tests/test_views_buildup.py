"""Drawings of attributions along the path: what is on them, and where; names stay text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import samples
from goldens import check_figure, compare_figure
from test_html import ALLOWED, EVIL, Page

from pyig.errors import InputTypeError
from pyig.explanation.cumulative import CumulativeAttributions
from pyig.explanation.one_path import heading
from pyig.views.buildup_html import fragment
from pyig.views.html import html, page
from pyig.views.lines import DASHES, HUES, looks, spans


def made(names: tuple[str, ...] = ("age", "income", "3 others"), **changes: Any) -> CumulativeAttributions:
    alphas = np.linspace(0, 1, 9)
    ends = np.array([2.0, -1.0, *[0.3] * (len(names) - 2)])
    slopes = np.where(alphas[:, None] < 0.5, 2.0, 0.0) * ends
    cumulative = np.minimum(1.0, 2 * alphas)[:, None] * ends
    given: dict[str, Any] = {
        "names": names, "others": 3, "alphas": alphas, "values": cumulative.sum(axis=1), "slopes": slopes,
        "cumulative": cumulative, "attributions": ends, "estimates": 0.01 * np.abs(ends),
        "residual": 0 * ends, "error": 0.1, "n_evals": 9, "title": "sample 0",
    }  # fmt: skip
    return CumulativeAttributions(**given | changes)


def test_lines_end_at_their_attributions_and_saturated_parts_are_shaded() -> None:
    lines = made()
    figure = lines.plot()
    (ax,) = figure.axes
    ends = {line.get_label(): line.get_ydata()[-1] for line in ax.lines if line.get_label()[0] != "_"}
    assert ends == {"F(a) - F(x')": pytest.approx(1.3), "age  +2.00": 2, "income  -1.00": -1, "3 others  +0.30": 0.3}
    (shade,) = ax.patches
    assert [shade.get_x(), shade.get_width()] == [0.5, 0.5]
    assert "saturated: a from 0.5 to 1 (50 % of the path)" in ax.get_xlabel()
    assert "9 gradients of their own, at 9 nodes" in ax.get_xlabel()
    order = [text.get_text() for text in ax.get_legend().get_texts()]
    assert order == ["age  +2.00", "3 others  +0.30", "income  -1.00", "F(a) - F(x')"]  # from top to bottom, as drawn


def test_golden() -> None:
    with mpl.rc_context(mpl.rcParamsDefault | {"backend": "agg", "savefig.dpi": "figure"}):
        check_figure("buildup", made().plot())
        for changed in (
            made(cumulative=made().cumulative[:, [1, 0, 2]]),
            made(slopes=np.ones((9, 3))),  # nothing is saturated
            made(cumulative=made().cumulative * np.linspace(0, 1, 9)[:, None]),
        ):
            with pytest.raises(AssertionError, match="differs by"):
                compare_figure("buildup", changed.plot())


def test_axes_of_ones_own_and_no_global_state() -> None:
    import sys

    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    assert made().plot(ax=ax) is ax.figure
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    with pytest.raises(InputTypeError, match="Axes"):
        made().plot(ax=3)


def test_partial_and_loose_lines_are_called_so() -> None:
    assert "partial: stopped early" in fragment(made(complete=False))
    assert "too few nodes" in fragment(made(residual=np.array([1.0, 0, 0])))
    assert "partial" not in fragment(made())
    assert "bound" not in fragment(made())
    assert spans(made(slopes=np.ones((9, 3)))) == "no part of the path is saturated"


def test_looks_differ() -> None:
    names = (*(f"f{n}" for n in range(12)), "3 others")
    found = looks(made(names))
    assert len(set(found)) == len(found)
    assert len(set(HUES)) == 8
    assert len(set(DASHES)) == 4


def test_a_report_has_the_lines_of_the_sample_it_shows() -> None:
    e = samples.table()
    lines = made(title=heading(e, 0, 0))
    for text in (str(html(e, along=lines)), page(e, along=[lines])):
        assert text.count("Cumulative attribution</summary>") == 1
        drawing = text.split("Cumulative attribution</summary>")[1]
        assert drawing.split("</svg>")[0].count("<polyline") == 3
    assert "Cumulative attribution" not in page(e, along=made(title="sample 7"))
    assert "Cumulative attribution" not in str(html(e))
    with pytest.raises(InputTypeError, match="along="):
        html(e, along=[3])  # type: ignore[list-item]


@pytest.mark.parametrize("evil", EVIL)
def test_names_stay_names(evil: str) -> None:
    text = Page(fragment(made((evil, "b", "3 others"))))
    assert {tag for tag, _ in text.tags} <= ALLOWED | {"rect"}
    assert not any(key.startswith("on") for _, attributes in text.tags for key in attributes)
    figure = made((evil, "b", "3 others")).plot()
    figure.canvas.draw()


def test_what_is_not_finite_is_not_drawn() -> None:
    broken = np.full((9, 3), np.nan)
    assert "not finite" in fragment(replace(made(), cumulative=broken))
