"""What a browser is given: every number comes back as Python has it, and the saved form stays small."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import samples

from pyig import views
from pyig.explanation import Explanation
from pyig.explanation.table import feature_labels, flat_columns
from pyig.views.advice import advice
from pyig.views.packing import ALIGN, Packer, quantise, restore
from pyig.views.payload import SAVED_BYTES, payload
from pyig.views.raster import per_pixel
from pyig.views.tabs import tabs_of

TYPES = {"f8": "<f8", "f4": "<f4", "q1": "i1"}


def array(path: dict[str, Any], content: bytes, name: str) -> Any:
    (entry,) = [e for e in path["arrays"] if e["n"] == name]
    assert entry["o"] % ALIGN == 0
    part = content[entry["o"] : entry["o"] + entry["b"]]
    if entry["d"] == "png":
        return part
    values = np.frombuffer(part, TYPES[entry["d"]]).reshape(entry["s"])
    return restore(values, entry["z"]) if entry["d"] == "q1" else values


def words() -> Explanation:
    tokens = np.array([["the", "film", "<b>"], ["a", "b", "c"]])
    made = samples.make(np.zeros((2, 3)), np.array([[0.1, 0.2, -0.3], [0.0, 1.0, 0.5]]))
    return replace(made, inputs=tokens, baselines=np.full((1, 3), "[PAD]"))


@pytest.mark.parametrize("name", samples.ALL)
def test_it_is_json_and_whole(name: str) -> None:
    e = samples.ALL[name]()
    spec, content = payload(e)
    assert json.loads(json.dumps(spec, allow_nan=False)) == spec
    assert len(spec["paths"]) == e.values.size
    ends = [entry["o"] + entry["b"] for path in spec["paths"] for entry in path.get("arrays", [])]
    assert max(ends, default=0) <= len(content) < max(ends, default=0) + ALIGN


@pytest.mark.parametrize("make", [samples.table, samples.frame, samples.several_targets, samples.mixed])
def test_a_table_comes_back_as_it_is(make: Any) -> None:
    e = make()
    spec, content = payload(e)
    phi, x, x0 = flat_columns(e)
    k = phi.shape[1]
    for n, path in enumerate(spec["paths"]):
        np.testing.assert_array_equal(array(path, content, "0.phi"), phi[n // k, n % k])
        np.testing.assert_array_equal(array(path, content, "0.x"), x[n // k])
        np.testing.assert_array_equal(array(path, content, "0.x0"), x0[n // k])
        assert path["F"] == e.values.ravel()[n]
        assert path["gap"] == e.deltas.ravel()[n]


def test_the_record_of_the_path() -> None:
    e = samples.table(gap=0.002)
    spec, content = payload(e)
    alphas, values, _, _, reached, total = array(spec["paths"][1], content, "path")
    path = e.path(1)
    np.testing.assert_array_equal(alphas, path.alphas)
    np.testing.assert_array_equal(values, path.values)
    np.testing.assert_allclose(reached[-1], 1.0)
    np.testing.assert_allclose(total[-1], e.attributions[1].sum())


@pytest.mark.parametrize("shape", [(16, 20), (3, 16, 20), (16, 20, 3)])
def test_a_picture_is_exact_in_full_and_close_when_saved(shape: tuple[int, ...]) -> None:
    e = samples.picture(shape)
    layout = tabs_of(e)[0].layout
    pixels = per_pixel(e.attributions[0], layout)
    spec, content = payload(e, [0], full=True)
    np.testing.assert_array_equal(array(spec["paths"][0], content, "0.phi"), pixels.astype(np.float32))
    np.testing.assert_array_equal(array(spec["paths"][0], content, "0.x"), e.inputs[0])
    spec, content = payload(e)
    saved = array(spec["paths"][0], content, "0.phi")
    assert 0 < np.abs(saved - pixels).max() <= np.abs(pixels).max() / 100
    assert array(spec["paths"][0], content, "0.pic").startswith(b"\x89PNG")


def test_a_large_picture_is_reduced_only_when_saved() -> None:
    e = samples.picture((500, 460))
    assert array(*_one(payload(e)), "0.phi").shape == (167, 154)
    assert array(*_one(payload(e, [0], full=True)), "0.phi").shape == (500, 460)


def _one(made: tuple[dict[str, Any], bytes]) -> tuple[dict[str, Any], bytes]:
    return made[0]["paths"][0], made[1]


def test_a_photograph_is_saved_within_its_budget() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((1, 3, 224, 224)).astype(np.float32)
    spec, content = payload(samples.make(x, x - 0.5))
    assert len(content) < 120_000  # noise, the worst a PNG can meet
    assert len(json.dumps(spec)) < 4000


def test_paths_beyond_the_budget_wait_to_be_asked_for() -> None:
    e = samples.picture((3, 160, 160), n=12)
    spec, content = payload(e)
    there = [path["n"] for path in spec["paths"] if "arrays" in path]
    assert there[0] == 0
    assert 1 < len(there) < 12
    assert len(content) <= SAVED_BYTES
    spec, content = payload(e, [11], full=True)
    (path,) = spec["paths"]
    assert path["n"] == 11
    assert array(path, content, "0.phi").shape == (160, 160)


def test_many_samples_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {"l1": 0, "image": 0}

    def counted(name: str, real: Any) -> Any:
        def call(*args: Any) -> Any:
            calls[name] += 1
            return real(*args)

        return call

    monkeypatch.setattr("pyig.views.payload.l1", counted("l1", views.payload.l1))
    monkeypatch.setattr("pyig.views.payload._add_image", counted("image", views.payload._add_image))
    spec, _ = payload(samples.picture((3, 160, 160), n=40))
    assert len(spec["paths"]) == 40
    assert calls["l1"] == 1
    assert calls["image"] <= 6  # those that fit, and the first that does not
    many = samples.make(np.ones((700, 3)), np.ones((700, 3)))
    spec, _ = payload(many)
    assert (len(spec["paths"]), spec["more"]) == (500, 200)


def test_text_travels_as_text() -> None:
    spec, content = payload(words())
    assert spec["tabs"][0]["kind"] == "text"
    assert spec["paths"][0]["tabs"][0]["x"] == ["the", "film", "<b>"]
    np.testing.assert_array_equal(array(spec["paths"][1], content, "0.phi"), [0.0, 1.0, 0.5])


def test_numbers_that_are_not_finite_are_null() -> None:
    e = samples.table()
    e = replace(e, values=np.array([np.nan, 1, 1]), error=np.array([np.inf, 1, 1]))
    spec, _ = payload(e)
    assert spec["paths"][0]["F"] is None
    assert spec["paths"][0]["error"] is None
    assert spec["paths"][1]["F"] == 1.0


def test_old_bars_stay_as_outlines_where_features_are_the_same() -> None:
    now, before = samples.table()[:1], samples.table()[1:2]
    spec, content = payload(now, before=before)
    np.testing.assert_array_equal(array(spec["paths"][0], content, "0.before"), before.attributions[0])
    spec, _ = payload(now, before=samples.picture())
    assert not [entry for entry in spec["paths"][0]["arrays"] if entry["n"] == "0.before"]


@pytest.mark.parametrize(
    ("make", "kinds"),
    [
        (samples.table, ["table"]),
        (samples.mixed, ["table"]),
        (samples.picture, ["image"]),
        (samples.sequence, ["series"]),
        (words, ["text"]),
    ],
)
def test_tabs(make: Any, kinds: list[str]) -> None:
    assert [tab.kind for tab in tabs_of(make())] == kinds


def test_quantise_keeps_signs_zeros_and_holes() -> None:
    values = np.array([0.0, 1e-9, -0.5, 2.0, np.nan, np.inf])
    codes, largest = quantise(values)
    back = restore(codes, largest)
    assert largest == 2.0
    assert back[0] == 0
    assert abs(back[2] + 0.5) < 0.02
    assert back[3] == 2.0
    assert np.isnan(back[4:]).all()
    assert quantise(np.zeros(3))[1] == 0.0
    packer = Packer()
    packer.add("a", np.arange(3), "f8")
    packer.add_png("b", b"abc")
    assert [(e["n"], e["o"], e["b"]) for e in packer.table] == [("a", 0, 24), ("b", 24, 3)]
    assert len(packer.content()) == 32


def test_advice_names_what_would_help() -> None:
    meta = {**samples.META, "n_steps": 4, "method": "riemann_left"}
    failed = replace(samples.table(), meta=meta, converged=np.zeros(3, bool), error=np.full(3, 0.05))
    options = [tip.options for tip in advice(failed, 0, 0)]
    assert {"n_steps": None, "method": "auto"} in options
    assert {"n_steps": 8} in options
    assert {"method": "gausslegendre", "n_steps": 4} in options
    (tolerance,) = [o["rtol"] for o in options if "rtol" in o]
    assert failed.relative_error[0] < tolerance < 2 * failed.relative_error[0]
    assert advice(samples.table(), 0, 0) == []
    adaptive = replace(failed, meta={**meta, "n_steps": None, "method": "adaptive", "max_evals": 512})
    assert advice(adaptive, 0, 0)[0].options == {"max_evals": 2048}
    stopped = replace(failed, meta={**meta, "complete": False})
    assert advice(stopped, 0, 0)[0].options == {}


@pytest.mark.parametrize("name", samples.ALL)
def test_a_label_alone_is_the_label_among_all(name: str) -> None:
    e = samples.ALL[name]()
    labels = feature_labels(e)
    places = list(range(0, len(labels), max(1, len(labels) // 7)))
    assert feature_labels(e, places) == [labels[place] for place in places]
    with pytest.raises(IndexError):
        feature_labels(e, [len(labels)])
