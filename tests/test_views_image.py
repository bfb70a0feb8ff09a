"""Pictures: layouts, colours, scales, and the bytes themselves."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import samples
from goldens import check_figure, compare_figure
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.figure import Figure

from pyig.errors import InputError
from pyig.views import raster
from pyig.views.colours import hex_of, signed_palette, unsigned_palette
from pyig.views.png import encode


def shown(figure: Any, panel: int) -> np.ndarray[Any, Any]:
    return np.asarray(figure.axes[panel].images[0].get_array())


# --- figures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shape", "options"),
    [("image_hw", (16, 20), {}), ("image_chw", (3, 16, 20), {"panels": ("input", "overlay"), "sign": "absolute"})],
)
def test_golden_image(name: str, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    check_figure(name, samples.picture(shape, normalised=True).plot("image", **options))


def test_golden_image_notices_a_wrong_picture() -> None:
    e = samples.picture((16, 20), normalised=True)
    with pytest.raises(AssertionError, match="differs by"):
        compare_figure("image_hw", replace(e, attributions=-e.attributions).plot("image"))
    with pytest.raises(AssertionError, match="differs by"):
        compare_figure("image_hw", replace(e, attributions=np.roll(e.attributions, 2, axis=1)).plot("image"))


@pytest.mark.parametrize("shape", [(16, 20, 3), (3, 16, 20)])
def test_channels_first_and_last_show_the_same(shape: tuple[int, ...]) -> None:
    one, other = samples.picture(shape), samples.picture((16, 20, 3))
    for panel in range(3):
        np.testing.assert_array_equal(shown(one.plot(), panel), shown(other.plot(), panel))


def test_several_targets_of_a_picture() -> None:
    x = np.random.default_rng(0).random((2, 8, 8))
    phi = np.random.default_rng(1).normal(size=(2, 3, 8, 8))
    e = samples.make(x, phi, targets=[[0, 1, 2]] * 2)
    one, other = (shown(e.plot("image", sample=1, target=k, panels="heat"), 0) for k in (1, 2))
    assert not np.array_equal(one, other)
    expected = raster.heat(phi[1, 2])
    np.testing.assert_array_equal(other, expected.palette[expected.palette_index])


def test_zero_attributions_draw_blank() -> None:
    e = samples.picture()
    e = replace(e, attributions=np.zeros_like(e.attributions))
    figure = e.plot()
    figure.draw_without_rendering()
    assert (shown(figure, 1) == 255).all()
    assert "all zero" in figure.axes[1].get_xlabel()
    overlay = shown(figure, 2)
    assert (overlay == overlay[..., :1]).all()  # gray


def test_one_scale_for_two_pictures() -> None:
    e = samples.picture()
    strong = replace(e, attributions=e.attributions * 4)
    one, other = (x.plot("image", panels="heat", vmax=0.05) for x in (e, strong))
    assert shown(one, 0).astype(int).sum() > shown(other, 0).astype(int).sum()  # paler
    own = (x.plot("image", panels="heat") for x in (e, strong))
    np.testing.assert_array_equal(*(shown(figure, 0) for figure in own))


def test_given_axes_get_the_panels() -> None:
    figure = Figure()
    axes = figure.subplots(1, 2)
    assert samples.picture().plot("image", ax=axes, panels=("input", "heat")) is figure
    assert [len(ax.images) for ax in axes] == [1, 1]
    lone = Figure().subplots()
    samples.picture().plot("image", ax=lone)
    assert lone.get_title() == "overlay"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"panels": "heatmap"}, "unknown panel 'heatmap'; did you mean 'heat'"),
        ({"panels": ()}, "at least one"),
        ({"sign": "both"}, "unknown sign 'both'"),
        ({"clip": 0}, "percentile above 0, at most 100; got 0"),
        ({"clip": 101}, "percentile above 0, at most 100; got 101"),
        ({"vmax": 0.0}, "finite number above 0; got 0.0"),
        ({"vmax": float("nan")}, "finite number above 0; got nan"),
        ({"opacity": 1.5}, "expected opacity from 0 to 1; got 1.5"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        samples.picture().plot("image", **options)


# --- arrays ------------------------------------------------------------------------------------------------------


def test_pixels_keep_the_sum() -> None:
    e = samples.picture((3, 16, 20))
    assert raster.per_pixel(e.attributions[0], "chw").sum() == pytest.approx(e.attributions.sum(), rel=1e-5)


def test_signs() -> None:
    pixels = np.array([[-2.0, 0.0], [1.0, 4.0]])
    assert raster.heat(pixels, "signed", 100).strength.tolist() == [[-0.5, 0.0], [0.25, 1.0]]
    assert raster.heat(pixels, "absolute", 100).strength.tolist() == [[0.5, 0.0], [0.25, 1.0]]
    assert raster.heat(pixels, "positive", 100).strength.tolist() == [[0.0, 0.0], [0.25, 1.0]]
    assert raster.heat(pixels, "negative", 100).strength.tolist() == [[1.0, 0.0], [0.0, 0.0]]


def test_one_hot_pixel_does_not_set_the_scale() -> None:
    pixels = np.ones((20, 20))
    pixels[3, 3] = 1000
    clipped = raster.heat(pixels)
    assert clipped.scale == 1.0
    assert clipped.clipped == 1 / 400
    assert raster.heat(pixels, clip=100).scale == 1000


def test_pixels_that_are_not_finite_are_blank_and_said() -> None:
    pixels = np.array([[1.0, np.nan], [np.inf, -1.0]])
    heat = raster.heat(pixels)
    assert heat.strength.tolist() == [[1.0, 0.0], [0.0, -1.0]]
    assert heat.remarks() == ["50 % of pixels not finite"]


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (np.array([[0, 100], [200, 255]], np.uint8), [[0, 100], [200, 255]]),
        (np.array([[0.0, 0.5], [1.0, 0.25]]), [[0, 128], [255, 64]]),
        (np.array([[0.2, 0.4], [0.6, 0.4]]), [[51, 102], [153, 102]]),  # dim stays dim
        (np.array([[0.0, 255.0], [51.0, 102.0]]), [[0, 255], [51, 102]]),
        (np.array([[0.0, 16.0], [8.0, 4.0]]), [[0, 255], [128, 64]]),  # the 17 greys of scikit-learn's digits
        (np.array([[-1.0, 1.0], [0.0, 0.5]]), [[0, 255], [128, 191]]),
        (np.array([[-3.0, -3.0], [-3.0, -3.0]]), [[128, 128], [128, 128]]),
        (np.array([[np.nan, 1.0], [0.0, 0.5]]), [[0, 255], [0, 128]]),
    ],
)
def test_inputs_of_any_range_become_visible(sample: np.ndarray[Any, Any], expected: list[list[int]]) -> None:
    assert raster.visible(sample, "hw").tolist() == expected


@pytest.mark.parametrize(("channels", "shape"), [(1, (4, 5)), (2, (4, 5)), (3, (4, 5, 3)), (4, (4, 5, 3))])
def test_channels_become_grey_or_colour(channels: int, shape: tuple[int, ...]) -> None:
    assert raster.visible(np.zeros((channels, 4, 5)), "chw").shape == shape
    assert raster.visible(np.zeros((4, 5, channels)), "hwc").shape == shape


def test_an_overlay_is_grey_where_nothing_is_attributed() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (8, 8, 3)).astype(np.uint8)
    pixels = np.zeros((8, 8))
    pixels[:, :4] = 1.0
    out = raster.overlay(picture, raster.heat(pixels)).astype(int)
    assert (out[:, 4:] == out[:, 4:, :1]).all()
    assert (out[:, :4, 0] > out[:, :4, 2]).all()  # orange


def test_few_colours_stay_near_the_true_ones() -> None:
    rng = np.random.default_rng(0)
    picture = np.repeat(np.repeat(rng.integers(0, 255, (8, 8, 3)), 4, 0), 4, 1).astype(np.uint8)
    heat = raster.heat(rng.normal(size=(32, 32)))
    index, palette = raster.overlay_few_colours(picture, heat)
    away = palette[index].astype(int) - raster.overlay(picture, heat)
    assert np.abs(away).mean() < 12
    index, palette = raster.few_colours(picture)
    away = palette[index].astype(int) - picture
    assert len(palette) <= 256
    assert np.abs(away).mean() < 20
    assert np.abs(away.mean(axis=(0, 1))).max() < 3  # the dither keeps the mean


def test_shrinking_averages_blocks() -> None:
    array = np.arange(12.0).reshape(3, 4)
    assert raster.shrink(array, 2).tolist() == [[2.5, 4.5], [8.5, 10.5]]
    assert raster.shrink(np.ones((5, 7, 3)), 3).tolist() == np.ones((2, 3, 3)).tolist()
    assert raster.shrink(array, 1) is not array


# --- colours -----------------------------------------------------------------------------------------------------


def lightness(colours: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """OKLab lightness, written from the inverse of what the module computes."""
    x = colours / 255
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    to_lms = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566]]
    to_lms += [[0.0883024619, 0.2817188376, 0.6299787005]]
    return np.asarray(np.cbrt(linear @ np.array(to_lms).T) @ np.array([0.2104542553, 0.7936177850, -0.0040720468]))


def test_both_sides_fall_evenly_and_equally_in_lightness() -> None:
    light = lightness(signed_palette())
    assert light[127] == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(light[:127][::-1], light[128:], atol=0.01)
    assert (np.diff(light[128:]) < 0.001).all()
    np.testing.assert_allclose(np.diff(light[128:], n=1)[10:], np.diff(light[128:])[10:].mean(), atol=0.004)
    assert (np.diff(lightness(unsigned_palette())) < 0.001).all()


def test_white_is_nothing_and_signs_have_hues() -> None:
    assert hex_of(0.0) == "#ffffff"
    assert unsigned_palette()[0].tolist() == [255, 255, 255]
    assert (signed_palette()[128:, 0] > signed_palette()[128:, 2]).all()
    assert (signed_palette()[:127, 0] < signed_palette()[:127, 2]).all()


@pytest.mark.parametrize("paper", [(253, 253, 252), (22, 23, 26)])
@pytest.mark.parametrize("strength", [0.9, -0.9])
def test_bars_stand_out_on_light_and_dark(strength: float, paper: tuple[int, ...]) -> None:
    def luminance(colour: Any) -> float:
        x = np.asarray(colour) / 255
        return float(np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])

    colour = hex_of(strength)
    one = luminance([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    low, high = sorted((one, luminance(paper)))
    assert (high + 0.05) / (low + 0.05) >= 3  # WCAG 2.2, 1.4.11: graphical objects


# --- PNG ---------------------------------------------------------------------------------------------------------


@given(
    arrays(
        np.uint8,
        st.tuples(st.integers(1, 9), st.integers(1, 9)) | st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)),
    )
)
def test_png_is_read_back_exactly(picture: np.ndarray[Any, Any]) -> None:
    back = np.rint(matplotlib.image.imread(io.BytesIO(encode(picture))) * 255)
    np.testing.assert_array_equal(back, picture)


def test_png_with_a_palette_is_read_back_exactly() -> None:
    index = np.arange(255, dtype=np.uint8).reshape(15, 17)
    back = np.rint(matplotlib.image.imread(io.BytesIO(encode(index, signed_palette()))) * 255)[..., :3]
    np.testing.assert_array_equal(back, signed_palette()[index])
