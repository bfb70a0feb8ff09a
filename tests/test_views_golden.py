"""Pictures for papers against small ones that were looked at and found good, and what these would notice.

`PYIG_GOLDEN=write pytest tests/test_views_golden.py` renews them; then look at each one. Thresholds leave room for
another version of freetype or matplotlib: letters that are drawn otherwise are no change, as the tests prove.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import samples
from goldens import FOLDER, check_figure, compare_figure
from matplotlib.figure import Figure

from pyig.explanation import Explanation
from pyig.views import bars as bars_module
from pyig.views import show

SENTENCE = [
    "Not", "as", "bad", "as", "I", "feared", ",", "and", "far", "from", "the", "dull", "remake", "that", "everyone",
    "had", "warned", "me",
]  # fmt: skip
MOST_BYTES = 400_000


def text() -> Explanation:
    phi = np.array([[0.9, 0.02, -0.7, 0.05, 0.0, -0.3, 0, 0.01, 0.1, 0.02, 0, -0.5, -0.1, 0, 0.04, 0, -0.2, 0.06]])
    tokens = np.array([SENTENCE])
    return replace(
        samples.make(np.zeros((1, len(SENTENCE))), phi), inputs=tokens, baselines=np.full(tokens.shape, "[PAD]")
    )


def series() -> Explanation:
    steps = np.linspace(0, 3 * np.pi, 30)
    x = np.stack([np.sin(steps), 0.2 * np.cos(2 * steps)], axis=1)[None]
    return samples.make(x, x * np.exp(-((steps - 4) ** 2) / 4)[None, :, None])


def noisy() -> Explanation:
    e = samples.several_targets()
    return replace(e, standard_error=np.full_like(e.attributions, 0.05))


def in_two_axes(e: Explanation) -> Figure:
    figure = Figure(figsize=(8, 2.6), layout="constrained")
    for ax, top in zip(figure.subplots(1, 2), (3, 6), strict=True):
        show(e, "bars", top=top, ax=ax)
    return figure


def photo(**changes: Any) -> Explanation:
    return replace(samples.picture((3, 16, 20), normalised=True), **changes)


ONES = np.ones((1, 3, 16, 20), np.float32) * np.linspace(0, 1, 20, dtype=np.float32)
VIEWS: dict[str, tuple[Callable[[], Explanation], Callable[[Explanation], Any]]] = {
    "waterfall": (lambda: samples.table(gap=0.1), lambda e: show(e, "bars", top=5, form="waterfall")),
    "bars_two_axes": (samples.table, in_two_axes),
    "bars_target": (noisy, lambda e: show(e, "bars", sample=1, target=1)),
    "image_all": (
        lambda: photo(baselines=ONES),
        lambda e: show(e, "image", panels=("input", "baseline", "heat", "overlay", "mask")),
    ),
    "image_negative": (photo, lambda e: show(e, "image", panels=("heat", "overlay"), sign="negative")),
    "pieces": (text, lambda e: show(e, "pieces")),
    "series": (series, lambda e: show(e, "series")),
    "convergence_target": (samples.several_targets, lambda e: show(e, "convergence", sample=1, target=1)),
}


@pytest.fixture(autouse=True)
def usual() -> Any:
    """Draw as matplotlib comes, whatever the machine's own settings are."""
    with mpl.rc_context(mpl.rcParamsDefault | {"backend": "agg", "savefig.dpi": "figure"}):
        yield


def flipped(e: Explanation) -> Explanation:
    return replace(e, attributions=-e.attributions)


def moved(e: Explanation) -> Explanation:
    return replace(e, attributions=np.roll(e.attributions, 2, axis=-1 if e.attributions.shape[-1] > 2 else 1))


@pytest.mark.parametrize("name", VIEWS)
def test_golden(name: str) -> None:
    make, draw = VIEWS[name]
    check_figure(name, draw(make()))


@pytest.mark.parametrize("change", [flipped, moved])
@pytest.mark.parametrize("name", ["waterfall", "image_all", "image_negative", "pieces", "series"])
def test_other_attributions_are_noticed(name: str, change: Callable[[Explanation], Explanation]) -> None:
    make, draw = VIEWS[name]
    with pytest.raises(AssertionError, match=r"differs by"):
        compare_figure(name, draw(change(make())))


def test_one_changed_attribution_is_noticed() -> None:
    make, draw = VIEWS["waterfall"]
    e = make()
    phi = e.attributions.copy()
    phi[0, np.argmax(phi[0])] *= 0.9
    with pytest.raises(AssertionError, match=r"waterfall: .* differs by"):
        compare_figure("waterfall", draw(replace(e, attributions=phi)))


def test_exchanged_colours_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    make, draw = VIEWS["bars_target"]
    right = bars_module.hex_of
    monkeypatch.setattr(bars_module, "hex_of", lambda strength: right(-strength))
    with pytest.raises(AssertionError, match=r"bars_target: .* differs by"):
        compare_figure("bars_target", draw(make()))


@pytest.mark.parametrize("gone", range(5))
def test_a_missing_panel_is_noticed(gone: int) -> None:
    make, draw = VIEWS["image_all"]
    figure = draw(make())
    figure.axes[gone].images[0].remove()
    with pytest.raises(AssertionError, match=r"image_all: .* differs by"):
        compare_figure("image_all", figure)


def test_another_course_is_noticed() -> None:
    e = VIEWS["convergence_target"][0]()
    with pytest.raises(AssertionError, match=r"differs by"):
        compare_figure("convergence_target", show(e, "convergence", sample=0, target=1))


@pytest.mark.parametrize("otherwise", [{"text.hinting": "none"}, {"font.size": 9.8}])
@pytest.mark.parametrize("name", VIEWS)
def test_letters_drawn_otherwise_are_no_change(name: str, otherwise: dict[str, Any]) -> None:
    make, draw = VIEWS[name]
    with mpl.rc_context(otherwise):
        compare_figure(name, draw(make()))


def test_another_word_is_noticed() -> None:
    make, draw = VIEWS["series"]
    figure = draw(make())
    figure.axes[0].set_xlabel("stop")
    with pytest.raises(AssertionError, match=r"what it says differs by \['step', 'stop'\]"):
        compare_figure("series", figure)


def test_all_of_them_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in FOLDER.glob("*.png")}
    assert set(VIEWS) <= {name.removesuffix(".png") for name in sizes}
    assert sum(sizes.values()) < MOST_BYTES
    assert max(sizes.values()) < 40_000
