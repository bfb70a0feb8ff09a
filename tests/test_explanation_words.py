"""What an explanation says: its verdict in words, its repr, and its long table."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import samples

from pyig.errors import MissingPackageError

# --- in words ----------------------------------------------------------------------------------------------------


def verdict(**changes: object) -> str:
    meta = {**samples.META, **changes.pop("meta", {})}  # type: ignore[dict-item]
    return samples.make(np.ones((2, 2)), np.array([[0.5, 0.5], [1.0, 1.0]]), meta=meta, **changes).verdict()  # type: ignore[arg-type]


def test_verdict_converged() -> None:
    assert verdict(gap=2e-4) == (
        "converged: estimated error 0.1 % <= 1 %; completeness gap at most 0.02 % of F(x)-F(x')"
    )


def test_verdict_not_converged() -> None:
    text = verdict(error=[0.023, 0.0], converged=[False, True])
    assert text.startswith("not converged for 1 of 2: estimated error 2.3 % > 1 %; ")


def test_verdict_not_converged_without_tolerance_or_for_another_reason() -> None:
    both = [False, False]
    text = verdict(error=[0.023, 0.0], converged=both, meta={"rtol": None})
    assert text.startswith("not converged for 2 of 2: estimated error 2.3 %; ")
    assert verdict(converged=both).startswith("not converged for 2 of 2: estimated error 0.1 %; ")


def test_verdict_stopped_early() -> None:
    text = verdict(meta={"complete": False, "n_steps": 200}, n_evals=[80, 40], converged=[False, False])
    assert text.startswith("stopped early: 120 of 400 gradients; not converged for 2 of 2")
    assert verdict(meta={"complete": False, "n_steps": None}).startswith("stopped early after 10 gradients; ")


def test_verdict_without_an_estimate() -> None:
    assert verdict(error=[np.nan, np.nan]).startswith("no error estimate: gausslegendre gives none; completeness gap")
    assert "(no estimate for 1 of 2)" in verdict(error=[np.nan, 0.0])


ADAPTIVE = {"method": "adaptive", "n_steps": None, "max_evals": 512}


@pytest.mark.parametrize("spent", [511, 512])
def test_verdict_out_of_gradients(spent: int) -> None:
    text = verdict(error=[0.004, 0.0], converged=[False, True], n_evals=[spent, 9], meta={**ADAPTIVE, "rtol": 0.001})
    assert text == (
        "not converged for 1 of 2: estimated error 0.4 % > 0.1 %; 0.1 % per feature on this network needs more than "
        "512 gradients; raise max_evals; completeness gap at most 0 % of F(x)-F(x'), small only by cancellation"
    )


def test_verdict_gives_no_advice_that_does_not_help() -> None:
    failed = {"error": [0.04, 0.0], "converged": [False, True]}
    assert "raise" not in verdict(**failed, n_evals=[99, 512], meta=ADAPTIVE)  # the one that failed had gradients left
    assert "raise" not in verdict(**failed, n_evals=[512, 9], meta=ADAPTIVE | {"complete": False})
    assert "raise" not in verdict(
        **failed, n_evals=[512, 9], meta=ADAPTIVE | {"noise": {"kind": "smoothgrad", "draws": 3}}
    )
    assert "; raise n_steps=5, or leave it out for as many as it takes; " in verdict(**failed)


@pytest.mark.parametrize(
    ("error", "gap", "hidden"), [(0.04, 0.001, True), (0.04, 0.0099, True), (0.02, 0.009, False), (0.04, 0.03, False)]
)
def test_verdict_on_a_gap_that_hides_the_error(error: float, gap: float, hidden: bool) -> None:
    text = verdict(error=[error, 0.0], gap=gap, converged=[False, True])
    assert text.endswith(", small only by cancellation") == hidden


def test_a_converged_gap_is_not_called_a_cancellation() -> None:
    assert "cancellation" not in verdict(error=[0.009, 0.0], gap=1e-9)


@pytest.mark.parametrize(("other", "of"), [(-1.0 + 1e-6, "the attributions, which"), (-0.4, "F(x)-F(x')")])
def test_verdict_where_the_outputs_are_nearly_equal(other: float, of: str) -> None:
    e = samples.make(np.ones((1, 2)), np.array([[1.0, other]]), gap=1e-5)
    share = 1e-5 / 2 if of != "F(x)-F(x')" else 1e-5 / 0.6
    assert f"completeness gap {100 * share:.2g} % of {of}" in e.verdict()


def test_the_relative_gap_is_that_of_the_difference_of_outputs() -> None:
    e = samples.make(np.ones((1, 2)), np.array([[1.0, -1.0 + 1e-6]]), gap=1e-5)
    assert e.relative_gap[0] == pytest.approx(1e-5 / 0.02, rel=1e-4)


def test_verdict_of_x_equal_to_its_baseline() -> None:
    e = samples.make(np.zeros((1, 2)), np.zeros((1, 2)), error=[0.0])
    assert e.relative_gap.tolist() == e.relative_error.tolist() == [0.0]
    assert "completeness gap 0 % of F(x)-F(x')" in e.verdict()


def test_a_gap_out_of_nothing_is_infinite() -> None:
    e = samples.make(np.zeros((1, 2)), np.zeros((1, 2)), deltas=[0.5])
    assert e.relative_gap.tolist() == [np.inf]


@pytest.mark.parametrize("kind", samples.ALL)
def test_an_estimate_is_never_called_a_bound(kind: str) -> None:
    text = repr(samples.ALL[kind]()).lower()
    assert "bound" not in text
    assert "guarantee" not in text


def test_repr_says_what_how_and_how_well() -> None:
    assert repr(samples.mixed()) == (
        "Explanation of Net: 2 samples of age + lab (2 features) + ward (1 feature)\n"
        "  gausslegendre, 5 steps, 10 gradients\n"
        "  converged: estimated error 0.2 % <= 1 %; completeness gap at most 0 % of F(x)-F(x')"
    )
    assert repr(samples.empty()).endswith("no samples")
    assert ": 2 samples of 3 features, 2 targets each\n" in repr(samples.several_targets())


# --- as a table --------------------------------------------------------------------------------------------------


def test_frame_has_one_row_per_sample_and_feature() -> None:
    e = samples.frame()
    long = e.to_frame()
    assert list(long.columns) == ["sample", "target", "feature", "value", "baseline", "attribution"]
    assert len(long) == 36
    row = long[(long["sample"] == "p-2") & (long["feature"] == "chol")].iloc[0]
    assert row["value"] == e.inputs.loc["p-2", "chol"]
    assert row["baseline"] == e.baselines["chol"].iloc[0]
    assert row["attribution"] == e.attributions.loc["p-2", "chol"]
    assert row["target"] == 1
    sums = long.groupby("sample")["attribution"].sum()
    np.testing.assert_allclose(sums, e.values - e.baseline_values + e.deltas)


def test_frame_of_several_targets_names_them() -> None:
    e = samples.several_targets()
    long = e.to_frame()
    assert len(long) == 12
    assert long["target"].tolist() == ["ant"] * 3 + ["<cow>"] * 6 + ["bee"] * 3
    np.testing.assert_array_equal(long["attribution"], e.attributions.ravel())
    np.testing.assert_array_equal(long["value"], [1, 2, 3, 1, 2, 3, 3, 2, 1, 3, 2, 1])


def test_frame_without_targets_has_no_such_column() -> None:
    long = samples.mixed().to_frame()
    assert "target" not in long
    assert long["feature"].tolist()[:4] == ["age", "lab[0]", "lab[1]", "ward[0]"]


def test_frame_of_a_picture_names_pixels() -> None:
    long = samples.picture().to_frame()
    assert len(long) == 16 * 20
    assert long["feature"].iloc[21] == "x[1, 1]"


def test_frame_keeps_text_inputs() -> None:
    e = samples.mixed()
    words = np.array([["yes"], ["no"]])
    e = replace(e, inputs={**e.inputs, "ward": words}, baselines={**e.baselines, "ward": words})
    assert e.to_frame()["value"].tolist()[:4] == [61.0, 1.0, 2.0, "yes"]


def test_frame_without_pandas_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    e = samples.table()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingPackageError, match=r'pip install "pyig-explain\[frames\]"'):
        e.to_frame()


def test_meta_of_the_samples_is_json() -> None:
    assert json.loads(json.dumps(samples.META)) == samples.META
