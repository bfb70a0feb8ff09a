"""Captum's pictures: drawn, of the right thing, on today's matplotlib, and text that is escaped."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("matplotlib")
import matplotlib.pyplot as plt
from captum.attr import visualization as peer
from matplotlib.figure import Figure

from pyig.compat.captum import visualization as viz
from pyig.compat.captum.visualization.scales import strengths

RNG = np.random.default_rng(0)
MAP, IMAGE = RNG.standard_normal((6, 8, 3)), RNG.random((6, 8, 3))
METHODS = ["heat_map", "blended_heat_map", "original_image", "masked_image", "alpha_scaling"]
SIGNS = ["absolute_value", "positive", "negative", "all"]
SERIES = ["overlay_individual", "overlay_combined", "colored_graph"]


@pytest.fixture(autouse=True)
def no_figures_are_left() -> Iterator[None]:
    yield
    plt.close("all")


def drawn(figure: Any) -> None:
    figure.canvas.draw()


PAIRS = [(m, s) for m in METHODS for s in SIGNS if s != "all" or m not in ("masked_image", "alpha_scaling")]


@pytest.mark.parametrize("use_pyplot", [False, True])
@pytest.mark.parametrize(("method", "sign"), PAIRS)
def test_images_are_those_of_captum(method: str, sign: str, use_pyplot: bool) -> None:
    figure, axes = viz.visualize_image_attr(MAP, IMAGE, method, sign, show_colorbar=True, use_pyplot=use_pyplot)
    drawn(figure)
    assert bool(plt.get_fignums()) == use_pyplot, "nothing is left with pyplot where it was not asked for"
    _, theirs = peer.visualize_image_attr(MAP, IMAGE, method, sign, use_pyplot=False)
    ours = [np.asarray(image.get_array(), dtype=float) for image in axes.images]
    old = [np.asarray(image.get_array(), dtype=float) for image in theirs.images]
    assert len(ours) == len(old)
    for a, b in zip(ours, old, strict=True):
        scale = 255.0 if b.max() > 1.5 else 1.0  # whole numbers are cut off here and rounded there
        np.testing.assert_allclose(a, b, atol=1.01 * (scale > 1) + 1e-9)


def test_a_sign_is_a_sign() -> None:
    row = np.array([[3.0, -1.0, 0.0]])
    np.testing.assert_allclose(strengths(row, "all", 0), [[1, -1 / 3, 0]])
    np.testing.assert_allclose(strengths(row, "positive", 0), [[1, 0, 0]])
    np.testing.assert_allclose(strengths(row, "negative", 0), [[0, 1, 0]])
    np.testing.assert_allclose(strengths(row, "absolute_value", 0), [[1, 1 / 3, 0]])
    assert strengths(np.array([[100.0, *[1.0] * 99]]), "all", 60)[0, 1] == 1.0, "outliers do not set the scale"


def test_zeros_are_blank() -> None:
    with pytest.raises(AssertionError):
        peer.visualize_image_attr(0 * MAP, use_pyplot=False)
    figure, axes = viz.visualize_image_attr(0 * MAP, use_pyplot=False)
    drawn(figure)
    assert not axes.images[0].get_array().any()
    drawn(viz.visualize_timeseries_attr(np.zeros((5, 2)), np.ones((5, 2)), use_pyplot=False)[0])


def test_an_image_needs_no_attributions() -> None:
    given = {"original_image": IMAGE, "method": "original_image", "use_pyplot": False}
    _, alone = viz.visualize_image_attr(None, **given)
    _, beside = viz.visualize_image_attr(MAP, **given)
    np.testing.assert_array_equal(alone.images[0].get_array(), beside.images[0].get_array())
    with pytest.raises(AssertionError, match="expected attr"):
        viz.visualize_image_attr(None, IMAGE, "blended_heat_map", use_pyplot=False)


def test_tensors_and_channels_first() -> None:
    _, last = viz.visualize_image_attr(MAP, IMAGE, "blended_heat_map", use_pyplot=False)
    _, first = viz.visualize_image_attr(
        torch.tensor(MAP).permute(2, 0, 1).requires_grad_(),
        torch.tensor(IMAGE).permute(2, 0, 1),
        "blended_heat_map",
        use_pyplot=False,
    )
    for a, b in zip(first.images, last.images, strict=True):
        np.testing.assert_allclose(a.get_array(), b.get_array())
    _, flat = viz.visualize_image_attr(MAP.sum(axis=2), use_pyplot=False)
    np.testing.assert_allclose(flat.images[0].get_array(), last.images[1].get_array())


@pytest.mark.parametrize("use_pyplot", [False, True])
def test_several_pictures_side_by_side(use_pyplot: bool) -> None:
    figure, axes = viz.visualize_image_attr_multiple(
        MAP, IMAGE, ["original_image", "heat_map"], ["all", "positive"], ["$a", "b"], use_pyplot=use_pyplot,
        show_colorbar=True,
    )  # fmt: skip
    drawn(figure)
    assert [ax.get_title() for ax in axes] == ["$a", "b"]
    assert axes[0].get_position().height == pytest.approx(axes[1].get_position().height, rel=0.05)
    _, alone = viz.visualize_image_attr_multiple(MAP, None, ["heat_map"], ["all"], use_pyplot=use_pyplot)
    assert alone.images


def test_drawing_on_given_axes() -> None:
    figure = Figure()
    ax = figure.subplots()
    assert viz.visualize_image_attr(MAP, plt_fig_axis=(figure, ax), use_pyplot=False) == (figure, ax)
    several = figure.subplots(2, 1)
    found = viz.visualize_timeseries_attr(
        MAP[0, :, :2], MAP[1, :, :2], plt_fig_axis=(figure, several), use_pyplot=False
    )
    assert found[0] is figure


@pytest.mark.parametrize("use_pyplot", [False, True])
@pytest.mark.parametrize("method", SERIES)
@pytest.mark.parametrize("channels", [1, 3])
def test_time_series(method: str, channels: int, use_pyplot: bool) -> None:
    maps, data = RNG.standard_normal((20, channels)), RNG.standard_normal((20, channels))
    labels = ["$one", "two", "three"][:channels]
    for last in (True, False):
        given = (maps, data) if last else (torch.tensor(maps).T, torch.tensor(data).T)
        figure, axes = viz.visualize_timeseries_attr(
            *given, np.arange(20) ** 1.1, method, "all", labels, last, show_colorbar=True, title="t",
            use_pyplot=use_pyplot, linewidth=2.0,
        )  # fmt: skip
        drawn(figure)
        rows = np.ravel(np.asarray(axes, dtype=object))
        assert len(rows) == (1 if method == "overlay_combined" else channels)
        lines = [line for ax in rows for line in (ax.collections if method == "colored_graph" else ax.lines)]
        assert len(lines) == channels
        assert np.all(np.asarray(lines[0].get_linewidth()) == 2.0)
        bands = [patch for ax in rows for patch in ax.patches]
        assert len(bands) == (0 if method == "colored_graph" else 20 * len(rows))
    with pytest.raises(AttributeError):
        peer.visualize_timeseries_attr(maps, data, method=method, use_pyplot=False)


def test_bands_lie_around_their_values() -> None:
    x = np.array([0.0, 1.0, 5.0])
    _, ax = viz.visualize_timeseries_attr(np.ones((3, 1)), np.ones((3, 1)), x, use_pyplot=False)
    edges = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in ax.patches]
    np.testing.assert_allclose(edges, [(-0.5, 0.5), (0.5, 3.0), (3.0, 7.0)])


def test_many_channels_are_pointed_out() -> None:
    with pytest.warns(UserWarning, match="channels_last="):
        viz.visualize_timeseries_attr(np.ones((2, 5)), np.ones((2, 5)), use_pyplot=False)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("visualize_image_attr", {"attr": MAP, "method": "heatmap"}, "did you mean 'heat_map'"),
    ("visualize_image_attr", {"attr": MAP, "sign": "both"}, "unknown sign"),
    ("visualize_image_attr", {"attr": MAP, "method": "masked_image"}, "original_image="),
    (
        "visualize_image_attr",
        {"attr": MAP, "original_image": IMAGE, "method": "masked_image", "sign": "all"},
        "one kind",
    ),
    ("visualize_image_attr", {"attr": MAP, "original_image": IMAGE[:3]}, "6, 8"),
    ("visualize_image_attr", {"attr": MAP[0, 0]}, "2 or 3 axes"),
    ("visualize_image_attr", {"attr": MAP, "outlier_perc": 120}, "between 0 and 100"),
    ("visualize_timeseries_attr", {"attr": MAP[0], "data": MAP[0, :3]}, "same shape"),
    ("visualize_timeseries_attr", {"attr": MAP[0], "data": MAP[0], "x_values": np.arange(3)}, "x_values="),
    ("visualize_timeseries_attr", {"attr": MAP[0], "data": MAP[0], "method": "overlay"}, "unknown method"),
    ("visualize_timeseries_attr", {"attr": MAP[0], "data": MAP[0], "channel_labels": ["a"]}, "3 channel_labels"),
]


@pytest.mark.parametrize(("name", "options", "said"), REFUSED)
def test_what_is_refused(name: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        getattr(viz, name)(**options, use_pyplot=False)


# --- text ----------------------------------------------------------------------------------------------------------


def record(words: list[str], shades: Any, label: Any = 1) -> viz.VisualizationDataRecord:
    return viz.VisualizationDataRecord(shades, 0.9, label, label, label, 0.25, words, 0.01)


def test_text_is_escaped_and_well_formed() -> None:
    bad = '<script>alert("1")</script> & more'
    html = viz.visualize_text([record([bad, "film"], torch.tensor([0.5, -2.0]), bad)])
    page = ET.fromstring(f"<div>{html}</div>")
    assert not list(page.iter("script"))
    marks = list(page.iter("mark"))
    assert [mark.text.strip() for mark in marks if mark.text] == [bad, "film"]
    assert sum(bad in (cell.text or "") for cell in page.iter("b")) == 3
    assert html.data == str(html) == html._repr_html_()
    assert "characters" in repr(html)


def test_colours_tokens_and_legend() -> None:
    html = viz.visualize_text([record(["<pad>", "a", "b"], [1.0, 0.0, np.nan])], legend=False)
    assert "Legend" not in html
    assert "Legend" in viz.visualize_text([])
    assert "#pad" in html
    assert re.findall(r"hsl\(\d+, 75%, (\d+)%\)", html) == ["50", "100", "100"]


def test_text_without_and_with_wrong_attributions() -> None:
    assert "<td></td>" in viz.visualize_text([record(["a"], None)])
    for shades in ([0.1], np.ones((2, 2))):
        with pytest.raises(AssertionError, match="one attribution for each of 2 tokens"):
            viz.visualize_text([record(["a", "b"], shades)])


def test_a_record_has_captums_fields() -> None:
    assert list(viz.VisualizationDataRecord.__slots__) == list(peer.VisualizationDataRecord.__slots__)
    ours, theirs = record(["a"], [0.1]), peer.VisualizationDataRecord([0.1], 0.9, 1, 1, 1, 0.25, ["a"], 0.01)
    assert all(getattr(ours, name) == getattr(theirs, name) for name in ours.__slots__)
