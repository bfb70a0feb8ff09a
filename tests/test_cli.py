"""The command line in-process: every subcommand, its exit status, its JSON, and errors of one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scale_files import read, write_rows
from toy_artifact import COLUMNS, Opener, write_toy

import pyig
from pyig import cli
from pyig.artifacts import OPENERS
from pyig.cli import progress
from pyig.scale import Job
from pyig.scale.account import Account

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with model.toy and rows.csv, and an opener for them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYIG_TRACEBACK", raising=False)
    OPENERS._table()  # once the entry points are read
    monkeypatch.setitem(OPENERS._rows, "toy", "toy_artifact:Opener")
    write_toy(tmp_path / "model.toy")
    write_rows(tmp_path / "rows.csv", 30)
    return tmp_path


def run(line: str, status: int = 0) -> None:
    assert cli.main(line.split()) == status


def test_explain(capsys: Capture) -> None:
    run("explain model.toy rows.csv --out a.csv --id patient")
    said, error = capsys.readouterr()
    assert said.startswith("a.csv: 30 rows explained; all converged; completeness gap at most 0.0")
    assert error == ""
    assert [row["patient"] for row in read(Path("a.csv"))] == [f"p{i}" for i in range(30)]


def test_explain_says_it_in_json(capsys: Capture) -> None:
    run("explain model.toy rows.csv --out a.parquet --json")
    said = json.loads(capsys.readouterr().out)
    assert said.pop("seconds") >= 0
    assert said.pop("worst_gap") < 1e-3
    assert said.pop("n_evals") >= 150
    assert said == {
        "out": "a.parquet", "rows": 30, "done": 30, "resumed": 0, "explained": 30, "faulty": 0, "results": 30,
        "converged": 30,
    }  # fmt: skip


def test_quiet_is_quiet(capsys: Capture) -> None:
    run("explain model.toy rows.csv --out a.csv --quiet --progress")
    assert capsys.readouterr() == ("", "")


def test_options_reach_the_explainer(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("two.csv").write_text(",".join(COLUMNS) + "\n1,2,3,4\n5,6,7,8\n")
    jobs: list[Job] = []
    monkeypatch.setattr(Job, "run", lambda self, progress: jobs.append(self) or Account())
    line = "explain model.toy rows.csv --out a.csv --quiet --seed 3 --chunk 7 --on-error mark --restart "
    run(line + "--target risk --value log_odds --method simpson --n-steps 9 --rtol 0.1 --max-evals 99 --batch-size 8")
    run(line + "--target 1 --baseline 0.5 --columns age,chol --text chol --with refuses=19 --with note=x --signature s")
    run(line + "--target 1,2 --baseline noise")
    run(line + "--target top2 --baseline two.csv")
    first, second, third, fourth = jobs
    assert first.options == {
        "value": "log_odds", "method": "simpson", "n_steps": 9, "rtol": 0.1, "max_evals": 99, "batch_size": 8,
    }  # fmt: skip
    assert (first.target, second.target, third.target, fourth.target) == ("risk", 1, (1, 2), "top2")
    assert (first.seed, first.chunk, first.on_error, first.restart) == (3, 7, "mark", True)
    assert (second.options, third.options) == ({"baselines": 0.5}, {"baselines": "noise"})
    assert (second.columns, second.text) == (["age", "chol"], ["chol"])
    assert second.opened == {"kind": "toy", "signature": "s", "refuses": 19, "note": "x"}
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in ((1, 2, 3, 4), (5, 6, 7, 8))]
    assert fourth.options["baselines"].items == rows


def test_a_file_of_baselines_may_have_the_id_column_too(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("b.csv").write_text("patient,age,chol\np7,1,2\n")  # not all columns: then every one of the file is read
    jobs: list[Job] = []
    monkeypatch.setattr(Job, "run", lambda self, progress: jobs.append(self) or Account())
    run("explain model.toy rows.csv --out a.csv --quiet --id patient --baseline b.csv")
    run("explain model.toy rows.csv --out a.csv --quiet --baseline b.csv")
    named, other = (set(job.options["baselines"]) for job in jobs)
    assert (named, other) == ({"age", "chol"}, {"patient", "age", "chol"})


def test_baselines_of_a_file_are_part_of_the_job(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("b.csv").write_text(",".join(COLUMNS) + "\n1,2,3,4\n5,6,7,8\n")
    toy = Opener.open(Path("model.toy"))
    job = Job(artifact=toy, rows="rows.csv", out="a.csv", options={"baselines": pyig.several([{"age": 1}, {"age": 2}])})
    assert job._fingerprint(8)["options"] == {"baselines": [{"age": 1}, {"age": 2}]}
    assert json.loads(json.dumps(job._fingerprint(8))) == job._fingerprint(8)


def test_rows_with_problems(capsys: Capture) -> None:
    write_rows(Path("rows.csv"), 9, {4: "p4,,200,150,1.0"})
    run("explain model.toy rows.csv --out a.csv", 1)
    assert "row 4, column 'age': expected a whole number; the cell is missing" in capsys.readouterr().err
    assert not Path("a.csv").exists()
    run("explain model.toy rows.csv --out a.csv --on-error mark")
    assert "8 rows explained; 1 with problems" in capsys.readouterr().out
    run("explain model.toy rows.csv --out a.csv --on-error skip")
    assert len(read(Path("a.csv"))) == 8


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("explain nothing.keras rows.csv --out a.csv", "'nothing.keras' does not exist"),
        ("explain rows.csv rows.csv --out a.csv", "expected a .keras, .h5"),
        ("explain model.toy nothing.csv --out a.csv", "'nothing.csv' is not there"),
        ("explain model.toy rows.csv --out a.doc", "expected an output that ends in"),
        ("explain model.toy rows.csv --out a.csv --method simpsn", "did you mean 'simpson'"),
        ("explain model.toy rows.csv --out a.csv --id patent", "did you mean 'patient'"),
        ("explain model.toy rows.csv --out a.csv --columns age,sexx", "'sexx' in rows.csv"),
        ("explain model.toy rows.csv --out a.csv --kind kears", "did you mean 'keras'"),
        ("explain model.toy rows.csv --out a.csv --rtol 3", "expected rtol= between 0 and 1"),
        ("explain model.toy rows.csv --out a.csv --baseline nois", "did you mean 'noise'"),
        ("report model.toy", "expected rows to explain, or a saved explanation"),
        ("report nothing.npz", "nothing.npz: No such file or directory"),
        ("report model.toy rows.csv --out no/where.html", "No such file or directory"),
        ("info nothing", "'nothing' does not exist"),
        ("metadata init nothing", "'nothing' does not exist"),
        ("metadata init rows.csv", "expected a SavedModel directory, or a .keras"),
    ],
)
def test_errors_are_one_line_and_no_traceback(line: str, sentence: str, capsys: Capture) -> None:
    run(line, 1)
    said, error = capsys.readouterr()
    assert said == ""
    assert error.startswith("pyig: ")
    assert error.count("\n") == 1
    assert sentence in error
    assert sorted(path.name for path in Path().iterdir()) == ["model.toy", "rows.csv"]


def test_errors_in_json(capsys: Capture) -> None:
    run("explain model.toy rows.csv --out a.doc --json", 1)
    said, error = capsys.readouterr()
    assert json.loads(said)["error"] == "InputError"
    assert json.loads(said)["message"] in error


def test_an_error_that_nobody_foresaw(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(Opener, "open", fail)
    run("info model.toy", 1)
    assert capsys.readouterr().err == "pyig: ZeroDivisionError: by nothing (PYIG_TRACEBACK=1 shows where)\n"
    monkeypatch.setenv("PYIG_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        cli.main(["info", "model.toy"])


def test_a_full_disk(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device", "a.csv.parts/000000.npz")

    monkeypatch.setattr(np, "savez", full)
    run("explain model.toy rows.csv --out a.csv", 1)
    assert "a.csv.parts/000000.npz: No space left on device. Make room" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        "",
        "explain",
        "explain model.toy rows.csv",
        "explain model.toy rows.csv --out a.csv --chunk 0",
        "explain model.toy rows.csv --out a.csv --n-steps many",
        "explain model.toy rows.csv --out a.csv --on-error ignore",
        "explain model.toy rows.csv --out a.csv --with layer",
        "explan model.toy",
        "metadata",
        "metadata inti model",
        "validate",
    ],
)
def test_a_line_that_cannot_be_read(line: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(line.split())
    assert "usage: pyig" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["explain", "report", "validate", "info", "metadata init"])
def test_help_has_examples(command: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main([*command.split(), "--help"])
    said = capsys.readouterr().out
    assert f"examples:\n  pyig {command}" in said


def test_exit_status_is_explained(capsys: Capture) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--help"])
    said = capsys.readouterr().out
    assert all(status in said for status in ("  0    done", "  1    an error", "  2    ", "  130  interrupted"))


def test_info_of_an_artifact(capsys: Capture) -> None:
    run("info model.toy")
    said = capsys.readouterr().out
    assert "columns: age, chol, thalach, oldpeak\noutputs: risk\n" in said
    assert "  age: dtype float64, differentiable True\n" in said
    run("info model.toy --json")
    assert json.loads(capsys.readouterr().out)["inputs"]["age"] == {"dtype": "float64", "differentiable": True}


def test_info_of_the_installation_in_json(capsys: Capture) -> None:
    run("info --json")
    said = json.loads(capsys.readouterr().out)
    assert said["packages"]["numpy"] == np.__version__
    assert said["isa"] in said["isas"]


def test_validate(capsys: Capture) -> None:
    run("validate model.toy")
    said = capsys.readouterr().out
    assert said.splitlines() == [
        "warning: rows: expected real rows; got none. Pass a file of rows.",
        "model.toy: 0 errors, 1 warning",
    ]
    run("validate model.toy rows.csv")
    assert capsys.readouterr().out == "model.toy: 0 errors, 0 warnings\n"


def test_validate_finds_problems_and_cures(capsys: Capture) -> None:
    write_toy(Path("model.toy"), broken=True)
    run("validate model.toy --json", 1)
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is False
    assert said["problems"][0] == {
        "level": "error", "where": "weights", "what": "expected 4 weights; got 3", "cure": "Write one per column.",
    }  # fmt: skip
    run("validate rows.csv", 1)
    assert "rows.csv: 1 error, 0 warnings" in capsys.readouterr().out


def test_validate_tries_real_rows(capsys: Capture) -> None:
    write_rows(Path("rows.csv"), 9, {4: "p4,,200,150,1.0"})
    run("validate model.toy rows.csv", 1)
    said = capsys.readouterr().out
    assert "error: rows.csv, row 4, age: expected a whole number; the cell is missing. Correct the row" in said
    write_rows(Path("rows.csv"), 200, {150: "p4,999,200,150,1.0"})
    run("validate model.toy rows.csv")
    run("validate model.toy rows.csv --limit 200", 1)
    assert "error: age: expected at most 150; got more. Correct the rows." in capsys.readouterr().out


def test_report(capsys: Capture) -> None:
    run("report model.toy rows.csv --out r.html --limit 12 --samples 2 --title Hearts")
    said = capsys.readouterr().out
    assert said.startswith("r.html: 12 rows (18 more in the file: --limit); converged")
    page = Path("r.html").read_text()
    assert "<title>Hearts</title>" in page
    assert all(name in page for name in COLUMNS)
    assert "10 more samples not shown in detail" in page
    run("report model.toy rows.csv --json")
    assert json.loads(capsys.readouterr().out)["rows"] == 30
    assert Path("report.html").exists()


def test_report_of_a_saved_explanation(capsys: Capture) -> None:
    table = {name: np.arange(5.0) for name in COLUMNS}
    Opener.open(Path("model.toy")).explain(table, progress=False).save("e.npz")
    run("report e.npz --out r.html")
    assert "r.html: 5 rows; converged" in capsys.readouterr().out


def test_report_leaves_broken_rows_out(capsys: Capture) -> None:
    write_rows(Path("rows.csv"), 9, {4: "p4,,200,150,1.0"})
    run("report model.toy rows.csv")
    said = capsys.readouterr().out
    assert "left out: row 4, column 'age'" in said
    assert "report.html: 8 rows" in said
    Path("rows.csv").write_text(",".join(COLUMNS) + "\n,1,1,1\n,2,2,2\n")
    run("report model.toy rows.csv", 1)
    assert "expected a row that can be explained" in capsys.readouterr().err


def test_interrupted(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: Any, done: float, account: Account) -> None:
        if account.done == 20:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(progress.Bar, "__call__", stop)
        run("explain model.toy rows.csv --out a.csv --chunk 10", 130)
    said, error = capsys.readouterr()
    assert said == ""
    assert error == (
        "pyig: interrupted; what is finished is kept in a.csv.parts: run the same command again to go on\n"
    )
    run("explain model.toy rows.csv --out a.csv --chunk 11", 1)
    assert "since then changed: chunk (10, now 11)" in capsys.readouterr().err
    run("explain model.toy rows.csv --out a.csv --chunk 10")
    assert "20 rows were there from before" in capsys.readouterr().out


class Terminal:
    """What stderr is when somebody watches."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("tqdm", [True, False])
def test_a_bar_on_a_terminal(tqdm: bool, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    if not tqdm:
        monkeypatch.setitem(__import__("sys").modules, "tqdm", None)
    run("explain model.toy rows.csv --out a.csv --chunk 10")
    last = screen.text.split("\r")[-1]
    assert "a.csv: " in last
    assert "30/30" in last
    assert "gap 0.0" in last
    assert ("row/s" in last) == tqdm


def test_no_bar_where_nobody_watches(capsys: Capture) -> None:
    run("explain model.toy rows.csv --out a.csv --chunk 10")
    assert capsys.readouterr().err == ""
    run("explain model.toy rows.csv --out a.csv --chunk 10 --progress")
    assert "30/30" in capsys.readouterr().err


def test_the_rows_that_missed_the_tolerance_are_counted(capsys: Capture) -> None:
    run("explain model.toy rows.csv --out a.csv --rtol 1e-9 --max-evals 5")
    said = capsys.readouterr().out
    assert " of 30 results not converged" in said
    assert "all converged" not in said
