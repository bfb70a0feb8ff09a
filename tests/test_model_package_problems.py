"""What `problems` finds in a package: everything in one run, each with its cure, and nothing in a sound one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import model_packages
import pandas as pd
import pytest
from model_packages import AREA, write

from pyig.artifacts import load
from pyig.errors import ModelError

ROWS = pd.DataFrame({"width": [2.0, 3.0], "height": [5.0, 4.0]})


def area(folder: Path) -> Any:
    return load(write(folder / "area", AREA), trust=True)


def found(artifact: Any, rows: Any = ROWS) -> dict[str, str]:
    return {f"{problem.level} {problem.where}": str(problem) for problem in artifact.problems(rows)}


def test_a_sound_package_has_none(tmp_path: Path) -> None:
    assert found(area(tmp_path)) == {}
    assert found(area(tmp_path), None) == {}


BROKEN = """
    import pandas as pd

    class Model:
        output_columns = ["y", "z"]
        max_allowed_error = 50

        def predict(self, rows):
            raise KeyError("no such column")

        def transform_input(self, rows):
            return rows

        def project_attributions(self, rows, transformed, attributions):
            return {}

    def get_model():
        return Model()
"""


def test_every_problem_is_found_in_one_run(tmp_path: Path) -> None:
    problems = found(load(write(tmp_path / "p", BROKEN), trust=True))
    assert set(problems) == {
        "error package.py: generate_baseline",
        "warning package.py: max_allowed_error",
        "error package.py: predict",
    }
    assert "predict() of" in problems["error package.py: predict"]
    assert "raised KeyError: 'no such column'" in problems["error package.py: predict"]
    assert "50 %" in problems["warning package.py: max_allowed_error"]


def test_a_raising_predict_is_an_error_that_names_it(tmp_path: Path) -> None:
    artifact = load(write(tmp_path / "p", BROKEN), trust=True)
    with pytest.raises(ModelError, match=r"predict\(\) of .* raised KeyError") as caught:
        artifact.predict(ROWS)
    assert isinstance(caught.value.__cause__, KeyError)


def test_without_rows_or_schema_nothing_can_be_tried(tmp_path: Path) -> None:
    artifact = load(write(tmp_path / "p", model_packages.LINEAR_SECOND), trust=True)
    assert set(found(artifact, None)) == {"error rows"}


@pytest.mark.parametrize(
    ("old", "new", "where", "message"),
    [
        ('"area",', '"area", "again"', "error package.py: predict", "expected 2 output columns"),
        ("return x[:, ::-1]", "return x * 0 + 1", "error package.py: gradients", "the gap is"),
        ("return x[:, ::-1]", "return None", "error package.py: gradients", "x"),
        ("x[:, 0] * x[:, 1]", "x[:, 0] * x[:, 1] / 0", "error package.py: predict", "finite"),
        ("x[:, 0] * x[:, 1]", "x[:, 0] - x[:, 0].mean()", "error package.py: predict", "a row alone"),
        (
            "max_allowed_error = 1",
            "max_allowed_error = 1e-6",
            "warning package.py: max_allowed_error",
            "counts percent",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_a_planted_problem_is_found(tmp_path: Path, old: str, new: str, where: str, message: str) -> None:
    assert old in AREA
    problems = found(load(write(tmp_path / "p", AREA.replace(old, new)), trust=True))
    assert where in problems
    assert message in problems[where]


def with_method(folder: Path, method: str) -> Any:
    source = AREA.replace("    def get_model", f"{method}\n    def get_model")
    return load(write(folder / "p", source), trust=True)


def test_features_that_are_no_columns_and_columns_without_attribution(tmp_path: Path) -> None:
    extra = """
        def projections(self, rows):
            from pyig.projections import BagOfFeatures
            return BagOfFeatures(["width", "depth"])
    """
    problems = list(
        load(
            write(tmp_path / "p", AREA.replace("    def get_model", extra + "\n    def get_model")), trust=True
        ).problems(ROWS)
    )
    assert [problem.what for problem in problems] == [
        "expected an attribution of 'height'; there is none",
        "'depth' is no column of the rows",
    ]
    assert all(problem.level == "warning" and problem.cure for problem in problems)


def test_a_projection_that_loses_is_a_problem(tmp_path: Path) -> None:
    extra = """
        def projections(self, rows):
            from pyig.projections import Function
            return Function(lambda phi, x, start: {"width": phi[:, 0], "height": 0 * phi[:, 1]})
    """
    problems = found(with_method(tmp_path, extra))
    assert "keep the sum" in problems["error package.py: project_attributions"]
