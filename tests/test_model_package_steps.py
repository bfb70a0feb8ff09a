"""Error-controlled steps: the published schedule against its own words in plain Python, and the cap it did not have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import samples
from model_packages import LINEAR_SECOND, write

from pyig import IntegratedGradients
from pyig.artifacts import load
from pyig.artifacts.package_steps import join, percentage, schedule, until_complete
from pyig.errors import InputError
from pyig.explanation import Explanation

W = np.array([1.5, -2.0, 0.7, 3.0])


def steep(x: Any) -> Any:
    return np.tanh(x @ W)


def slope(x: Any) -> Any:
    return (1 - np.tanh(x @ W) ** 2)[:, None] * W


def published(x: Any, limit: float, most: int = 10**9) -> tuple[Any, int, float]:
    """The loop as it was published: 20 nodes, then 100 more each time, all from the start, until the error is small."""
    change = float(steep(x[None])[0] - steep(0 * x[None])[0])
    repeats = 1
    while True:
        nodes = 20 * repeats
        gradients = slope(np.linspace(0, 1, nodes)[:, None] * x)
        attributions = x * ((gradients[:-1] + gradients[1:]) / 2).mean(axis=0)
        error = 100 * (change - attributions.sum()) / change
        if abs(error) <= limit or nodes + 100 > most:
            return attributions, nodes, error
        repeats += 5


def ours(x: Any, limit: float, most: int = 2048, calls: list[Any] | None = None) -> Explanation:
    ig = IntegratedGradients(steep, gradient=slope)

    def explain(rows: Any, n: int) -> Explanation:
        if calls is not None:
            calls.append((rows.tolist(), n))
        return ig.explain(x[rows], method="riemann_trapezoid", n_steps=n)

    return until_complete(explain, len(x), limit, most)


ROWS = np.random.default_rng(3).normal(size=(6, 4)) * np.array([[0.02], [1], [2], [4], [8], [400]])


def test_the_schedule() -> None:
    assert list(schedule(520)) == [20, 120, 220, 320, 420, 520]
    assert max(schedule()) == 2020


@pytest.mark.parametrize("limit", [5.0, 1.0, 0.05, 0.002])
def test_steps_and_numbers_are_those_published(limit: float) -> None:
    calls: list[Any] = []
    e = ours(ROWS, limit, 10_000, calls)
    expected = [published(row, limit) for row in ROWS]
    assert e.meta["steps"] == [steps for _, steps, _ in expected]
    assert np.allclose(e.attributions, [attributions for attributions, _, _ in expected], rtol=1e-9, atol=1e-12)
    assert np.allclose(percentage(e), [abs(error) for _, _, error in expected], rtol=1e-6, atol=1e-9)
    assert e.meta["met"] == [True] * 6
    assert [n for _, n in calls] == sorted({n for _, n in calls})


def test_a_row_that_is_done_is_not_explained_again() -> None:
    calls: list[Any] = []
    e = ours(ROWS, 0.002, 10_000, calls)
    assert len(set(e.meta["steps"])) > 2
    for rows, n in calls:
        assert rows == [i for i, steps in enumerate(e.meta["steps"]) if steps >= n]
    assert e.n_evals.tolist() == [sum(range(20, steps + 1, 100)) for steps in e.meta["steps"]]
    assert np.diff(e.path_offsets).tolist() == e.meta["steps"]


def test_the_cap_is_kept_and_said() -> None:
    e = ours(ROWS, 1e-9, 250)
    assert max(e.meta["steps"]) == 220
    assert not all(e.meta["met"])
    assert e.meta["max_steps"] == 250
    generous = ours(ROWS[:1], 5.0, 250)
    assert generous.meta["steps"] == [20]
    assert generous.meta["met"] == [True]


def test_converged_is_what_the_estimate_says_and_not_the_gap() -> None:
    x = np.array([[1.0, 1.0, 1.0, 1.0]])
    wave = IntegratedGradients(
        lambda x: np.sin(19 * 2 * np.pi * x[:, 0]) / 38 + x[:, 1],
        gradient=lambda x: np.stack(
            [np.pi * np.cos(19 * 2 * np.pi * x[:, 0]), np.ones(len(x)), np.zeros(len(x)), np.zeros(len(x))], axis=1
        ),
    )
    e = until_complete(lambda rows, n: wave.explain(x[rows], method="riemann_trapezoid", n_steps=n), 1, 1000.0)
    assert e.meta["met"] == [True]
    assert not e.converged[0]


# --- F(x) = F(x') --------------------------------------------------------------------------------------------------


def even(x: Any) -> Any:
    return (x**2) @ np.array([1.0, -1.0])


def even_slope(x: Any) -> Any:
    return 2 * x * np.array([1.0, -1.0])


@pytest.mark.parametrize("row", [[1.0, 1.0], [0.0, 0.0]], ids=["cancelled", "the baseline itself"])
def test_no_difference_is_no_division_by_zero(row: list[float]) -> None:
    ig = IntegratedGradients(even, gradient=even_slope)
    x = np.array([row, [1.0, 0.5]])
    e = until_complete(
        lambda rows, n: ig.explain(x[rows], method="riemann_trapezoid", n_steps=n, progress=False), 2, 1.0
    )
    assert e.values[0] - e.baseline_values[0] == 0
    assert e.meta["steps"] == [20, 20]
    assert e.meta["met"] == [True, True]


def test_a_gap_without_a_difference_is_compared_with_the_attributions() -> None:
    e = samples.make(np.ones((2, 2)), np.array([[2.0, -2.0], [2.0, -1.9]]), gap=0.0)
    changed = Explanation(
        **{name: getattr(e, name) for name in e.__dataclass_fields__ if name not in ("values", "deltas")},
        values=e.baseline_values,
        deltas=np.array([0.0, 0.1]),
    )
    assert np.allclose(percentage(changed), [0.0, 100 * 0.1 / 3.9])


def test_a_gap_of_nothing_is_infinite() -> None:
    e = samples.make(np.ones((1, 2)), np.zeros((1, 2)), gap=0.0)
    changed = Explanation(
        **{name: getattr(e, name) for name in e.__dataclass_fields__ if name != "deltas"}, deltas=np.array([0.5])
    )
    assert np.isinf(percentage(changed))[0]
    assert percentage(e)[0] == 0


@pytest.mark.parametrize(
    ("limit", "most", "message"), [(0, 100, "above 0"), (-1, 100, "above 0"), (1, 19, "at least 20")]
)
def test_limits_that_make_no_sense(limit: float, most: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        until_complete(lambda rows, n: samples.table(), 3, limit, most)


# --- explanations joined -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [samples.table, samples.several_targets, samples.mixed, samples.frame])
def test_taken_apart_and_joined(make: Callable[[], Explanation]) -> None:
    e = make()
    rows = np.arange(len(e))
    parts = [(rows[1:], e[rows[1:]]), (rows[:1], e[rows[:1]])]
    joined = join(parts)
    for name in ("values", "deltas", "error", "path_offsets", "path_values", "path_slopes"):
        assert np.array_equal(getattr(joined, name), getattr(e, name), equal_nan=True), name
    for mine, theirs in zip(joined.leaves(), e.leaves(), strict=True):
        assert np.array_equal(mine.attributions, theirs.attributions)
        assert np.array_equal(mine.inputs, theirs.inputs)
        assert np.array_equal(mine.baselines, theirs.baselines)


# --- as a package --------------------------------------------------------------------------------------------------

STEEP = """
    import numpy as np
    from pyig.artifacts import ModelPackage

    W = np.array([1.5, -2.0, 0.7, 3.0])

    class Steep(ModelPackage):
        columns, outputs = ("a", "b", "c", "d"), ("y",)
        max_allowed_error = 0.05

        def load(self):
            return lambda x: np.tanh(x @ W)

        def gradient(self, x):
            return (1 - np.tanh(x @ W) ** 2)[:, None] * W

        def encode(self, rows):
            return rows[list(self.columns)].to_numpy(float)

    def get_model():
        return Steep(__file__)
