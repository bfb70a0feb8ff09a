"""Jobs in processes of their own: killed, interrupted, without room, without packages; what comes out is the same."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scale_files import OUTPUTS, read, write_rows
from shells_cli import CODE, environment, plugin, pyig, start, stop_after
from test_without import BLOCK
from toy_artifact import write_toy

LINE = ["explain", "model.toy", "rows.csv", "--kind", "toy", "--id", "patient"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_toy(tmp_path / "model.toy", slow=0.01)  # so that there is a moment to be killed in
    write_rows(tmp_path / "rows.csv", 2_000)
    return tmp_path


def test_explain(folder: Path) -> None:
    done = pyig([*LINE, "--out", "a.csv"], folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("a.csv: 2000 rows explained; all converged")
    assert len(read(folder / "a.csv")) == 2_000


@pytest.mark.parametrize("kind", OUTPUTS)
def test_killed_and_resumed_is_uninterrupted(kind: str, folder: Path) -> None:
    line = [*LINE, "--chunk", "40", "--baseline", "noise", "--quiet"]
    assert pyig([*line, "--out", f"whole{kind}"], folder).returncode == 0
    out = folder / f"pieces{kind}"
    for parts in (3, 17):
        process = start([*line, "--out", out.name], folder)
        stop_after(parts, process, folder / f"{out.name}.parts", signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        assert not out.exists()
    done = pyig([*line[:-1], "--out", out.name, "--json"], folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["resumed"] >= 17 * 40
    assert out.read_bytes() == (folder / f"whole{kind}").read_bytes()
    assert sorted(path.name for path in folder.iterdir() if "parts" in path.name) == []


def test_ctrl_c_says_how_to_go_on(folder: Path) -> None:
    line = [*LINE, "--chunk", "40", "--out", "a.csv"]
    process = start(line, folder)
    said, error = stop_after(2, process, folder / "a.csv.parts", signal.SIGINT)
    assert process.returncode == 130
    assert said == ""
    assert error == "pyig: interrupted; what is finished is kept in a.csv.parts: run the same command again to go on\n"
    changed = pyig([*line, "--rtol", "0.001"], folder)
    assert changed.returncode == 1
    assert "since then changed: options rtol (none, now 0.001)" in changed.stderr
    done = pyig(line, folder)
    assert done.returncode == 0
    assert "rows were there from before" in done.stdout
    assert pyig([*LINE, "--chunk", "40", "--out", "b.csv"], folder).returncode == 0
    assert (folder / "a.csv").read_bytes() == (folder / "b.csv").read_bytes()


def test_a_file_that_may_not_grow(folder: Path) -> None:
    """The nearest to a full disk that a test can have: the system ends every file at 60 kB."""
    line = [*LINE, "--chunk", "400", "--out", "a.csv"]
    code = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)); {CODE}"
    done = subprocess.run(
        [sys.executable, "-c", code, *line], cwd=folder, env=environment(folder), capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "File too large. Make room, and run the same command again" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "a.csv").exists()
    assert len(list((folder / "a.csv.parts").glob("*.npz"))) == 5  # the parts had room, the whole had none
    again = pyig([*line, "--json"], folder)
    assert json.loads(again.stdout)["resumed"] == 2_000
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 60_000


@pytest.mark.slow
def test_a_hundred_thousand_rows(tmp_path: Path) -> None:
    write_toy(tmp_path / "model.toy")
    rng = np.random.default_rng(1)
    table = np.stack([rng.integers(20, 80, 100_000), rng.integers(100, 400, 100_000),
                      rng.integers(90, 200, 100_000), rng.integers(0, 40, 100_000)], axis=1)  # fmt: skip
    lines = "\n".join(map(",".join, table.astype(str).tolist()))
    (tmp_path / "rows.csv").write_text(f"age,chol,thalach,oldpeak\n{lines}\n")
    line = ["explain", "model.toy", "rows.csv", "--kind", "toy"]
    whole = pyig([*line, "--out", "whole.parquet", "--json"], tmp_path)
    assert json.loads(whole.stdout)["explained"] == 100_000
    process = start([*line, "--out", "pieces.parquet"], tmp_path)
    stop_after(8, process, tmp_path / "pieces.parquet.parts", signal.SIGKILL)
    done = pyig([*line, "--out", "pieces.parquet", "--json"], tmp_path)
    assert 8 * 4096 <= json.loads(done.stdout)["resumed"] < 100_000
    assert (tmp_path / "pieces.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def without(package: str, line: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    code = f"{BLOCK.format(absent=[package])}\n{CODE}"
    return subprocess.run(
        [sys.executable, "-c", code, *line],
        cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_without_pyarrow(folder: Path) -> None:
    done = without("pyarrow", [*LINE, "--out", "a.parquet"], folder)
    assert done.returncode == 1
    assert "needs pyarrow" in done.stderr
    assert 'pip install "pyig-explain[scale]"' in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (folder / "a.parquet.parts").exists()
    assert without("pyarrow", [*LINE, "--out", "a.csv"], folder).returncode == 0
    (folder / "rows.parquet").write_bytes(b"PAR1")
    lacking = without("pyarrow", ["explain", "model.toy", "rows.parquet", "--kind", "toy", "--out", "b.csv"], folder)
    assert "needs pyarrow" in lacking.stderr


@pytest.mark.parametrize("package", ["pandas", "tqdm", "matplotlib"])
def test_without_what_is_not_needed(package: str, folder: Path) -> None:
    done = without(package, [*LINE, "--out", "a.csv", "--progress"], folder)
    assert done.returncode == 0, done.stderr
    assert "2000" in done.stderr
    assert without(package, ["report", "model.toy", "rows.csv", "--kind", "toy"], folder).returncode == 0


@pytest.mark.parametrize(
    ("line", "status", "sentence"),
    [
        ("info model.toy --kind toy", 0, "kind: toy"),
        ("validate model.toy rows.csv --kind toy", 0, "0 errors"),
        ("report model.toy rows.csv --kind toy --out r.html", 0, "r.html: 100 rows (1900 more"),
        ("validate rows.csv", 1, "1 error"),
        ("info", 0, "instruction set"),
        ("--version", 0, "pyig "),
    ],
)
def test_the_other_commands(line: str, status: int, sentence: str, folder: Path) -> None:
    done = pyig(line.split(), folder)
    assert done.returncode == status, done.stderr
    assert sentence in done.stdout


def test_a_third_partys_kind_is_found_by_its_path(folder: Path) -> None:
    assert plugin(folder).exists()
    assert "kind: toy" in pyig(["info", "model.toy"], folder).stdout
