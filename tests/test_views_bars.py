"""Bars: their lengths are the attributions, and together they are F(x) - F(x')."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import samples
from goldens import check_figure, compare_figure
from matplotlib.figure import Figure

from pyig.errors import InputTypeError


def lengths(figure: Any) -> list[float]:
    return [patch.get_width() for patch in figure.axes[0].patches]


def labels(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_yticklabels()]


def test_golden_bars() -> None:
    check_figure("bars", samples.table(gap=0.1).plot("bars", top=5))


def test_golden_bars_notice_a_wrong_picture() -> None:
    e = samples.table(gap=0.1)
    with pytest.raises(AssertionError, match="differs by"):
        compare_figure("bars", replace(e, attributions=-e.attributions).plot("bars", top=5))
    with pytest.raises(AssertionError, match="other features"):
        compare_figure("bars", samples.table(gap=0.1).plot("bars", top=6))


@pytest.mark.parametrize("sample", [0, 1, 2])
@pytest.mark.parametrize("top", [2, 5, 12, None])
def test_bars_add_up(sample: int, top: int | None) -> None:
    e = samples.table(gap=0.1)
    drawn = lengths(e.plot("bars", sample=sample, top=top))
    assert sum(drawn) == pytest.approx(e.values[sample] - e.baseline_values[sample])


def test_a_gap_too_small_to_see_has_no_bar() -> None:
    assert "completeness gap" not in labels(samples.table(gap=1e-4).plot("bars"))
    shown = samples.table(gap=0.1).plot("bars")
    assert labels(shown)[-1] == "completeness gap"
    assert shown.axes[0].patches[-1].get_hatch()
    assert not shown.axes[0].patches[-2].get_hatch()


def test_labels_show_values_and_colours_show_signs() -> None:
    figure = samples.table().plot("bars", top=3)
    assert labels(figure)[:2] == ["oldpeak = 2.3", "ca = 0"]
    assert labels(figure)[3] == "9 other features"
    for patch in figure.axes[0].patches[:3]:
        red, _, blue, _ = patch.get_facecolor()
        assert (red > blue) == (patch.get_width() > 0)


def test_names_are_never_read_as_formulas() -> None:
    names = ["$x_{1}$", r"\alpha & %", "a" * 80, "two\nlines", *samples.FEATURES[4:]]
    figure = samples.table(feature_names=names, gap=0.1).plot("bars", top=None)
    figure.draw_without_rendering()
    shown = labels(figure)
    assert "$x_{1}$ = 63" in shown
    assert "two lines = 233" in shown
    assert all(len(label) < 60 for label in shown)


@pytest.mark.parametrize("name", ["short", "a very long name of a feature, longer than most"])
def test_nothing_is_cut_off(name: str) -> None:
    figure = samples.table(feature_names=[name] * 12, gap=0.2).plot("bars")
    figure.draw_without_rendering()
    width, height = figure.bbox.size
    axes = figure.axes[0]
    for text in [*axes.get_yticklabels(), *axes.texts, figure._suptitle, axes.xaxis.label]:
        box = text.get_window_extent()
        assert box.x0 >= -0.5
        assert box.x1 <= width + 0.5
        assert box.y0 >= -0.5
        assert box.y1 <= height + 0.5


def test_bars_in_given_axes() -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert samples.table().plot("bars", ax=right) is figure
    assert not left.patches
    assert right.patches


def test_other_things_are_no_axes() -> None:
    with pytest.raises(InputTypeError, match="expected ax to be matplotlib Axes; got int"):
        samples.table().plot("bars", ax=3)


def test_all_zero_draws_no_length() -> None:
    figure = samples.make(np.zeros((1, 3)), np.zeros((1, 3))).plot("bars")
    figure.draw_without_rendering()
    assert lengths(figure) == [0.0, 0.0, 0.0]


def test_golden_convergence() -> None:
    check_figure("convergence", samples.table(gap=0.05).plot("convergence"))


def test_golden_convergence_notices_another_sample() -> None:
    with pytest.raises(AssertionError, match="differs by"):
        compare_figure("convergence", samples.table(gap=0.05).plot("convergence", sample=1))


def test_convergence_ends_at_the_sums() -> None:
    e = samples.table(gap=0.05)
    left, right = e.plot("convergence", sample=2).axes
    values, running = right.lines
    assert values.get_ydata()[-1] == pytest.approx(e.values[2] - e.baseline_values[2])
    assert running.get_ydata()[-1] == pytest.approx(e.attributions[2].sum())
    assert running.get_xdata()[-1] == pytest.approx(1.0)
    np.testing.assert_array_equal(left.lines[1].get_xdata(), samples.ALPHAS)


def test_convergence_in_given_axes() -> None:
    figure = Figure()
    axes = figure.subplots(1, 2)
    assert samples.table().plot("convergence", ax=axes) is figure
    assert all(ax.lines for ax in axes)
    with pytest.raises(ValueError, match="expected two Axes, for F and for the running sum; got 1"):
        samples.table().plot("convergence", ax=axes[0])
