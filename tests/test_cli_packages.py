"""Model packages and torch files through the command line: nothing of theirs runs that is not trusted."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_packages import AREA, LINEAR_SECOND, write
from scale_files import Stop, after, read

from pyig import artifacts, cli
from pyig.scale import Job


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_rows(names: tuple[str, ...], count: int = 40) -> np.ndarray:
    x = np.random.default_rng(2).integers(1, 9, (count, len(names))) / 2
    lines = [",".join(names), *(",".join(map(str, row)) for row in x.tolist())]
    Path("rows.csv").write_text("\n".join(lines) + "\n")
    return x


def test_a_package_runs_only_when_it_is_trusted(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(here / "package", AREA + "\n    open('ran', 'w').close()\n")
    write_rows(("width", "height"))
    for line in (
        ["explain", str(folder), "rows.csv", "--out", "a.csv"],
        ["info", str(folder)],
        ["report", str(folder), "rows.csv"],
    ):
        assert cli.main(line) == 1
        assert "--trust" in capsys.readouterr().err
    assert cli.main(["validate", str(folder)]) == 1
    assert "--trust" in capsys.readouterr().out
    assert not Path("ran").exists()
    assert cli.main(["explain", str(folder), "rows.csv", "--out", "a.csv", "--trust"]) == 0
    assert Path("ran").exists()


def test_ten_lines_of_package_from_rows_to_attributions(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(here / "package", AREA)
    x = write_rows(("width", "height"))
    assert cli.main(["explain", str(folder), "rows.csv", "--out", "a.jsonl", "--trust", "--chunk", "7"]) == 0
    found = read(Path("a.jsonl"))
    area = x[:, 0] * x[:, 1]
    np.testing.assert_allclose([row["prediction"] for row in found], area, rtol=1e-6)
    for name in ("width", "height"):
        np.testing.assert_allclose([row[f"attribution.{name}"] for row in found], area / 2, rtol=0.01)
    capsys.readouterr()
    assert cli.main(["validate", str(folder), "rows.csv", "--trust", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


def test_an_old_package_of_two_outputs_in_pieces(here: Path) -> None:
    """It computes its own gradients, and its compatibility with a published schedule is by its own settings."""
    folder = write(here / "package", LINEAR_SECOND)
    write_rows(("a", "b", "c"))
    artifact = artifacts.load(folder, trust=True)
    options: dict[str, Any] = {"artifact": artifact, "rows": "rows.csv", "chunk": 6, "target": "high"}
    Job(**options, out="whole.csv").run()
    with pytest.raises(Stop):
        Job(**options, out="pieces.csv").run(after(3))
    assert Job(**options | {"artifact": artifacts.load(folder, trust=True)}, out="pieces.csv").run().resumed == 18
    assert Path("pieces.csv").read_bytes() == Path("whole.csv").read_bytes()
    for row in read(Path("whole.csv")):
        total = row["attribution.a"] + row["attribution.b"] + row["attribution.c"]
        assert abs(total - row["prediction"] + row["baseline_prediction"]) < 0.02
        assert row["target"] in ("high", 1)


def test_a_torch_program(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is old, and its files are still there
        torch.jit.script(net).save("net.pt")
    x = write_rows(("a", "b", "c"))
    assert cli.main(["explain", "net.pt", "rows.csv", "--out", "a.csv", "--target", "1"]) == 0, capsys.readouterr().err
    with torch.no_grad():
        truth = net(torch.tensor(x, dtype=torch.float32))[:, 1].tolist()
    np.testing.assert_allclose([row["prediction"] for row in read(Path("a.csv"))], truth, atol=1e-5)
