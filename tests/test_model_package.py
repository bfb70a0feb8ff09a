"""Packages without a framework: what runs and when, what is put back, rows in and features out, every problem found."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import model_packages
import numpy as np
import pandas as pd
import pytest
from model_packages import AREA, write

from pyig.artifacts import load
from pyig.artifacts.package_file import PackageOpener
from pyig.artifacts.package_rows import read_first
from pyig.baselines import several
from pyig.errors import InputError, InputTypeError, ModelError

ROWS = pd.DataFrame({"width": [2.0, 3.0], "height": [5.0, 4.0]})


def area(folder: Path, extra: str = "") -> Any:
    return load(write(folder / "area", AREA + extra), trust=True)


# --- trust ---------------------------------------------------------------------------------------------------------

MARKER = """
    from pathlib import Path

    (Path(__file__).parent / "it_ran").touch()

    def get_model():
        (Path(__file__).parent / "get_model_ran").touch()
"""


def test_a_package_that_is_not_trusted_does_not_run(tmp_path: Path) -> None:
    folder = write(tmp_path / "p", MARKER)
    write(folder, "raise SystemExit", "helper.py")
    with pytest.raises(InputError, match=r"to open it is to run package.py and its get_model\(\).*import helper.py"):
        load(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["helper.py", "package.py"]


def test_one_that_is_trusted_does(tmp_path: Path) -> None:
    load(write(tmp_path / "p", MARKER), trust=True)
    assert (tmp_path / "p" / "it_ran").exists()
    assert (tmp_path / "p" / "get_model_ran").exists()


def test_what_is_a_package(tmp_path: Path) -> None:
    assert PackageOpener.recognises(write(tmp_path / "p", AREA))
    assert not PackageOpener.recognises(tmp_path)
    assert not PackageOpener.recognises(tmp_path / "p" / "package.py")
    with pytest.raises(InputError, match=r"a folder with package\.py"):
        PackageOpener.open(tmp_path, trust=True)
    with pytest.raises(InputError, match="unknown package option 'compt'; did you mean 'compat'"):
        load(tmp_path / "p", trust=True, compt="x")


# --- what it brings in, and what is put back -----------------------------------------------------------------------


def test_nothing_of_a_package_stays_behind(tmp_path: Path) -> None:
    before, path = set(sys.modules), list(sys.path)
    source = """
        import helper_of_one
        import fiddler
        from .helper_of_one import NAME

        def get_model():
            import late_helper
            return type("Model", (), {"name": NAME + late_helper.NAME, "output_columns": ["y"]})()
    """
    folder = write(tmp_path / "p", source)
    write(folder, "NAME = 'one'", "helper_of_one.py")
    write(folder, "NAME = ' late'", "late_helper.py")
    artifact = load(folder, trust=True)
    assert artifact.model.name == "one late"
    assert sys.path == path
    left = set(sys.modules) - before
    assert not [name for name in left if name.startswith(("helper_of_one", "late_helper", "fiddler", "_pyig_package"))]


@pytest.mark.parametrize(
    "source", ["raise ValueError('no')", "def get_model():\n    raise ValueError('no')", "raise SystemExit('no')"]
)
def test_nor_after_an_exception(tmp_path: Path, source: str) -> None:
    path = list(sys.path)
    folder = write(tmp_path / "p", f"import fiddler, helper_of_two\n{source}\n")
    write(folder, "", "helper_of_two.py")
    with pytest.raises(ModelError, match=r"package\.py of .* raised (ValueError|SystemExit): no"):
        load(folder, trust=True)
    assert sys.path == path
    assert not [name for name in sys.modules if name.startswith(("fiddler", "helper_of_two", "_pyig_package"))]


def test_a_package_changed_at_once_is_read_again(tmp_path: Path) -> None:
    for number in "12":
        folder = write(tmp_path / "p", f"from helper import N\n\ndef get_model():\n    return (N, {number})\n")
        write(folder, f"N = {number}", "helper.py")
        assert load(folder, trust=True).model == (int(number), int(number))
    assert sorted(path.name for path in folder.iterdir()) == ["helper.py", "package.py"]


def test_two_packages_with_modules_of_one_name(tmp_path: Path) -> None:
    models = []
    for name in ("one", "two"):
        folder = write(
            tmp_path / name,
            """
            import helper

            def get_model():
                def late():
                    import helper
                    return helper.NAME
                return type("Model", (), {"name": helper.NAME, "late": staticmethod(late)})()
            """,
        )
        write(folder, f"NAME = {name!r}", "helper.py")
        models.append(load(folder, trust=True))
    assert [artifact.model.name for artifact in models] == ["one", "two"]
    for artifact, name in zip(models, ("one", "two"), strict=True):
        with artifact.generation._loaded.running("late()"):
            assert artifact.model.late() == name


def test_prints_of_a_package_leave_stdout_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(write(tmp_path / "p", AREA + "\n    print('hello')\n"), trust=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "hello" in captured.err


def test_a_stand_in_says_what_it_has(tmp_path: Path) -> None:
    folder = write(tmp_path / "p", "import fiddler\nfiddler.Client('url')\n")
    with pytest.raises(ModelError, match=r"fiddler\.Client is not in the stand-in"):
        load(folder, trust=True)


def test_a_helper_of_the_package_is_not_replaced(tmp_path: Path) -> None:
    folder = write(tmp_path / "p", "from .GEM import NAME\n\ndef get_model():\n    return NAME\n")
    write(folder, "NAME = 'own'", "GEM.py")
    assert load(folder, trust=True).model == "own"


def test_without_get_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"to define get_model\(\)"):
        load(write(tmp_path / "p", "model = 1"), trust=True)


# --- explaining ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rows", [ROWS, ROWS[["height", "width"]], ROWS.to_dict("list"), ROWS.to_dict("records")],
    ids=["frame", "other order", "columns", "records"],
)  # fmt: skip
def test_rows_come_in_any_form(tmp_path: Path, rows: Any) -> None:
    e = area(tmp_path).explain(rows)
    assert list(e.attributions) == ["width", "height"]
    assert np.allclose(e.attributions["width"], [5.0, 6.0], rtol=1e-5)
    assert e.inputs["height"].tolist() == [5.0, 4.0]
    assert e.meta["artifact"] == "package"


def test_a_single_row_as_a_dict(tmp_path: Path) -> None:
    assert np.allclose(area(tmp_path).explain({"width": 2, "height": 5}).attributions["height"], [5.0])


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (ROWS[["width"]], InputError, "a column 'height'; the rows have width"),
        (ROWS.iloc[:0], InputError, "at least one row"),
        (np.ones((2, 2)), InputTypeError, "as a DataFrame"),
        ({"width": [1.0, 2.0], "height": 3.0}, InputError, "'height' are no arrays"),
        (ROWS.assign(width=["a", "b"]), ModelError, "numbers in width"),
    ],
)
def test_rows_that_do_not_fit(tmp_path: Path, rows: Any, error: type[Exception], message: str) -> None:
    with pytest.raises((error, InputError), match=message):
        area(tmp_path).explain(rows)


def test_what_a_package_asks_for_is_a_default(tmp_path: Path) -> None:
    artifact = area(tmp_path)
    assert artifact.defaults == {"rtol": 0.01}
    assert artifact.explain(ROWS).meta["rtol"] == 0.01
    assert artifact.explain(ROWS, max_allowed_error=0.1).meta["rtol"] == 0.001
    assert artifact.explain(ROWS, rtol=0.05).meta["rtol"] == 0.05


def test_predict_and_describe(tmp_path: Path) -> None:
    artifact = area(tmp_path)
    assert artifact.predict(ROWS).tolist() == [[10.0], [12.0]]
    said = artifact.describe()
    assert said["contract"] == "ModelPackage"
    assert said["columns"] == ["width", "height"]
    assert said["max_allowed_error"] == 1.0


def test_a_baseline_in_the_words_of_a_row(tmp_path: Path) -> None:
    source = AREA.replace("max_allowed_error = 1", 'baseline = {"width": 1, "height": 1}')
    e = load(write(tmp_path / "p", source), trust=True).explain(ROWS)
    assert e.baselines["width"].tolist() == [1.0, 1.0]
    assert np.allclose(e.values - e.baseline_values, [9.0, 11.0])


@pytest.mark.parametrize(("numbers", "got"), [([0.5], 1), ([0.1, 0.2, 0.3], 3), (0.5, 1)])
def test_words_and_numbers_come_in_pairs(numbers: Any, got: int) -> None:
    with pytest.raises(ModelError, match=f"a number for each of the 2 words of 'text'; got {got}$"):
        read_first({"text": [["so", "good"], numbers]}, "risk")
    part = read_first({"text": [["so", "good"], [0.1, 0.2]]}, "risk")["text"]
    assert (part.values, part.attributions.tolist()) == (["so", "good"], [0.1, 0.2])


def test_a_package_with_categories(tmp_path: Path) -> None:
    source = """
        import numpy as np
        from pyig.artifacts import ModelPackage
        from pyig.projections import OneHot

        class Price(ModelPackage):
            columns, outputs, colours = ("colour", "size"), ("price",), ("red", "blue")

            def load(self):
                return lambda colour, size: colour @ [3.0, 5.0] * size[:, 0]

            def gradient(self, colour, size):
                return np.outer(size[:, 0], [3.0, 5.0]), (colour @ [3.0, 5.0])[:, None]

            def encode(self, rows):
                hot = (rows["colour"].to_numpy()[:, None] == np.array(self.colours)).astype(float)
                return {"colour": hot, "size": rows[["size"]].to_numpy(float)}

            def projections(self, rows):
                return {"colour": OneHot(self.colours)}

        def get_model():
            return Price(__file__)
    """
    artifact = load(write(tmp_path / "p", source), trust=True)
    e = artifact.explain({"colour": ["blue", "red"], "size": [2.0, 1.0]})
    assert e.inputs["colour"].tolist() == ["blue", "red"]
    assert np.allclose(e.attributions["colour"], [5.0, 1.5])
    assert not list(artifact.problems({"colour": ["blue", "red"], "size": [2.0, 1.0]}))


def test_another_file_than_the_package_knows(tmp_path: Path) -> None:
    source = "from pyig.artifacts import ModelPackage\n\ndef get_model():\n    return ModelPackage(__file__)\n"
    with pytest.raises(InputError, match="to name the file of its model"):
        load(write(tmp_path / "p", source), trust=True).predict(ROWS)


def test_a_model_that_imports_on_its_way(tmp_path: Path) -> None:
    source = AREA.replace("return x[:, ::-1]", "import helper_on_the_way\n            return helper_on_the_way.flip(x)")
    folder = write(tmp_path / "p", source)
    write(folder, "def flip(x):\n    return x[:, ::-1]\n", "helper_on_the_way.py")
    assert load(folder, trust=True).explain(ROWS).converged.all()


@pytest.mark.parametrize(("raised", "said"), [("ZeroDivisionError", "on its way"), ("MemoryError", "out of memory")])
def test_what_a_model_raises(tmp_path: Path, raised: str, said: str) -> None:
    source = AREA.replace("return x[:, ::-1]", f"raise {raised}('on its way')")
    with pytest.raises(ModelError, match=said):
        load(write(tmp_path / "p", source), trust=True).explain(ROWS)


# --- another baseline ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("baselines", "start"),
    [
        ({"width": 1, "height": 2}, 2.0),
        (pd.DataFrame({"height": [2.0], "width": [1.0]}), 2.0),
        (1.0, 1.0),
        (np.array([1.0, 2.0], np.float32), 2.0),
        (np.array([[1.0, 2.0]], np.float32), 2.0),
        ("zero", 0.0),
        (several([{"width": 0, "height": 0}, {"width": 2, "height": 1}]), 1.0),
        (several([0.0, 2.0]), 2.0),
    ],
)
@pytest.mark.parametrize("compat", [None, "fiddler"])
def test_a_baseline_of_the_call(tmp_path: Path, baselines: Any, start: float, compat: str | None) -> None:
    e = area(tmp_path).explain(ROWS, baselines=baselines, compat=compat)
    assert np.allclose(e.baseline_values, start)
    assert np.allclose(sum(e.attributions.values()), e.values - start, rtol=0.01)


def test_a_baseline_of_the_call_for_packages_with_their_own(tmp_path: Path) -> None:
    artifact = load(write(tmp_path / "p", model_packages.LINEAR_SECOND), trust=True)
    rows = {"a": [0.1], "b": [0.2], "c": [0.5]}
    same = artifact.explain(rows, target=0, baselines=rows)
    assert np.allclose(same.attributions["a"], 0)
    with pytest.raises(InputError, match="as one row, a dict of columns, for a package of generation 2; got float"):
        artifact.explain(rows, target=0, baselines=0.5)
    with pytest.raises(InputError, match="1 or 1 rows; got 2"):
        artifact.explain(rows, target=0, baselines={"a": [1.0, 2.0], "b": [1.0, 2.0], "c": [1.0, 2.0]})
