"""What a job refuses, and what becomes of rows that cannot be explained: each is named, none is lost."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from scale_files import OUTPUTS, read, write_rows
from toy_artifact import COLUMNS, Opener, Toy, write_toy

from pyig.errors import InputError, ModelError
from pyig.scale import Job
from pyig.scale.account import Account


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Opener.open(write_toy(tmp_path / "model.toy"))


FAULTY = {3: "p3,old,200,150,1.0", 12: "p12,50,,150,1.0", 13: "p13,50,200", 24: "p24,55,inf,,1.0"}


def test_faults_stop_a_job_before_it_begins(toy: Toy, tmp_path: Path) -> None:
    write_rows(tmp_path / "r.csv", 30, FAULTY)
    with pytest.raises(
        InputError, match="row 3, column 'age': expected a whole number, as in most rows; got 'old'"
    ) as caught:
        Job(artifact=toy, rows=tmp_path / "r.csv", out=tmp_path / "a.csv", chunk=10).run()
    for place in ("row 12, column 'chol'", "row 13: expected 5 cells; got 3", "row 24, column 'thalach'", "--on-error"):
        assert place in str(caught.value)
    assert toy.calls == 0


@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.parametrize("on_error", ["skip", "mark"])
def test_faulty_rows_are_left_out_or_marked(kind: str, on_error: str, toy: Toy, tmp_path: Path) -> None:
    write_rows(tmp_path / "r.csv", 30, FAULTY)
    out = tmp_path / f"a{kind}"
    job = Job(artifact=toy, rows=tmp_path / "r.csv", out=out, chunk=3, on_error=on_error, id_column="patient")
    account = job.run()
    assert (account.done, account.explained, account.faulty) == (30, 26, 4)
    found = read(out)
    if on_error == "skip":
        assert [row["row"] for row in found] == [i for i in range(30) if i not in FAULTY]
        assert "problem" not in found[0]
        return
    assert [row["row"] for row in found] == list(range(30))
    for row in found:
        marked = row["row"] in FAULTY
        assert (row["problem"] is not None) == marked
        assert (row["prediction"] is None) == marked
        assert (row["converged"] is None) == marked
    assert found[24]["problem"].startswith("column 'chol': expected")
    assert "column 'thalach'" in found[24]["problem"]
    assert found[12]["patient"] == "p12"


def test_the_row_that_the_model_fails_on_is_named(tmp_path: Path) -> None:
    x = write_rows(tmp_path / "r.csv", 40, {17: "p17,19,200,150,1.0", 33: "p33,19,200,150,1.0"})
    toy = Opener.open(write_toy(tmp_path / "model.toy", refuses=19))
    options: dict[str, Any] = {"artifact": toy, "rows": tmp_path / "r.csv", "chunk": 16}
    assert not (x[:, 0] == 19).any()
    with pytest.raises(ModelError, match="row 17: ZeroDivisionError: the model divides by age"):
        Job(**options, out=tmp_path / "a.csv").run()
    account = Job(**options, out=tmp_path / "b.csv", on_error="mark").run()
    assert (account.explained, account.faulty) == (38, 2)
    marked = {row["row"]: row["problem"] for row in read(tmp_path / "b.csv") if row["problem"]}
    assert marked == dict.fromkeys((17, 33), "ZeroDivisionError: the model divides by age")


@pytest.mark.parametrize("on_error", ["raise", "skip", "mark"])
def test_an_error_of_every_row_is_no_fault_of_the_rows(on_error: str, toy: Toy, tmp_path: Path) -> None:
    write_rows(tmp_path / "r.csv", 30)
    with pytest.raises(InputError, match=r"^unknown method 'simpsons'; did you mean 'simpson'"):
        Job(
            artifact=toy, rows=tmp_path / "r.csv", out=tmp_path / "a.csv", on_error=on_error,
            options={"method": "simpsons"},
        ).run()  # fmt: skip
    assert toy.calls <= 3


@pytest.mark.parametrize(
    ("out", "sentence"),
    [
        ("a.xlsx", "expected an output that ends in .csv"),
        ("nowhere/a.csv", "expected an output in a folder that is there"),
        ("r.csv", "expected an output of its own"),
        ("file/a.csv", "expected an output in a folder that is there"),
    ],
)
def test_an_output_that_cannot_be_is_refused_first(out: str, sentence: str, toy: Toy, tmp_path: Path) -> None:
    write_rows(tmp_path / "r.csv", 5)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=sentence.replace(".", r"\.")):
        Job(artifact=toy, rows=tmp_path / "r.csv", out=tmp_path / out).run()
    assert toy.calls == 0


def test_other_peoples_files_are_left_alone(toy: Toy, tmp_path: Path) -> None:
    write_rows(tmp_path / "r.csv", 5)
    (tmp_path / "a.csv.parts").mkdir()
    (tmp_path / "a.csv.parts" / "thesis.doc").write_text("years of work")
    with pytest.raises(InputError, match=r"found 'thesis\.doc'"):
        Job(artifact=toy, rows=tmp_path / "r.csv", out=tmp_path / "a.csv", restart=True).run()
    assert (tmp_path / "a.csv.parts" / "thesis.doc").read_text() == "years of work"


def test_rows_that_change_meanwhile_are_noticed(toy: Toy, tmp_path: Path) -> None:
    write_rows(tmp_path / "r.csv", 30)

    def touch(done: float, account: Account) -> None:
        os.utime(tmp_path / "r.csv", ns=(1, int(done) + 1))

    with pytest.raises(InputError, match="to stay as it is"):
        Job(artifact=toy, rows=tmp_path / "r.csv", out=tmp_path / "a.csv", chunk=10).run(touch)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"on_error": "ignore"}, "unknown on_error"),
        ({"chunk": 0}, "expected chunk="),
        ({"chunk": "big"}, "expected chunk="),
        ({"id_column": "patent"}, "did you mean 'patient'|Did you mean 'patient'"),
        ({"id_column": "age"}, None),
        ({"options": {"baselines": "mean"}}, "does not depend on which rows are read together"),
    ],
)
def test_options_are_checked(change: dict[str, Any], sentence: str | None, toy: Toy, tmp_path: Path) -> None:
    write_rows(tmp_path / "r.csv", 5)
    job = Job(**{"artifact": toy, "rows": tmp_path / "r.csv", "out": tmp_path / "a.csv"} | change)
    if sentence is None:
        assert job.run().explained == 5
        return
    with pytest.raises(InputError, match=sentence):
        job.run()
    assert toy.calls == 0


def test_an_id_with_the_name_of_a_result_is_refused(toy: Toy, tmp_path: Path) -> None:
    write_rows(tmp_path / "r.csv", 5)
    (tmp_path / "r.csv").write_text((tmp_path / "r.csv").read_text().replace("patient", "target"))
    with pytest.raises(InputError, match="'target' is a column of the results"):
        Job(artifact=toy, rows=tmp_path / "r.csv", out=tmp_path / "a.csv", id_column="target").run()


def test_columns_by_choice(tmp_path: Path) -> None:
    """An artifact that takes a vector may not know what its columns are called."""
    x = write_rows(tmp_path / "r.csv", 6)
    toy = Opener.open(write_toy(tmp_path / "model.toy"))
    given: list[list[str]] = []
    explain = toy.explain
    toy.explain = lambda rows, **options: given.append(list(rows)) or explain(rows, **options)  # type: ignore[method-assign]
    toy.columns = ("inputs",)  # type: ignore[assignment]
    options: dict[str, Any] = {"artifact": toy, "rows": tmp_path / "r.csv", "out": tmp_path / "a.csv"}
    with pytest.raises(ModelError, match="KeyError: 'inputs'"):
        Job(**options).run()
    assert given[0] == ["patient", *COLUMNS]  # one is not there: the artifact gets all, and says what it lacks
    with pytest.raises(ModelError, match="KeyError: 'inputs'"):
        Job(**options, id_column="patient", restart=True).run()
    assert given[-1] == list(COLUMNS)
    with pytest.raises(ModelError, match="KeyError"):
        Job(**options, columns=["chol", "age"], restart=True).run()
    assert given[-1] == ["chol", "age"]
    assert len(x) == 6
