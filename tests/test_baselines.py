"""Where the path starts: the table of baselines, every way to pass one, and several of them averaged."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import frameworks
import numpy as np
import pandas as pd
import pytest
import torch
import zoo

import pyig
from pyig.baselines import BASELINES, baseline_leaf, several
from pyig.errors import InputError, InputTypeError

X = np.random.default_rng(0).normal(size=(4, 3, 8, 8))
DRAWS = ("uniform", "noise")


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def draw(given: Any, x: Any = X, seed: int = 1) -> Any:
    return baseline_leaf(given, x, rng(seed), "image")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", BASELINES)
def test_every_name_keeps_shape_and_dtype(name: str, dtype: Any) -> None:
    found = draw(name, X.astype(dtype))
    assert found.dtype == dtype
    assert found.shape[1:] == X.shape[1:]
    assert len(found) in (1, len(X))
    assert found.flags.c_contiguous
    assert np.isfinite(found).all()


@pytest.mark.parametrize("name", BASELINES)
def test_every_name_repeats_under_its_seed(name: str) -> None:
    np.testing.assert_array_equal(draw(name), draw(name))
    assert np.array_equal(draw(name), draw(name, seed=2)) == (name not in DRAWS)


@pytest.mark.parametrize("name", BASELINES)
def test_every_name_leaves_the_input_alone(name: str) -> None:
    x = X.copy()
    draw(name, x)
    np.testing.assert_array_equal(x, X)


def test_zero_and_mean_are_one_row() -> None:
    assert not draw("zero").any()
    np.testing.assert_allclose(draw("mean")[0], X.mean(0), rtol=1e-12)
    assert len(draw("zero")) == len(draw("mean")) == 1


def test_uniform_fills_the_range_of_its_sample() -> None:
    x = np.stack([X[0], 100 + X[1]])
    found = draw("uniform", x)
    for sample, start in zip(x, found, strict=True):
        assert sample.min() <= start.min() < start.max() <= sample.max()
    assert found[0].max() < 50 < found[1].min()


def test_noise_has_the_spread_of_its_sample() -> None:
    x = np.stack([X[0], 100 * X[1]]).reshape(2, -1)
    apart = draw("noise", x) - x
    np.testing.assert_allclose(apart.std(axis=1), x.std(axis=1), rtol=0.2)


def test_max_distance_is_as_far_as_the_range_allows() -> None:
    found = draw("max_distance")
    low, high = X.min(axis=(1, 2, 3), keepdims=True), X.max(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(abs(found - X), np.maximum(X - low, high - X), rtol=1e-12)
    assert (found != X).all()


@pytest.mark.parametrize("shape", [(2, 16, 12), (2, 3, 16, 12), (2, 16, 12, 3), (2, 1, 16, 12)])
def test_blur_smooths_and_keeps_flat_images(shape: tuple[int, ...]) -> None:
    noisy = np.random.default_rng(0).normal(size=shape)
    assert draw("blur", noisy).std() < 0.5 * noisy.std()
    np.testing.assert_allclose(draw("blur", np.full(shape, 3.0)), 3.0, rtol=1e-12)


def test_blur_mixes_no_channels_and_no_samples() -> None:
    x = np.zeros((2, 3, 16, 16))
    x[0, 1] = np.random.default_rng(0).normal(size=(16, 16))
    found = draw("blur", x)
    assert found[0, 1].any()
    assert not found[0, [0, 2]].any()
    assert not found[1].any()
    np.testing.assert_allclose(draw("blur", np.moveaxis(x, 1, -1)), np.moveaxis(found, 1, -1), atol=1e-14)


@pytest.mark.parametrize("shape", [(4, 5), (4,), (2, 3, 4, 5, 6)])
def test_blur_wants_images(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"expected images.*'blur'"):
        draw("blur", np.zeros(shape))


# --- ways to pass one ----------------------------------------------------------------------------------------------

ROW = np.arange(5.0)
TABLE = np.random.default_rng(1).normal(size=(4, 5))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, np.zeros((1, 5))),
        (0, np.zeros((1, 5))),
        (2.5, np.full((1, 5), 2.5)),
        (np.float32(2.5), np.full((1, 5), 2.5)),
        (ROW, ROW[None]),
        (ROW.tolist(), ROW[None]),
        (ROW[None], ROW[None]),
        (2 * TABLE, 2 * TABLE),
        (ROW.astype(int), ROW[None]),
        (lambda x: x.mean(0), TABLE.mean(0)[None]),
        (lambda x: x + 1, TABLE + 1),
        (lambda x, rng: np.full(5, 7.0), np.full((1, 5), 7.0)),
        ("mean", TABLE.mean(0)[None]),
    ],
)
def test_every_form_of_one_baseline(given: Any, expected: Any) -> None:
    np.testing.assert_allclose(baseline_leaf(given, TABLE, rng(), ""), expected, rtol=1e-15)


@pytest.mark.parametrize("given", [0.5, [1, 2.5], "mean", np.float32(1.5), lambda x: x / 2])
def test_ids_have_no_fractions(given: Any) -> None:
    ids = np.array([[3, 4], [4, 6], [7, 8]])
    with pytest.raises(InputError, match=r"whole numbers for image of dtype int64.*another id"):
        draw(given, ids)
    assert draw(2.0, ids).tolist() == [[2, 2]]
    assert draw([1.0, 5.0], ids).tolist() == [[1, 5]]
    assert draw(lambda x: x // 2, ids).dtype == ids.dtype


def test_functions_that_draw_get_the_generator() -> None:
    first, again, other = (baseline_leaf(lambda x, rng: rng.normal(size=5), TABLE, rng(s), "") for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (np.zeros(4), InputError, r"of shape \(4, 5\), \(1, 5\) or \(5,\); got \(4,\)"),
        (np.zeros((3, 5)), InputError, r"got \(3, 5\)"),
        (np.zeros((1, 1)), InputError, r"got \(1, 1\)"),
        (np.array(["a"] * 5), InputTypeError, "dtype <U1"),
        (np.full(5, np.nan), InputError, "finite values in the baseline for age"),
        (np.full(5, np.inf), InputError, "finite values"),
        ("zeros", InputError, "unknown baseline 'zeros'; did you mean 'zero'"),
        (lambda x: x[:, :2], InputError, r"got \(4, 2\)"),
        (lambda x: "text", InputTypeError, "dtype"),
        (1j, InputTypeError, "dtype complex128"),
    ],
)
def test_wrong_baselines_say_what_fits(given: Any, error: Any, said: str) -> None:
    with pytest.raises(error, match=said):
        baseline_leaf(given, TABLE, rng(), "age")


# --- through the engine --------------------------------------------------------------------------------------------

DEEP = zoo.ENTRIES["deep"]()  # x (4, 5), a baseline per sample


def attributions(baselines: Any, backend: str = "callable", **options: Any) -> Any:
    return frameworks.explain(backend, DEEP, baselines=baselines, n_steps=16, **options).attributions


def assert_same(a: Any, b: Any) -> None:
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-13)


@pytest.mark.parametrize("given", [None, 0, 0.0, "zero", np.zeros(5), [0.0] * 5, np.zeros((1, 5)), np.zeros((4, 5))])
def test_zero_in_every_form(given: Any, backend: str) -> None:
    assert_same(attributions(given, backend), attributions(np.zeros((4, 5))))


def test_tensors_are_baselines(backend: str) -> None:
    tensor = frameworks.framework(backend).tensor
    for given in (ROW, ROW[None], 2 * DEEP.x):
        assert_same(attributions(tensor(given), backend), attributions(given))


def test_baselines_that_require_a_gradient() -> None:
    given = torch.nn.Parameter(torch.from_numpy(ROW))
    assert_same(attributions(given, "torch"), attributions(ROW))
    assert given.grad is None


BACKGROUND = np.random.default_rng(3).normal(size=(6, 5))
SEVERAL: dict[str, Callable[[], Any]] = {
    "rows": lambda: BACKGROUND,
    "several": lambda: pyig.several(BACKGROUND),
    "list of rows": lambda: list(BACKGROUND),
    "tuple of rows": lambda: tuple(BACKGROUND[:, None]),
    "list of lists": lambda: pyig.several(BACKGROUND.tolist()),
}


@pytest.mark.parametrize("form", SEVERAL)
def test_several_baselines_are_averaged(form: str, backend: str) -> None:
    found = frameworks.explain(backend, DEEP, baselines=SEVERAL[form](), n_steps=16)
    alone = [frameworks.explain("callable", DEEP, baselines=row, n_steps=16) for row in BACKGROUND]
    assert_same(found.attributions, np.mean([each.attributions for each in alone], axis=0))
    np.testing.assert_allclose(found.baseline_values, np.mean([e.baseline_values for e in alone], axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.deltas, np.mean([e.deltas for e in alone], axis=0), rtol=0, atol=1e-13)
    np.testing.assert_allclose(found.path_values, np.mean([e.path_values for e in alone], axis=0), rtol=0, atol=1e-12)
    assert (found.n_evals == 6 * 16).all()
    assert found.meta["n_baselines"] == 6
    assert_same(found.baselines, BACKGROUND.mean(0)[None])


def test_several_of_mixed_kinds() -> None:
    found = attributions(["mean", ROW, 2 * DEEP.x, lambda x: x.max(0), 1.0])
    alone = [attributions(b) for b in (DEEP.x.mean(0), ROW, 2 * DEEP.x, DEEP.x.max(0), np.ones(5))]
    assert_same(found, np.mean(alone, axis=0))


def test_as_many_rows_as_samples_are_one_baseline_each() -> None:
    rows = BACKGROUND[:4]
    assert not np.allclose(attributions(rows), attributions(several(rows)))
    each = [frameworks.explainer("callable", DEEP).explain(DEEP.x[i : i + 1], rows[i], n_steps=16) for i in range(4)]
    assert_same(attributions(rows), np.concatenate([e.attributions for e in each]))


def test_none_at_all_is_an_error() -> None:
    with pytest.raises(InputError, match="at least one baseline"):
        pyig.several([])


@pytest.mark.parametrize("batch_size", [1, 5, "auto"])
@pytest.mark.parametrize("name", DRAWS)
def test_draws_depend_on_the_seed_alone(name: str, batch_size: Any) -> None:
    first = attributions(name, rng=7, batch_size=batch_size)
    assert_same(first, attributions(name, rng=7))
    assert_same(first, attributions(name, rng=np.random.default_rng(7)))
    assert not np.allclose(first, attributions(name, rng=8))


def test_draws_use_no_global_state() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the global state is what must not change
    attributions("noise")
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


RECORD = zoo.ENTRIES["record"]()


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"patch": 0},
        {"age": 0.0, "patch": np.zeros((2, 2))},
        [None, 0],
        "zero",
        0,
        np.float32(0),
        lambda x: np.zeros_like(x),
    ],
)
def test_dict_inputs_take_a_baseline_per_key(given: Any, backend: str) -> None:
    found = frameworks.explain(backend, RECORD, baselines=given, n_steps=9)
    plain = frameworks.explain("callable", RECORD, baselines=None, n_steps=9)
    for key in RECORD.x:
        assert_same(found.attributions[key], plain.attributions[key])


def test_several_baselines_of_structured_inputs() -> None:
    ends = [{"age": 1.0}, {"patch": 2.0, "age": "mean"}]
    found = frameworks.explain("callable", RECORD, baselines=several(ends), n_steps=9)
    alone = [frameworks.explain("callable", RECORD, baselines=end, n_steps=9) for end in ends]
    for key in RECORD.x:
        assert_same(found.attributions[key], np.mean([e.attributions[key] for e in alone], axis=0))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"aeg": 0}, "inputs patch, age; got one for 'aeg'"),
        ([0, 0, 0], "structured like the input"),
        (np.zeros((3, 5)), "structured like the input"),
    ],
)
def test_structures_must_match(given: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        frameworks.explain("callable", RECORD, baselines=given)


def test_tables_start_at_tables() -> None:
    frame = pd.DataFrame(DEEP.x, columns=list("abcde"))
    ig = frameworks.explainer("callable", DEEP)
    mean = frame.mean().to_frame().T
    assert_same(ig.explain(frame, mean, n_steps=16).attributions, attributions(DEEP.x.mean(0)))
    assert_same(ig.explain(frame, frame * 2, n_steps=16).attributions, attributions(2 * DEEP.x))
    assert_same(ig.explain(frame, frame.mean(), n_steps=16).attributions, attributions(DEEP.x.mean(0)))
    many = pd.DataFrame(BACKGROUND, columns=list("abcde"))
    assert_same(ig.explain(frame, several(many), n_steps=16).attributions, attributions(BACKGROUND))


def test_columns_in_another_order_are_the_same_baseline() -> None:
    frame = pd.DataFrame(DEEP.x, columns=list("abcde"))
    ig = frameworks.explainer("callable", DEEP)
    for mean in (frame.mean().to_frame().T, frame.mean()):
        assert_same(ig.explain(frame, mean[list("edcba")], n_steps=16).attributions, attributions(DEEP.x.mean(0)))
    for columns in (list("abcdf"), list("abcd"), list("abcdef")):
        wrong = pd.DataFrame(np.zeros((1, len(columns))), columns=columns)
        with pytest.raises(InputError, match=r"columns a, b, c, d, e; got a, b, c, d"):
            ig.explain(frame, wrong)


def test_the_public_name_is_the_class() -> None:
    assert pyig.several is several
    assert inspect.isclass(pyig.several)


@pytest.mark.parametrize(("given", "rows"), [(None, 1), ("none", 1), (np.array(["a", "b"]), 2)])
def test_text_before_a_layer_has_a_baseline_of_text(given: object, rows: int) -> None:
    found = baseline_leaf(given, np.array(["red", "green"]), np.random.default_rng(0), "colour")
    assert found.tolist() == ([""] if given is None else ["none"] if rows == 1 else ["a", "b"])


@pytest.mark.parametrize("given", [0, np.array(["a", "b", "c"])])
def test_text_has_no_other_baseline(given: object) -> None:
    with pytest.raises(InputError, match="baseline of text for colour"):
        baseline_leaf(given, np.array(["red", "green"]), np.random.default_rng(0), "colour")
