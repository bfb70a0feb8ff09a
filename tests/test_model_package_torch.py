"""A torch package in ten lines: weights without pickle, rows in, features out."""

from __future__ import annotations

from pathlib import Path

import model_packages
import numpy as np
import pandas as pd
import pytest
from model_packages import COLUMNS, write

from pyig import IntegratedGradients
from pyig.artifacts import load

torch = pytest.importorskip("torch")
ROWS = pd.DataFrame(np.random.default_rng(0).normal(size=(5, 9)), columns=list(COLUMNS))


def net() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(9, 8), torch.nn.Tanh(), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = model_packages.TORCH % (COLUMNS,)
    place = write(tmp_path / "heart", source.replace("torch.nn.Tanh()", "torch.nn.Tanh(), torch.nn.Dropout(0.5)"))
    torch.save(net().state_dict(), place / "net.pt")
    return place


def test_ten_lines() -> None:
    lines = [line for line in model_packages.TORCH.splitlines() if line.strip()]
    assert len(lines) - 3 <= 10  # but for the imports and get_model's own two lines


def test_a_torch_package(folder: Path) -> None:
    artifact = load(folder, trust=True)
    e = artifact.explain(ROWS)
    direct = IntegratedGradients(net().eval()).explain(ROWS.to_numpy(np.float32), rtol=1e-4)
    assert list(e.attributions) == list(COLUMNS)
    assert np.allclose(np.stack(list(e.attributions.values()), axis=1), direct.attributions, atol=5e-3)
    assert e.converged.all()
    assert e.meta["rtol"] == 0.01
    assert e.meta["backend"] == "torch"
    assert np.allclose(artifact.predict(ROWS)[:, 0], e.values, atol=1e-6)


def test_its_dropout_is_off(folder: Path) -> None:
    artifact = load(folder, trust=True)
    assert np.array_equal(artifact.predict(ROWS), artifact.predict(ROWS))
    assert list(artifact.problems(ROWS)) == []


def test_its_published_steps(folder: Path) -> None:
    e = load(folder, trust=True).explain(ROWS, compat="fiddler")
    assert all(e.meta["met"])
    assert set(e.meta["steps"]) <= {20, 120}