"""


def test_a_package_takes_the_published_steps(tmp_path: Path) -> None:
    artifact = load(write(tmp_path / "p", STEEP), trust=True)
    rows = {name: ROWS[:, i] for i, name in enumerate("abcd")}
    e = artifact.explain(rows, compat="fiddler")
    assert e.meta["steps"] == [min(published(row, 0.05, 2048)[1], 2020) for row in ROWS]
    assert e.meta["compat"] == "fiddler"
    assert e.meta["max_allowed_error"] == 0.05
    assert np.allclose(e.attributions["b"], [published(row, 0.05, 2048)[0][1] for row in ROWS], rtol=1e-9)
    capped = artifact.explain(rows, compat="fiddler", max_allowed_error=1e-6, max_steps=120)
    assert max(capped.meta["steps"]) == 120
    assert not all(capped.meta["met"])


def test_steps_may_be_chosen_when_the_package_is_opened(tmp_path: Path) -> None:
    chosen = {"compat": "fiddler", "max_allowed_error": 1e-6, "max_steps": 120}
    artifact = load(write(tmp_path / "p", STEEP), trust=True, **chosen)
    rows = {name: ROWS[:, i] for i, name in enumerate("abcd")}
    e = artifact.explain(rows)
    assert {name: e.meta[name] for name in chosen} == chosen
    assert artifact.defaults["rtol"] == 1e-8
    assert artifact.explain(rows, compat=None, max_allowed_error=1).meta["rtol"] == 0.01


def test_without_compat_the_tolerance_is_the_error_per_feature(tmp_path: Path) -> None:
    artifact = load(write(tmp_path / "p", STEEP), trust=True)
    e = artifact.explain({name: ROWS[:, i] for i, name in enumerate("abcd")})
    assert e.meta["rtol"] == 0.0005
    assert e.meta["compat"] is None
    assert e.converged.all()


def test_one_target_per_row_follows_its_row(tmp_path: Path) -> None:
    artifact = load(write(tmp_path / "p", LINEAR_SECOND), trust=True)
    rows = {"a": [0.1, 9.0, 1.0], "b": [0.2, 4.0, -1.0], "c": [0.5, 8.0, 0.5]}
    e = artifact.explain(rows, target=[0, 1, 0], compat="fiddler", max_allowed_error=0.1)
    assert e.targets.tolist() == [0, 1, 0]
    assert np.allclose(e.values, artifact.predict(rows)[[0, 1, 2], [0, 1, 0]])
    assert len(set(e.meta["steps"])) > 1


def test_of_several_targets_the_slowest_counts(tmp_path: Path) -> None:
    artifact = load(write(tmp_path / "p", LINEAR_SECOND), trust=True)
    rows = {"a": [0.1, 9.0, 1.0], "b": [0.2, 4.0, -1.0], "c": [0.5, 8.0, 0.5]}
    each = [artifact.explain(rows, k, compat="fiddler", max_allowed_error=0.1).meta["steps"] for k in range(2)]
    both = artifact.explain(rows, "top2", compat="fiddler", max_allowed_error=0.1)
    assert each[0] != each[1]
    assert both.meta["steps"] == np.max(each, axis=0).tolist()


@pytest.mark.parametrize(
    ("options", "message"), [({"n_steps": 50}, "no n_steps"), ({"method": "simpson"}, "no method")]
)
def test_the_schedule_sets_the_steps_itself(tmp_path: Path, options: Any, message: str) -> None:
    artifact = load(write(tmp_path / "p", STEEP), trust=True)
    with pytest.raises(InputError, match=message):
        artifact.explain({name: [1.0] for name in "abcd"}, compat="fiddler", **options)


def test_an_unknown_compat(tmp_path: Path) -> None:
    artifact = load(write(tmp_path / "p", STEEP), trust=True)
    with pytest.raises(InputError, match="unknown compat 'fidler'; did you mean 'fiddler'"):
        artifact.explain({name: [1.0] for name in "abcd"}, compat="fidler")


@pytest.mark.parametrize("limit", [0, -1, True, "1"])
def test_a_limit_that_is_no_percentage(tmp_path: Path, limit: Any) -> None:
    with pytest.raises(InputError, match="a percentage above 0"):
        load(write(tmp_path / "p", STEEP.replace("0.05", repr(limit))), trust=True)
