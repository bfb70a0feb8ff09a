"""Real files through the command line, as a process: what a user of Keras, of SavedModels and of torch types."""

from __future__ import annotations

import csv
import json
import signal
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scale_files import read
from shells_cli import pyig, start, stop_after

from pyig.demos import table

COLUMNS = ["age", "sex", "trestbps", "chol", "fbs", "thalach", "exang", "oldpeak", "slope"]
DATA = Path(table.__file__).parents[1] / "data" / "heart_disease.csv"


@pytest.fixture(scope="module")
def hearts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The heart model of the tutorials: a .keras with named inputs, a .h5 with one vector, an export; and patients."""
    folder = tmp_path_factory.mktemp("hearts")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Keras, about its own copies
        make(folder)
    return folder


def make(folder: Path) -> None:
    import keras

    rows = list(csv.DictReader(DATA.read_text().splitlines()))
    x = np.array([[float(row[name]) for name in COLUMNS] for row in rows], dtype=np.float32)
    keras.utils.set_random_seed(0)
    scale = keras.layers.Rescaling(1 / x.std(axis=0), -x.mean(axis=0) / x.std(axis=0))
    dense = [keras.layers.Dense(12, activation="tanh"), keras.layers.Dense(6, activation="tanh")]
    risk = keras.layers.Dense(1, activation="sigmoid", name="risk")
    inputs = [keras.Input((1,), name=name) for name in COLUMNS]
    hidden = scale(keras.layers.Concatenate()(inputs))
    for layer in dense:
        hidden = layer(hidden)
    model = keras.Model(inputs, risk(hidden))
    model.save(folder / "heart.keras")
    model.export(folder / "heart", verbose=False)
    vector = keras.Sequential([keras.Input((9,), name="features"), scale, *dense, risk])
    vector.save(folder / "vector.keras")
    (folder / "truth.json").write_text(json.dumps(vector.predict(x, verbose=0)[:, 0].tolist()))
    with (folder / "patients.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["patient", *COLUMNS])
        writer.writerows([f"p{i}", *(row[name] for name in COLUMNS)] for i, row in enumerate(rows))


def check(folder: Path, out: str) -> list[dict[str, Any]]:
    found = read(folder / out)
    truth = json.loads((folder / "truth.json").read_text())
    np.testing.assert_allclose([row["prediction"] for row in found], truth, atol=1e-5)
    total = [sum(row[f"attribution.{name}"] for name in COLUMNS) for row in found]
    gap = [row["prediction"] - row["baseline_prediction"] + row["delta"] for row in found]
    np.testing.assert_allclose(total, gap, atol=1e-5)
    assert all(row["converged"] for row in found)
    assert np.abs(total).max() > 0.01
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["heart.keras", "heart", "vector.keras"])
def test_the_heart_model_from_its_file(name: str, hearts: Path) -> None:
    out = f"{name.replace('.', '-')}.csv"
    done = pyig(["explain", name, "patients.csv", "--out", out, "--id", "patient"], hearts)
    assert (done.returncode, done.stderr) == (0, "")
    found = check(hearts, out)
    assert [row["patient"] for row in found] == [f"p{i}" for i in range(303)]


@pytest.mark.slow
def test_a_killed_job_of_keras_goes_on_with_the_same_bytes(hearts: Path) -> None:
    line = ["explain", "heart.keras", "patients.csv", "--chunk", "20", "--columns", ",".join(COLUMNS)]
    assert pyig([*line, "--out", "whole.parquet"], hearts).returncode == 0
    process = start([*line, "--out", "pieces.parquet"], hearts)
    stop_after(3, process, hearts / "pieces.parquet.parts", signal.SIGKILL)
    done = pyig([*line, "--out", "pieces.parquet", "--json"], hearts)
    assert json.loads(done.stdout)["resumed"] >= 60
    assert (hearts / "pieces.parquet").read_bytes() == (hearts / "whole.parquet").read_bytes()
    check(hearts, "pieces.parquet")


@pytest.mark.slow
def test_what_else_is_asked_of_a_model(hearts: Path) -> None:
    told = json.loads(pyig(["info", "heart.keras", "--json"], hearts).stdout)
    assert (told["kind"], told["columns"], told["outputs"]) == ("keras", COLUMNS, ["risk"])
    done = pyig(["validate", "heart.keras", "patients.csv"], hearts)
    assert done.stdout == "heart.keras: 0 errors, 0 warnings\n"
    done = pyig(["report", "heart.keras", "patients.csv", "--out", "r.html", "--limit", "5"], hearts)
    assert done.stdout.startswith("r.html: 5 rows (298 more in the file: --limit); converged")
    assert "thalach" in (hearts / "r.html").read_text()


@pytest.mark.slow
def test_metadata_are_written_and_used(hearts: Path) -> None:
    done = pyig(["metadata", "init", "heart", "--out", "explanation_metadata.json"], hearts)
    assert done.returncode == 0, done.stderr
    made = json.loads((hearts / "explanation_metadata.json").read_text())
    assert sorted(made["inputs"]) == sorted(COLUMNS)
    again = pyig(["metadata", "init", "heart", "--out", "explanation_metadata.json"], hearts)
    assert again.returncode == 1
    assert "--force" in again.stderr
    (hearts / "heart" / "explanation_metadata.json").write_text(json.dumps(made))
    done = pyig(["explain", "heart", "patients.csv", "--out", "by-metadata.jsonl"], hearts)
    assert done.returncode == 0, done.stderr
    check(hearts, "by-metadata.jsonl")
    assert json.loads(pyig(["info", "heart", "--json"], hearts).stdout)["kind"] == "metadata"
