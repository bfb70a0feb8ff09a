"""SavedModels as artifacts: rows by column in, attributions by column out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
pytest.importorskip("keras")
pd = pytest.importorskip("pandas")

import saved_model_oddities as odd  # noqa: E402 - behind the check that TensorFlow is there
import saved_models  # noqa: E402

import pyig  # noqa: E402
from pyig import artifacts  # noqa: E402
from pyig.errors import InputError, InputTypeError, ModelError  # noqa: E402


def load(path: Path, **options: Any) -> Any:
    return artifacts.load(path, "saved_model", **options)


@pytest.fixture(scope="module", params=list(saved_models.CASES))
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    case = saved_models.CASES[request.param]()
    directory = tmp_path_factory.mktemp("saved") / "model"
    case.save(directory)
    return case, load(directory, encoded=case.encoded)


@pytest.fixture(scope="module")
def zips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    case = saved_models.zip_codes()
    directory = tmp_path_factory.mktemp("zips") / "model"
    case.save(directory)
    return case, directory


@pytest.fixture(scope="module")
def vector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("vector")
    weights = tf.constant([[1.0], [2.0], [-1.0]])
    odd.save_function(directory, lambda x: {"risk": tf.nn.sigmoid(x @ weights)}, x=([None, 3], tf.float32))
    return directory


def total(explanation: Any) -> Any:
    return sum(
        np.asarray(phi, np.float64).reshape(len(phi), -1).sum(axis=1) for phi in explanation.attributions.values()
    )


# --- the sum ---------------------------------------------------------------------------------------------------------
def test_attributions_sum_to_what_the_output_changed_by(saved: tuple[Any, Any]) -> None:
    case, artifact = saved
    outputs = artifact.predict(case.rows)
    found = artifact.explain(case.rows, target=0 if outputs.shape[1] > 1 else None, rtol=1e-4)
    assert set(found.attributions) == set(case.rows) == set(artifact.columns)
    assert found.converged.all()
    assert np.abs(found.deltas).max() < 1e-4
    np.testing.assert_allclose(found.values, outputs[:, 0], rtol=1e-5)
    np.testing.assert_allclose(total(found), found.values - found.baseline_values, atol=1e-4)
    for name, phi in found.attributions.items():
        assert phi.shape == found.inputs[name].shape
        assert phi.ndim <= 2
        assert found.inputs[name].dtype != object


@pytest.mark.parametrize(
    ("shape", "target"),
    [
        ("(N,)", None),
        ("(N, 1)", None),
        ("(N, 1)", 0),
        ("(N, C)", None),
        ("(N, C)", [3, 1]),
        ("(N, T, C)", np.array([[0, 1], [1, 2]])),
        ("(N, T, C)", (1, 0)),
        ("(N, 6, 1)", np.array([[5, 0], [2, 0]])),
    ],
)
def test_outputs_of_every_shape_are_explained(tmp_path: Path, shape: str, target: Any) -> None:
    odd.Net(shape).save(tmp_path)
    artifact = load(tmp_path, encoded={"ids": "emb"})
    found = artifact.explain(odd.ROWS, target, rtol=1e-4)
    outputs = artifact.predict(odd.ROWS)
    if target is None:
        wanted = outputs.reshape(2, -1).max(axis=1)
    else:
        index = np.broadcast_to(target, (2, outputs.ndim - 1)) if np.ndim(target) != 1 or isinstance(target, tuple) \
            else np.asarray(target)[:, None]  # fmt: skip
        wanted = outputs[(np.arange(2), *index.T)]
    np.testing.assert_allclose(found.values, wanted, rtol=1e-5)
    assert np.abs(found.deltas).max() < 1e-4
    assert np.abs(found.values - found.baseline_values).min() > 0.01
    np.testing.assert_allclose(total(found), found.values - found.baseline_values, atol=1e-4)
    assert found.attributions["ids"].shape == (2, 2)


@pytest.mark.parametrize(("target", "sign"), [(0, -1.0), (1, 1.0), ("ill", 1.0), ("well", -1.0)])
def test_two_names_for_one_output_are_two_classes(vector: Path, target: Any, sign: float) -> None:
    artifact = load(vector, output_names=["well", "ill"])
    rows = {"x": np.array([[0.5, 0.5, -0.25], [-1.0, 0.25, 0.5]])}
    alone = load(vector).explain(rows, rtol=1e-4)
    found = artifact.explain(rows, target, rtol=1e-4)
    np.testing.assert_allclose(found.attributions["x"], sign * alone.attributions["x"], atol=2e-4)
    p = artifact.predict(rows)[:, 0]
    np.testing.assert_allclose(found.values, p if sign > 0 else 1 - p, rtol=1e-5)
    assert np.abs(found.deltas).max() < 1e-4


def test_outputs_have_names_that_targets_take(zips: tuple[Any, Path]) -> None:
    case, directory = zips
    artifact = load(directory, encoded=case.encoded)
    assert artifact.outputs == ("probabilities[0]", "probabilities[1]")
    by_name = artifact.explain(case.rows, "probabilities[1]", n_steps=20)
    np.testing.assert_array_equal(by_name.values, artifact.explain(case.rows, 1, n_steps=20).values)
    named = load(directory, encoded=case.encoded, output_names=["stay", "move"])
    assert named.outputs == ("stay", "move")
    assert named.explain(case.rows, "move", n_steps=20).output_names == ("stay", "move")
    with pytest.raises(InputError, match="unknown target 'moved'; did you mean 'move'"):
        named.explain(case.rows, "moved")


def test_several_outputs_are_said_until_one_is_chosen(zips: tuple[Any, Path]) -> None:
    case, directory = zips
    undecided = load(directory, signature="both", encoded=case.encoded)
    assert undecided.outputs == ("logits, probabilities",)
    assert "expected output= as one of logits, probabilities" in undecided.describe()["notes"][0]
    with pytest.raises(InputError, match="expected output= as one of logits, probabilities"):
        undecided.predict(case.rows)
    chosen = load(directory, signature="both", encoded=case.encoded, output="logits")
    np.testing.assert_array_equal(chosen.predict(case.rows), load(directory, signature="logits").predict(case.rows))


def test_the_only_output_of_floats_is_explained(tmp_path: Path) -> None:
    odd.save_function(
        tmp_path, lambda x: {"label": tf.argmax(x, axis=1), "score": tf.math.tanh(x)}, x=([None, 2], tf.float32)
    )
    found = load(tmp_path).explain({"x": [[0.5, 1.0]]}, 1)
    np.testing.assert_allclose(found.values, np.tanh(1.0), rtol=1e-6)


def test_a_graph_by_tensor_names(zips: tuple[Any, Path]) -> None:
    case, directory = zips
    rows = {"zip": case.rows["zip_codes"], "money": case.rows["x"]}
    names = {"zip": "zip_codes:0", "money": "x:0"}
    artifact = load(directory, inputs=names, encoded={"zip": "zip_codes_embedding:0"}, output="dense/Softmax:0")
    assert artifact.columns == ("zip", "money")
    by_key = load(directory, encoded=case.encoded).explain(case.rows, 0, n_steps=10)
    found = artifact.explain(rows, 0, n_steps=10)
    np.testing.assert_array_equal(found.attributions["zip"], by_key.attributions["zip_codes"])
    assert artifact.describe()["signature"] is None


@pytest.mark.parametrize("rank", [1, 3, 4, 5])
def test_inputs_of_every_rank(tmp_path: Path, rank: int) -> None:
    shape = (2, 3, 4, 2)[: rank - 1]

    def function(x: Any) -> dict[str, Any]:
        return {"y": tf.reduce_sum(tf.math.tanh(tf.reshape(x, [tf.shape(x)[0], -1])), axis=1)}

    odd.save_function(tmp_path, function, x=([None, *shape], tf.float32))
    x = np.random.default_rng(0).normal(size=(3, *shape))
    found = load(tmp_path).explain([{"x": row.tolist()} for row in x], rtol=1e-4)
    assert np.abs(found.attributions["x"] - np.tanh(x)).sum() <= 1e-4 * np.abs(np.tanh(x)).sum()
    assert [problem.level for problem in load(tmp_path).problems()] == []


def test_the_model_is_left_as_it_was(saved: tuple[Any, Any]) -> None:
    case, artifact = saved
    before = artifact.predict(case.rows)
    rows = {name: values.copy() for name, values in case.rows.items()}
    artifact.explain(rows, 0 if before.shape[1] > 1 else None, n_steps=5)
    np.testing.assert_array_equal(artifact.predict(case.rows), before)
    for name, values in case.rows.items():
        np.testing.assert_array_equal(rows[name], values)


def test_several_targets_at_once(zips: tuple[Any, Path]) -> None:
    case, directory = zips
    found = load(directory, encoded=case.encoded).explain(case.rows, "top2", n_steps=30)
    assert found.attributions["zip_codes"].shape == (3, 2)
    assert found.attributions["x"].shape == (3, 2, 2)
    np.testing.assert_allclose(found.attributions["x"][:, 0], -found.attributions["x"][:, 1], atol=1e-4)


def test_float64_stays_float64(tmp_path: Path) -> None:
    odd.Net(dtype=tf.float64).save(tmp_path)
    artifact = load(tmp_path, encoded={"ids": "emb"})
    found = artifact.explain(odd.ROWS, 0, rtol=1e-8)
    assert artifact.predict(odd.ROWS).dtype == np.float64
    assert {phi.dtype for phi in found.attributions.values()} == {np.dtype(np.float64)}
    assert np.abs(found.deltas).max() < 1e-9


# --- rows ------------------------------------------------------------------------------------------------------------
def test_rows_may_be_a_frame_a_dict_or_a_list(zips: tuple[Any, Path]) -> None:
    case, directory = zips
    artifact = load(directory, encoded=case.encoded)
    wanted = artifact.predict(case.rows)
    listed = [{name: values[i].tolist() for name, values in case.rows.items()} for i in range(3)]
    np.testing.assert_array_equal(artifact.predict(listed), wanted)
    frame = pd.DataFrame({name: list(values) for name, values in case.rows.items()}).assign(label=1)
    np.testing.assert_array_equal(artifact.predict(frame), wanted)
    found = artifact.explain(frame, 0, n_steps=10)
    assert found.inputs["zip_codes"].tolist() == ["94043 10001", "94105", "60601 00000"]


def test_a_vector_takes_columns(vector: Path) -> None:
    artifact = load(vector, columns=["age", "dose", "rest"])
    assert artifact.columns == ("age", "dose", "rest")
    frame = pd.DataFrame({"dose": [1, 0], "rest": [0.5, -0.5], "label": ["a", "b"], "age": [True, False]})
    np.testing.assert_allclose(artifact.predict(frame)[:, 0], 1 / (1 + np.exp([-2.5, -0.5])), rtol=1e-6)
    found = artifact.explain(frame, baselines={"age": 0.5})
    assert list(found.attributions) == ["age", "dose", "rest"]
    assert found.attributions["dose"].shape == (2,)
    assert found.baselines["age"].tolist() == [0.5, 0.5]
    np.testing.assert_allclose(total(found), found.values - found.baseline_values, atol=2e-3)
    exact = load(vector).predict({"x": np.array([[1.0, 1, 0.5], [0, 0, -0.5]])})
    np.testing.assert_array_equal(artifact.predict(frame), exact)


def test_a_table_of_just_the_columns_needs_no_names(vector: Path) -> None:
    frame = pd.DataFrame({"age": [1.0], "dose": [1.0], "rest": [0.5]})
    found = load(vector).explain(frame)
    assert list(found.attributions) == ["age", "dose", "rest"]
    with pytest.raises(
        InputError, match=r"expected columns 'x', which the rows do not have.*Name the columns that make"
    ):
        load(vector).explain(frame.assign(label=0))


def test_a_wrong_column_names_the_near_one(zips: tuple[Any, Path], vector: Path) -> None:
    case, directory = zips
    artifact = load(directory, encoded=case.encoded)
    with pytest.raises(InputError, match=r"expected columns 'zip_codes'.*'zip_codes' is near 'zip_code'"):
        artifact.predict({"zip_code": case.rows["zip_codes"], "x": case.rows["x"]})
    named = load(vector, columns=["age", "dose", "rest"])
    with pytest.raises(
        InputError, match=r"expected columns 'dose'.*they have 'age', 'does', 'rest'; 'dose' is near 'does'"
    ):
        named.explain({"age": [1.0], "does": [1.0], "rest": [1.0]})
    with pytest.raises(
        InputTypeError, match=r"one number per row in column 'dose'; got dtype <U4.*categories as numbers"
    ):
        named.explain({"age": [1.0], "dose": ["high"], "rest": [1.0]})
    with pytest.raises(InputError, match="expected 3 columns for x"):
        load(vector, columns=["age", "dose"])


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"x": [[1.0, 2.0], [1.0]]}, r"cells of one shape in column 'x'; got lengths \[1, 2\]\. Pad"),
        ({"x": np.zeros((0, 3))}, "at least one row"),
        ({"x": np.zeros((2, 3)), "y": [1]}, r"columns of one length; got \{'x': 2, 'y': 1\}"),
        ([{"x": [1.0, 2.0, 3.0]}, {}], "row 1 has no 'x'"),
        ("x", "a DataFrame, a dict of arrays or a list of dicts; got str"),
        ({"x": np.zeros((2, 4))}, r"expected x float32 \(\?, 3\); got shape \(2, 4\)"),
    ],
)
def test_rows_that_are_no_table_are_refused(vector: Path, rows: Any, says: str) -> None:
    with pytest.raises((InputError, InputTypeError), match=says):
        load(vector).predict(rows)


def test_many_rows_are_predicted_in_blocks(vector: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(2500, 3)).astype(np.float32)
    model = load(vector)
    found = model.predict({"x": rows})
    assert found.shape == (2500, 1)
    np.testing.assert_allclose(found[2400:], model.predict({"x": rows[2400:]}), rtol=1e-6)


def test_a_single_array_is_the_only_input(vector: Path) -> None:
    rows = np.array([[0.5, 0.5, -0.25]])
    np.testing.assert_array_equal(load(vector).predict(rows), load(vector).predict({"x": rows}))


# --- baselines and fixed inputs --------------------------------------------------------------------------------------
def test_baselines_are_the_users_values(zips: tuple[Any, Path]) -> None:
    case, directory = zips
    artifact = load(directory, encoded=case.encoded)
    found = artifact.explain(case.rows, 0, baselines={"zip_codes": np.array([["94105"]]), "x": [0.1, 0.2]}, rtol=1e-4)
    same = {"zip_codes": np.array([["94105"]] * 3), "x": np.array([[0.1, 0.2]] * 3)}
    np.testing.assert_allclose(found.baseline_values, artifact.predict(same)[:, 0], rtol=1e-6)
    assert found.attributions["zip_codes"][1] == pytest.approx(0.0, abs=1e-7)
    assert np.abs(found.attributions["zip_codes"][0]) > 1e-3
    floats = artifact.explain(case.rows, 0, baselines={"zip_codes": np.full((1, 3), 0.5)}, n_steps=10)
    assert np.abs(floats.baseline_values - found.baseline_values).max() > 1e-3
    with pytest.raises(InputError, match="unknown baseline 'zip_code'; did you mean 'zip_codes'"):
        artifact.explain(case.rows, 0, baselines={"zip_code": 1})
    averaged = artifact.explain(
        case.rows, 0, baselines=pyig.several([{"x": [0.1, 0.2]}, {"x": [0.3, 0.2]}]), n_steps=10
    )
    assert averaged.meta["n_baselines"] == 2


def test_inputs_that_do_not_move_are_shown_without_attribution(tmp_path: Path) -> None:
    case = saved_models.mixed()
    case.save(tmp_path)
    artifact = load(tmp_path, encoded=case.encoded)
    found = artifact.explain(case.rows)
    assert found.inputs["mask"].dtype == bool
    assert not found.attributions["mask"].any()
    assert found.attributions["ids"].shape == (2, 5)
    assert np.abs(found.attributions["ids"][~case.rows["mask"]]).max() == 0.0
    assert np.abs(found.attributions["ids"][case.rows["mask"]]).min() > 0.0
    assert "held fixed, so without attribution: mask" in found.meta["notes"]
    only = load(tmp_path).explain(case.rows)
    assert not only.attributions["ids"].any()
    assert np.abs(only.attributions["numbers"]).min() > 0.0


def test_text_that_the_rest_of_the_model_needs_is_held_fixed(tmp_path: Path) -> None:
    def function(x: Any, kind: Any) -> dict[str, Any]:
        return {"y": tf.where(kind == "up", 1.0, -1.0)[:, None] * tf.math.tanh(x)}

    odd.save_function(tmp_path, function, x=([None, 2], tf.float32), kind=([None], tf.string))
    rows = pd.DataFrame({"x": [[1.0, 2.0], [1.0, 2.0]], "kind": ["up", "down"]})
    found = load(tmp_path).explain(rows, 0, rtol=1e-4)
    np.testing.assert_allclose(found.attributions["x"], [[np.tanh(1), 0], [-np.tanh(1), 0]], atol=1e-4)
    assert found.inputs["kind"].tolist() == ["up", "down"]


# --- looking at it ---------------------------------------------------------------------------------------------------
def test_describe_is_json_and_names_what_is_differentiable(saved: tuple[Any, Any]) -> None:
    case, artifact = saved
    about = json.loads(json.dumps(artifact.describe()))
    assert about["kind"] == "saved_model"
    assert set(about["inputs"]) == set(case.rows)
    assert about["signature"] == "serving_default"
    assert set(about["explained"]) == set(case.encoded) | {
        n for n, t in about["inputs"].items() if "float" in t["dtype"]
    }
    named = [tensor["tensor"] for tensor in about["differentiable"]]
    assert {tensor["tensor"] for tensor in about["explained"].values()} <= set(named)


def test_describe_says_what_is_in_the_way(tmp_path: Path) -> None:
    saved_models.words().save(tmp_path)
    artifact = load(tmp_path)
    about = artifact.describe()
    assert about["explained"] is None
    assert "Say which float tensor stands for an input" in about["notes"][0]
    assert artifact.predict(saved_models.words().rows).shape == (2, 2)
    with pytest.raises(ModelError, match="Say which float tensor"):
        artifact.explain(saved_models.words().rows)


def test_a_sound_model_has_no_problems(saved: tuple[Any, Any]) -> None:
    case, artifact = saved
    for rows in (case.rows, None):
        assert [p for p in artifact.problems(rows) if p.level == "error"] == []


def problems(path: Path, rows: Any = None, **options: Any) -> list[str]:
    return [str(problem) for problem in load(path, **options).problems(rows)]


def test_problems_come_with_a_cure(tmp_path: Path, vector: Path) -> None:
    saved_models.words().save(tmp_path / "words")
    (found,) = problems(tmp_path / "words")
    assert found.startswith("error: inputs: ")
    assert found.endswith("Name the tensor that stands for the input with encoded=")
    (found,) = problems(vector, {"y": [1.0]})
    assert found.startswith("error: rows: they do not fit the model: expected columns 'x'")
    assert any("NaN or infinite" in text for text in problems(vector, {"x": [[np.nan, 1.0, 1.0]]}))
    assert any("the model has 1 outputs; there are 3 names" in text for text in problems(vector, output_names="abc"))

    def constant(x: Any, unused: Any) -> dict[str, Any]:
        return {"y": x * 2.0 + 0.0 * unused}

    odd.save_function(tmp_path / "c", constant, x=([None, 1], tf.float32), unused=([None, 1], tf.float32))
    (found,) = problems(tmp_path / "c")
    assert found.startswith("warning: unused: its attributions are all zero")

    def cut_off(x: Any) -> dict[str, Any]:
        return {"y": tf.stop_gradient(x) * 2.0}

    odd.save_function(tmp_path / "s", cut_off, x=([None, 1], tf.float32))
    (found,) = problems(tmp_path / "s")
    assert "expected an input of floats on which 'y' depends" in found


def test_a_model_that_raises_is_a_problem(tmp_path: Path) -> None:
    def picky(x: Any) -> dict[str, Any]:
        with tf.control_dependencies([tf.debugging.assert_less(x, 0.0, "only negatives here")]):
            return {"y": tf.reshape(x, [-1, 7])}

    odd.save_function(tmp_path, picky, x=([None, 2], tf.float32))
    (found,) = problems(tmp_path)
    assert found.startswith("error: predict: expected inputs that the model can take; it raised InvalidArgumentError")
    assert found.endswith("Run it on rows that it knows")
