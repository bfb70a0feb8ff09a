"""Choosing a view, and what every view owes: it draws every sample explanation, or says why not."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import samples

from pyig.errors import InputError, MissingPackageError
from pyig.views import VIEWS, show
from pyig.views.shapes import kind_of, layout_of, picture_leaf

PICTURES = {"bars", "image", "convergence", "pieces", "series"}
OF_ONE_KIND = {  # what a view draws alone, and what it says of all else
    "image": ("picture", r"expected a picture \(N, H, W\).*Use kind='bars' or kind='text'"),
    "pieces": ("", r"expected one text \(N, T\) of pieces"),
    "series": ("sequence", r"expected one series \(N, T, C\)"),
}


def words() -> Any:
    """Two texts of three words."""
    phi = np.array([[0.4, -0.2, 0.0], [0.1, 0.1, -0.5]])
    tokens = np.array([["good", "film", "not"], ["a", "dull", "one"]])
    return replace(samples.make(np.zeros((2, 3)), phi), inputs=tokens, baselines=np.full((1, 3), "[PAD]"))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("table", "bars"),
        ("frame", "bars"),
        ("several_targets", "bars"),
        ("mixed", "bars"),
        ("picture", "image"),
        ("sequence", "text"),
        ("empty", "text"),
    ],
)
def test_auto_chooses_by_shape(kind: str, expected: str) -> None:
    assert kind_of(samples.ALL[kind]()) == expected


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((28, 28), "hw"),
        ((8, 8, 1), "hwc"),
        ((8, 8, 4), "hwc"),
        ((8, 8, 5), None),
        ((3, 224, 200), "chw"),
        ((1, 28, 28), "chw"),
        ((4, 4, 4), "hwc"),  # both fit: channels last, as pictures are stored
        ((3, 64, 3), None),  # too thin either way
        ((12, 768), None),  # twelve embeddings
        ((3, 100), None),
        ((16, 16, 3, 2), None),
        ((10,), None),
        ((), None),
    ],
)
def test_layout_of_pictures(shape: tuple[int, ...], layout: str | None) -> None:
    assert layout_of(shape) == layout


def test_two_pictures_need_a_name() -> None:
    e = samples.picture()
    both = {"left": e.inputs, "right": e.inputs}
    e = replace(
        e, inputs=both, attributions=dict.fromkeys(both, e.attributions / 2), baselines=dict.fromkeys(both, e.baselines)
    )
    with pytest.raises(InputError, match="expected leaf= to name one picture among several; the input has left"):
        picture_leaf(e)
    assert picture_leaf(e, "right")[0].name == "right"
    assert kind_of(e) == "text"
    assert e.plot("image", leaf="left").axes
    with pytest.raises(InputError, match="named 'top'"):
        picture_leaf(e, "top")


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("kind", samples.ALL)
def test_every_view_draws_every_explanation_or_says_why_not(view: str, kind: str) -> None:
    e = samples.ALL[kind]()
    if view in PICTURES and kind == "empty":
        with pytest.raises(InputError, match="expected the position of a sample below 0"):
            e.plot(view)
    elif view in OF_ONE_KIND and kind != OF_ONE_KIND[view][0]:
        with pytest.raises(InputError, match=OF_ONE_KIND[view][1]):
            e.plot(view)
    else:
        drawn = e.plot(view)
        assert drawn.axes if view in PICTURES else drawn


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_draws_what_is_not_finite(view: str) -> None:
    made = {"image": lambda: samples.picture(n=2), "pieces": words, "series": samples.sequence}
    e = made.get(view, samples.table)()
    nan = np.array([np.nan, *e.values[1:]])
    phi = e.attributions.copy()
    phi[0] = np.nan
    e = replace(e, values=nan, deltas=nan, error=nan, path_values=np.full_like(e.path_values, np.nan), attributions=phi)
    drawn = e.plot(view)
    if view in PICTURES:
        drawn.draw_without_rendering()
    assert "unknown" in e.verdict()


@pytest.mark.parametrize("view", PICTURES)
@pytest.mark.parametrize("where", [{"sample": 1}, {"sample": -2}, {"target": 1}])
def test_positions_that_are_not_there(view: str, where: dict[str, int]) -> None:
    with pytest.raises(InputError, match=r"expected the position of a (sample|target) below 1"):
        samples.picture().plot(view, **where)


def test_negative_positions_count_from_the_end() -> None:
    title = samples.frame().plot("bars", sample=-1).get_suptitle()
    assert title.startswith("sample p-3, target 0\n")


def test_an_unknown_view_names_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown view 'bras'; did you mean 'bars'"):
        samples.table().plot("bras")


def test_an_unknown_option_names_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown option of the view bars 'topp'; did you mean 'top'"):
        samples.table().plot("bars", topp=3)


def test_a_view_of_your_own() -> None:
    def mine(explanation: Any, *, shout: bool = False) -> str:
        return "!" * len(explanation) if shout else ""

    assert show(samples.table(), mine, shout=True) == "!!!"
    with pytest.raises(InputError, match="unknown option of the view mine 'shot'; did you mean 'shout'"):
        show(samples.table(), mine, shot=True)
    assert show(samples.table(), lambda explanation, **options: options, any=1) == {"any": 1}


@pytest.mark.parametrize("view", ["bars", "image", "convergence", "pieces", "series"])
def test_without_matplotlib_pictures_say_what_to_install(view: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(
        MissingPackageError, match=r'needs matplotlib; install it with: pip install "pyig-explain\[plots\]"'
    ):
        {"pieces": words, "series": samples.sequence}.get(view, samples.picture)().plot(view)


def test_texts_and_reports_need_no_matplotlib(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None; sys.modules['pandas'] = None\n"
        "import numpy as np\n"
        "from pyig.explanation import Explanation\n"
        "e = Explanation.load(sys.argv[1])\n"
        "print(len(e.plot('text')), len(e.to_html()), len(e._repr_html_()))\n"
    )
    for kind in ("picture", "table"):
        path = samples.ALL[kind]().save(tmp_path / f"{kind}.npz")
        done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
        assert all(int(count) > 100 for count in done.stdout.split())


def test_pyplot_is_never_touched(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pyig.explanation import Explanation\n"
        "e = Explanation.load(sys.argv[1])\n"
        "for kind in ('image', 'convergence'): assert e.plot(kind)._repr_png_()[:4] == b'\\x89PNG'\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "import matplotlib.pyplot as plt\n"
        "assert plt.get_fignums() == []\n"
    )
    path = samples.picture().save(tmp_path / "e.npz")
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(path)], check=True)
