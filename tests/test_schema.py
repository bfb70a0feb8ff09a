"""Schemas: inferred from a table, written and read, checked against rows, and rows invented from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_packages import AREA, write

from pyig.artifacts import DatasetSchema, ModelSchema, load
from pyig.artifacts.schema_file import Schemas
from pyig.errors import InputError

ROOT = Path(__file__).parents[1]
TABLE = pd.DataFrame(
    {
        "age": [63, 37, 41],
        "oldpeak": [2.3, np.nan, 1.4],
        "male": [True, False, True],
        "pain": ["none", "typical", "none"],
        "note": [f"seen on day {i}" for i in range(3)],
        "risk": [0, 1, 1],
    }
)


def heart() -> pd.DataFrame:
    return pd.read_csv(ROOT / "pyig" / "data" / "heart_disease.csv")


def test_kinds_ranges_categories_and_missing_cells() -> None:
    schema = DatasetSchema.infer(TABLE, max_cardinality=2)
    kinds = {column.name: column.kind for column in schema.columns}
    assert kinds == {
        "age": "integer", "oldpeak": "float", "male": "boolean", "pain": "category", "note": "text", "risk": "integer",
    }  # fmt: skip
    assert (schema["age"].minimum, schema["age"].maximum) == (37, 63)
    assert schema["pain"].categories == ("none", "typical")
    assert schema["oldpeak"].missing
    assert not schema["age"].missing


@pytest.mark.parametrize(("limit", "kind"), [(2, "text"), (3, "category")])
def test_the_cardinality_limit(limit: int, kind: str) -> None:
    assert DatasetSchema.infer(TABLE, max_cardinality=limit)["note"].kind == kind


def test_the_heart_disease_table() -> None:
    schema = DatasetSchema.infer(heart(), name="heart")
    assert len(schema.columns) == 14
    assert set(schema["cp"].categories) == {"typical ang", "atypical ang", "non-anginal", "asymptomatic"}
    assert [column.name for column in schema.columns if column.missing] == ["ca", "thal"]
    model = ModelSchema.infer(schema, "target")
    assert model.task == "binary"
    assert len(model.features) == 13
    assert model.outputs == ("predicted_target",)


def test_columns_that_are_odd() -> None:
    odd = pd.DataFrame(
        {
            "empty": pd.Series([None, None], dtype=object),
            "flag": pd.Series([True, None], dtype=object),
            "when": pd.to_datetime(["2020-01-01", "2021-01-01"]),
            "group": pd.Categorical(["a", "b"]),
            "void": [np.nan, np.nan],
        }
    )
    kinds = {column.name: column.kind for column in DatasetSchema.infer(odd).columns}
    assert kinds == {"empty": "category", "flag": "boolean", "when": "category", "group": "category", "void": "float"}
    with pytest.raises(InputError, match="different names"):
        DatasetSchema.infer(pd.DataFrame([[1, 2]], columns=["a", "a"]))


@pytest.mark.parametrize(
    ("target", "task", "outputs"),
    [
        ("risk", "binary", ("predicted_risk",)),
        ("male", "binary", ("predicted_male",)),
        ("note", "multiclass", None),
        ("oldpeak", "regression", ("predicted_oldpeak",)),
        ("age", "regression", ("predicted_age",)),
    ],
)
def test_the_task_follows_from_the_target(target: str, task: str, outputs: Any) -> None:
    schema = DatasetSchema.infer(TABLE)
    model = ModelSchema.infer(schema, target, metadata=["note"] if target != "note" else [])
    assert model.task == task
    assert outputs is None or model.outputs == outputs
    assert target not in model.features
    if task == "multiclass":
        assert model.outputs == tuple(f"probability_{name}" for name in schema[target].categories)


def test_roles_are_checked() -> None:
    schema = DatasetSchema.infer(TABLE)
    model = ModelSchema.infer(schema, "risk", decisions=["male"], metadata=["note"])
    assert model.features == ("age", "oldpeak", "pain")
    assert list(model.problems(schema)) == []
    wrong = ModelSchema("binary", ("age", "agee", "risk"), "risk", ("a", "b"), ("age",))
    said = [str(problem) for problem in wrong.problems(schema)]
    assert len(said) == 4
    assert "expected one output for binary; got a, b" in said[0]
    assert "'agee' is no column" in said[1]
    assert "'risk' is among features too" in said[2]
    assert "'age' is among features too" in said[3]
    with pytest.raises(InputError, match="did you mean 'risk'"):
        ModelSchema.infer(schema, "risc")
    with pytest.raises(InputError, match="unknown task"):
        ModelSchema.infer(schema, "risk", task="classify")
    empty = list(ModelSchema("guess", (), outputs=("a",)).problems())
    assert [problem.where for problem in empty] == ["schema.model.task", "schema.model.features"]


def test_written_and_read(tmp_path: Path) -> None:
    dataset = DatasetSchema.infer(TABLE, "patients")
    both = Schemas(dataset, ModelSchema.infer(dataset, "risk"))
    assert Schemas.read(both.write(tmp_path).parent) == both
    assert Schemas.read(tmp_path / "elsewhere") == Schemas()
    assert Schemas().data() == {}


columns = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=5)
cells = st.one_of(
    st.lists(st.integers(-1000, 1000), min_size=3, max_size=3),
    st.lists(st.floats(allow_nan=True, allow_infinity=False, width=32), min_size=3, max_size=3),
    st.lists(st.booleans(), min_size=3, max_size=3),
    st.lists(columns, min_size=3, max_size=3),
)


@given(data=st.dictionaries(columns, cells, min_size=1, max_size=5))
def test_any_schema_survives_json_and_fits_its_own_table(data: dict[str, list[Any]]) -> None:
    table = pd.DataFrame(data)
    schema = DatasetSchema.infer(table)
    assert DatasetSchema.from_data(json.loads(json.dumps(schema.data()))) == schema
    assert list(schema.problems(table)) == []
    assert list(schema.problems(schema.mock(5))) == []


def test_mock_rows_fit_and_differ() -> None:
    schema = DatasetSchema.infer(heart())
    rows = schema.mock(6, ["age", "cp", "oldpeak"])
    assert list(rows.columns) == ["age", "cp", "oldpeak"]
    assert rows["age"].between(29, 77).all()
    assert rows["age"].nunique() > 2
    assert rows["cp"].nunique() == 4


@pytest.mark.parametrize(
    ("changes", "level", "message"),
    [
        ({"age": [630, 37, 41]}, "warning", "values from 37 to 63; got 37 to 630"),
        ({"age": [63, 37, 3]}, "warning", "values from 37 to 63; got 3 to 63"),
        ({"age": ["old", "young", "old"]}, "error", "expected integer values; got text"),
        ({"age": [1.5, 40.0, 41.0]}, "error", "expected integer values"),
        ({"pain": ["none", "odd", "none"]}, "warning", "'odd'"),
        ({"age": [np.nan, 40, 41]}, "warning", "no empty cells; got 1 of 3"),
    ],
)
def test_rows_that_do_not_fit(changes: dict[str, Any], level: str, message: str) -> None:
    schema = DatasetSchema.infer(TABLE)
    found = list(schema.problems(TABLE.assign(**changes)))
    assert [problem.level for problem in found] == [level]
    assert message in found[0].what
    assert found[0].cure


def test_a_missing_column() -> None:
    schema = DatasetSchema.infer(TABLE)
    assert [p.where for p in schema.problems(TABLE.drop(columns="age"))] == ["rows.age"]
    assert list(schema.problems(TABLE.drop(columns="age"), columns=["pain"])) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected JSON"),
        ("[]", "the format 'pyig.schema'"),
        ('{"format": "pyig.schema", "version": 2}', "version 1"),
        ('HEAD, "dataset": {}}', "'columns' as a list"),
        ('HEAD, "dataset": {"columns": [{"name": "a"}]}}', "'name' and 'kind'"),
        ('HEAD, "dataset": {"columns": [{"name": "a", "kind": "int"}]}}', "unknown kind"),
        ('HEAD, "dataset": {"columns": [{"name": "a", "kind": "text", "x": 1}]}}', "'x'"),
        ('HEAD, "model": {"task": "binary"}}', "'features' as a list"),
        ('HEAD, "model": {"tasks": "binary"}}', "did you mean 'task'"),
    ],
)
def test_files_that_are_no_schemas(tmp_path: Path, text: str, message: str) -> None:
    head = '{"format": "pyig.schema", "version": 1'
    (tmp_path / "schema.json").write_text(text.replace("HEAD", head), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        Schemas.read(tmp_path)


# --- beside a package ----------------------------------------------------------------------------------------------


def test_a_package_is_tried_on_rows_of_its_schema(tmp_path: Path) -> None:
    folder = write(tmp_path / "p", AREA)
    dataset = DatasetSchema.infer(pd.DataFrame({"width": [1.0, 2.0], "height": [1.0, 3.0], "sold": [True, False]}))
    Schemas(dataset, ModelSchema("regression", ("width", "height"), "sold", ("area",))).write(folder)
    artifact = load(folder, trust=True)
    assert artifact.describe()["schema"]["model"]["task"] == "regression"
    assert list(artifact.problems()) == []
    far = pd.DataFrame({"width": [9.0], "height": [1.0]})
    assert [problem.where for problem in artifact.problems(far)] == ["rows.width"]


def test_a_schema_that_contradicts_its_package(tmp_path: Path) -> None:
    folder = write(tmp_path / "p", AREA)
    Schemas(None, ModelSchema("regression", ("width", "depth"), outputs=("volume",))).write(folder)
    wheres = [problem.where for problem in load(folder, trust=True).problems()]
    assert wheres == ["schema.model.outputs", "schema.model.features"]
