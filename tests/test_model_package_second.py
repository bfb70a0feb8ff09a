"""The second generation of packages without a framework: gradients from the package, attributions in nested nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from model_packages import LINEAR_SECOND, write

from pyig import IntegratedGradients
from pyig.artifacts import load
from pyig.artifacts.package_gem import GEMContainer, GEMSimple, GEMText
from pyig.artifacts.package_helpers import IGTabularAttributions, IGTextAttributionsTF2Keras
from pyig.artifacts.package_rows import REST
from pyig.errors import InputError, ModelError

ROWS = pd.DataFrame({"a": [0.1, 2.0, 1.0], "b": [0.2, 1.0, -1.0], "c": [0.5, 3.0, 0.5]})
W = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]])


def package(folder: Path, old: str = "", new: str = "") -> Any:
    assert old in LINEAR_SECOND
    return load(write(folder / "p", LINEAR_SECOND.replace(old, new) if old else LINEAR_SECOND), trust=True)


def reference(target: int) -> Any:
    ig = IntegratedGradients(
        lambda x: np.tanh(x @ W[target]), gradient=lambda x: (1 - np.tanh(x @ W[target]) ** 2)[:, None] * W[target]
    )
    return ig.explain(ROWS.to_numpy(), rtol=1e-6).attributions


@pytest.mark.parametrize("target", [0, 1, "high"])
def test_attributions_are_integrated_gradients(tmp_path: Path, target: Any) -> None:
    e = package(tmp_path).explain(ROWS, target=target, rtol=1e-5)
    expected = reference(1 if target == "high" else target)
    assert list(e.attributions) == ["a", "b", "c"]
    assert np.allclose(np.stack(list(e.attributions.values()), axis=1), expected, atol=1e-4)
    assert e.converged.all()
    assert e.inputs["b"].tolist() == [0.2, 1.0, -1.0]
    assert e.baselines["b"].tolist() == [0.0, 0.0, 0.0]
    assert e.output_names == ("low", "high")


def test_the_settings_of_the_package_rule(tmp_path: Path) -> None:
    artifact = package(tmp_path)
    assert artifact.defaults == {"rtol": 0.01, "max_evals": 256}
    assert artifact.describe()["settings"]["ig_start_steps"] == 4
    e = artifact.explain(ROWS, target=0)
    assert set(e.n_evals.tolist()) <= {4, 12, 28, 60, 124, 252, 508}
    assert len(set(e.n_evals.tolist())) > 1, "rows stop one by one"
    assert (np.abs(e.deltas) <= e.error).all()


def test_a_package_without_settings_has_the_published_ones(tmp_path: Path) -> None:
    artifact = package(tmp_path, "def get_settings(self)", "def other(self)")
    assert artifact.defaults == {"rtol": 0.01, "max_evals": 2048}


def test_a_budget_that_is_too_small_is_said(tmp_path: Path) -> None:
    e = package(tmp_path).explain(ROWS * 20, target=0, rtol=1e-9, max_evals=8)
    assert not e.converged.any()
    assert e.n_evals.tolist() == [12, 12, 12]
    assert "not converged" in e.verdict()


def test_several_targets(tmp_path: Path) -> None:
    artifact = package(tmp_path)
    e = artifact.explain(ROWS, target="top2", n_steps=40)
    assert e.attributions["a"].shape == (3, 2)
    for k in range(2):
        expected = np.stack([reference(t)[i] for i, t in enumerate(e.targets[:, k])])
        assert np.allclose(np.stack([part[:, k] for part in e.attributions.values()], axis=1), expected, atol=1e-3)
    assert (e.values[:, 0] >= e.values[:, 1]).all()


def test_the_default_target_is_the_predicted_one(tmp_path: Path) -> None:
    artifact = package(tmp_path)
    assert artifact.explain(ROWS).targets.tolist() == artifact.predict(ROWS).argmax(axis=1).tolist()


@pytest.mark.parametrize("rows", [1, 3, 7, 1000])
def test_no_seam_between_calls(tmp_path: Path, rows: int) -> None:
    artifact = package(tmp_path)
    whole = artifact.explain(ROWS, target=0, n_steps=5)
    parts = artifact.explain(ROWS, target=0, n_steps=5, batch_size=rows)
    assert np.allclose(whole.attributions["a"], parts.attributions["a"], rtol=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("for k in range(2)]", "for k in range(1)]", ModelError, "output 1 was asked for and it returned 1"),
        ('"numbers": slopes[:, k : k + 1] * W[k]', '"other": slopes', ModelError, "it gives other"),
        ('"numbers": slopes[:, k : k + 1] * W[k]', '"numbers": None', ModelError, "a gradient for 'numbers'"),
        ("slopes[:, k : k + 1] * W[k]", "slopes[:, k : k + 1]", ModelError, "shape"),
        ("slopes[:, k : k + 1] * W[k]", "slopes[:, k : k + 1] * W[k] * np.nan", InputError, "NaN"),
        ("return [{", "return {}; [{", ModelError, "a list, a dict"),
        ("return rows * 0", "return 0", ModelError, "a DataFrame of 1 or 3 rows"),
        ('{"numbers": self._x(rows)}', '{"numbers": rows.astype(str).to_numpy()}', InputError, "to give numbers"),
        ("found[name] = GEM", "GEM", ModelError, "to explain 'high'; it gives None"),
        ('W.T), columns=', 'W.T)[:1], columns=', ModelError, "one row per row"),
    ],
)  # fmt: skip
def test_what_a_package_may_get_wrong(tmp_path: Path, old: str, new: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        package(tmp_path, old, new).explain(ROWS, target=1)


def test_an_option_that_such_a_package_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown option of a package that computes its own gradients 'layer'"):
        package(tmp_path).explain(ROWS, target=1, layer="x")


def test_problems(tmp_path: Path) -> None:
    assert list(package(tmp_path).problems(ROWS)) == []
    wrong = list(package(tmp_path, "* W[k]}", "* -W[k]}").problems(ROWS))
    assert [(problem.level, problem.where) for problem in wrong] == [("error", "package.py: gradients")]
    assert "the gap is" in wrong[0].what


def test_a_missing_method_is_found(tmp_path: Path) -> None:
    wheres = [p.where for p in package(tmp_path, "def get_ig_baseline", "def other").problems(ROWS)]
    assert wheres == ["package.py: get_ig_baseline"]


# --- the nodes -----------------------------------------------------------------------------------------------------


def test_nodes_render_to_plain_data() -> None:
    simple = GEMSimple(feature_name="age", value=np.int64(3), attribution=np.float32(0.5), attribution_uncertainty=0.1)
    text = GEMText(feature_name="s", text_segments=["a", "b"], text_attributions=np.array([1.0, 2.0]))
    rendered = GEMContainer("all", [simple, text]).render()
    assert rendered["attribution"] == 3.5
    assert rendered["display-name"] == "all"
    assert rendered["contents"][0] == {
        "type": "simple", "feature-name": "age", "value": 3, "attribution": 0.5, "attribution-uncertainty": 0.1,
    }  # fmt: skip
    assert rendered["contents"][1]["text-segments"] == ["a", "b"]
    assert type(rendered["contents"][0]["value"]) is int
    assert '"type": "container"' in GEMContainer(contents=[simple]).to_json()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GEMSimple(value=1), "display_name="),
        (lambda: GEMText(feature_name="s", text_segments=["a"], text_attributions=[1, 2]), "1 segments and 2"),
        (lambda: GEMContainer(contents=["a"]), "GEM nodes"),
    ],
)
def test_nodes_that_cannot_be(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# --- the helpers ---------------------------------------------------------------------------------------------------


def test_the_tabular_helper_sums_what_a_column_has() -> None:
    row = pd.DataFrame({"a": [1.0], "b": [np.nan], "unused": [3.0]})
    helper = IGTabularAttributions(row, ["y"])
    found = helper.get_project_attribution([{"num": [np.array([1.0, 2.0]), -1.0]}], {"num": ["a", "b"]})["y"]
    shares = {node["feature-name"]: (node["attribution"], node.get("value")) for node in found["contents"]}
    assert shares == {"a": (3.0, 1.0), "b": (-1.0, None), "unused": (0.0, 3.0)}
    with pytest.raises(ValueError, match="the layer 'other'"):
        helper.get_project_attribution([{"other": [1.0]}], {"num": ["a"]})
    with pytest.raises(ValueError, match="got none"):
        helper.get_project_attribution([{"num": [1.0]}], {})


class Tokenizer:
    filters = ",.-]"
    words = ("", "a", "good", "film")

    def texts_to_sequences(self, texts: list[str]) -> list[list[int]]:
        return [[self.words.index(w) for w in texts[0].lower().replace(",", "").split()]]

    def sequences_to_texts(self, sequences: list[list[int]]) -> list[str]:
        return [self.words[one[0]] for one in sequences]


def test_the_text_helper_gives_words_their_shares() -> None:
    helper = IGTextAttributionsTF2Keras(pd.DataFrame({"s": ["A good, film"]}), ["y"])
    tokens = helper.text_to_tokens_keras(Tokenizer(), 5, "s")
    assert tokens == ["a", "good", "film", "", ""]
    shares = np.arange(10.0).reshape(5, 2)
    found = helper.get_project_attribution([{"emb": shares}], Tokenizer(), tokens, ["emb"], "s")["y"]["contents"][0]
    assert found["text-segments"] == ["A", " ", "good", ",", " ", "film"]
    assert found["text-attributions"] == [1.0, 0.0, 5.0, 0.0, 0.0, 9.0]
    with pytest.raises(ValueError, match="one embedding; got 2"):
        helper.get_project_attribution([{"emb": shares}], Tokenizer(), tokens, ["emb", "b"], "s")


def test_what_has_no_word_is_not_lost(tmp_path: Path) -> None:
    source = LINEAR_SECOND.replace(
        "GEMContainer(contents=nodes)",
        'GEMContainer(contents=[GEMText(feature_name="text", text_segments=["a", "b"], '
        "text_attributions=[n.fields['attribution'] for n in nodes[:2]])])",
    )
    artifact = load(write(tmp_path / "p", source), trust=True)
    e = artifact.explain(ROWS, target=0, n_steps=50)
    assert e.inputs["text"].tolist() == [["a", "b"]] * 3
    assert np.allclose(e.attributions[REST], reference(0)[:, 2], atol=1e-3)
    assert any(REST in note for note in e.meta["notes"])
    assert any(REST in problem.cure for problem in artifact.problems(ROWS))


def test_the_rest_stays_once_it_was_there(tmp_path: Path) -> None:
    lossy = LINEAR_SECOND.replace(
        "enumerate(row.columns)", 'enumerate(row.columns) if column != "c" or row["c"][0] == 0'
    )
    artifact = load(write(tmp_path / "p", lossy), trust=True)
    whole = ROWS.assign(c=0.0)
    assert REST not in artifact.explain(whole, target=0).attributions
    assert artifact.explain(ROWS, target=0).attributions[REST].all()
    assert not artifact.explain(whole, target=0).attributions[REST].any()


def test_texts_always_have_a_place_for_the_rest(tmp_path: Path) -> None:
    source = LINEAR_SECOND.replace(
        "GEMContainer(contents=nodes)",
        'GEMContainer(contents=[GEMText(feature_name="text", text_segments=list("abc"), '
        "text_attributions=[n.fields['attribution'] for n in nodes])])",
    )
    artifact = load(write(tmp_path / "p", source), trust=True)
    assert not any(REST in problem.cure for problem in artifact.problems(ROWS))
    e = artifact.explain(ROWS, target=0)
    assert e.attributions[REST].tolist() == [0.0] * 3
    assert e.meta["notes"] == ["F along the path is not known: the package gives gradients alone"]
