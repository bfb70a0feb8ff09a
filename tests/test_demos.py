"""The demo: the table is read as it is, the printed account adds up, and bad options are refused before any work."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pyig import cli
from pyig.demos import choose_trainer, table
from pyig.errors import InputError

FRAMEWORKS = ["torch", "tensorflow"]


def test_every_patient_is_in_one_part() -> None:
    train, test = table.read()
    assert len(train.y) + len(test.y) == 303
    assert int(train.y.sum() + test.y.sum()) == 139
    assert np.isfinite(train.x).all()
    assert np.isfinite(test.x).all()
    together = np.concatenate([train.x, test.x])
    assert together[:, train.names.index("age")].sum() == 16495


def test_one_hot_columns_of_a_text_add_up_to_one() -> None:
    train, test = table.read()
    assert train.names == test.names
    for text in table.TEXTS:
        columns = [i for i, name in enumerate(train.names) if name.startswith(text + "=")]
        assert len(columns) > 2
        assert set(train.x[:, columns].sum(axis=1)) == {1.0}
        assert set(test.x[:, columns].sum(axis=1)) == {1.0}


def test_the_split_follows_its_seed() -> None:
    first, again, other = (table.read(seed=seed)[1] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.x, again.x)
    assert not np.array_equal(first.x, other.x)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("age", 63.0, "age 63"),
        ("oldpeak", 2.3, "oldpeak 2.3"),
        ("cp=asymptomatic", 1.0, "cp=asymptomatic"),
        ("cp=asymptomatic", 0.0, "not cp=asymptomatic"),
    ],
)
def test_a_cell_in_words(name: str, value: float, words: str) -> None:
    assert table.describe(name, value) == words


def test_every_column_has_a_meaning() -> None:
    assert {name.split("=")[0] for name in table.read()[0].names} == set(table.MEANINGS)


@pytest.mark.slow
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_patients(framework: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.html"
    assert cli.main(["demo", "--framework", framework, "--report", str(report), "--rows", "5"]) == 0
    said = capsys.readouterr().out
    rows = re.findall(r"^ +(\d+)  (ill|healthy) +([01]\.\d\d)  (.*?) +([+-]\de-\d\d)$", said, re.MULTILINE)
    assert [int(row[0]) for row in rows] == [0, 1, 2, 3, 4]
    assert all(abs(float(row[-1])) <= 0.01 for row in rows)
    judged = re.search(r"judges (\d+) of the 76", said)
    assert judged
    assert int(judged[1]) >= 53  # 7 in 10; always saying "healthy" makes 44
    page = report.read_text(encoding="utf-8")
    assert "Sample 75" in page
    assert "not shown in detail" not in page
    assert "<script" not in page


@pytest.mark.slow
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_digits(framework: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "digits.html"
    assert cli.main(["demo", "--image", "--framework", framework, "--report", str(report)]) == 0
    said = capsys.readouterr().out
    rows = re.findall(r"^ +(\d) +\d +(\S+) +(\S+) +(\S+) +(\S+)$", said, re.MULTILINE)
    assert [row[0] for row in rows] == list("0123456789")
    for _, score, black, total, gap in rows:
        assert abs(float(total) - float(gap) - (float(score) - float(black))) < 0.02  # three roundings to two decimals
        assert abs(float(gap)) < 0.2
    assert "data:image/png" in report.read_text(encoding="utf-8")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_same_seed_gives_the_same_network(framework: str) -> None:
    trainer, (train, test) = choose_trainer(framework), table.read()
    first, again, other = (trainer.predict(trainer.risk(train.x, train.y, seed), test.x) for seed in (0, 0, 7))
    np.testing.assert_allclose(first, again, atol=1e-5)
    assert np.abs(first - other).max() > 0.01


def test_global_generators_are_left_alone() -> None:
    import torch

    train, _ = table.read()
    before, numpy_before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    threads = torch.get_num_threads()
    choose_trainer("torch").risk(train.x, train.y, 0)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


def test_an_unknown_framework_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'torch'"):
        choose_trainer("torc")


@pytest.mark.parametrize("arguments", [["demo", "--rows", "-1"], ["demo", "--framework", "jax"], ["demo", "--no"], []])
def test_bad_options_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments)
    assert "usage: pyig" in capsys.readouterr().err


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    code = "import sys, pyig.cli; sys.exit(pyig.cli.main(['info']))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, timeout=60
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^pyig \d+\.\d+\.\d+, Python 3\.", said)
    assert re.search(r"instruction set: \w+ \(available: baseline", said)
    assert re.search(r"numpy +\d", said)
