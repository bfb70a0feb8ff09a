"""Baselines of a metadata file and of a call: averaged, encoded, in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import metadata_models as models
import numpy as np
import pandas as pd
import pytest
from metadata_runs import GL50, ROWS, SPARSE, completes, total

from pyig.artifacts.metadata_model import MetadataModel
from pyig.errors import InputError


@pytest.fixture(scope="module")
def zips(tmp_path_factory: pytest.TempPathFactory) -> MetadataModel:
    return MetadataModel(models.zip_codes(tmp_path_factory.mktemp("zip") / "m"))


def test_several_baselines_are_the_mean_of_single_runs(tmp_path: Path) -> None:
    starts = [[0.5, -1.0], [2.0, 0.0], [0.0, 0.25]]
    x = {"input_tensor_name": "x:0", "input_baselines": starts}
    place = models.sparse_words(tmp_path / "m", weighted=False, encoded_baselines=[0, [1, 0, -1], 0.5])
    content = json.loads((place / "explanation_metadata.json").read_text())
    rows = {"words": [["good"], ["bad"]], "x": [[1.0, 2.0], [0.0, -1.0]]}
    content["inputs"]["x"] = x
    models.describe(place, **content)
    all_three = MetadataModel(place).explain(rows, 1, **GL50)
    singles = []
    for i in range(3):
        content["inputs"]["x"]["input_baselines"] = starts[i : i + 1]
        content["inputs"]["words"]["encoded_baselines"] = [[0, [1, 0, -1], 0.5][i]]
        models.describe(place, **content)
        singles.append(MetadataModel(place).explain(rows, 1, **GL50))
    for name in ("x", "words"):
        mean = np.mean([total_of(single, name) for single in singles], axis=0)
        assert total_of(all_three, name) == pytest.approx(mean, abs=2e-6)
    assert all_three.baseline_values == pytest.approx(np.mean([one.baseline_values for one in singles], axis=0))
    assert all_three.meta["n_baselines"] == 3
    assert not np.allclose(total_of(singles[0], "x"), total_of(singles[1], "x"), atol=1e-3)
    assert completes(all_three)


def test_each_word_has_its_part_from_several_baselines_too(tmp_path: Path) -> None:
    starts = [0, [1, 0, -1], 0.5]
    place = models.sparse_words(tmp_path / "m", encoded_baselines=starts)
    content = json.loads((place / "explanation_metadata.json").read_text())
    together = MetadataModel(place).explain(SPARSE, "top2", **GL50)
    singles = []
    for start in starts:
        content["inputs"]["words"]["encoded_baselines"] = [start]
        models.describe(place, **content)
        singles.append(MetadataModel(place).explain(SPARSE, "top2", **GL50))
    mean = np.mean([single.attributions["words"] for single in singles], axis=0)
    assert together.attributions["words"] == pytest.approx(mean, abs=1e-6)
    assert together.attributions["words"].shape == (3, 2, 4)
    assert together.inputs["words"].tolist() == singles[0].inputs["words"].tolist()
    assert together.n_evals.tolist() == np.sum([single.n_evals for single in singles], axis=0).tolist()
    assert together.meta["n_baselines"] == 3
    assert completes(together)
    for i in range(3):
        path = together.path(i, 1)
        assert np.dot(path.weights, np.nan_to_num(path.slopes)) == pytest.approx(
            together.values[i, 1] - together.baseline_values[i, 1], abs=1e-5
        )


def total_of(explanation: Any, name: str) -> Any:
    part = explanation.attributions[name]
    return part.reshape(len(part), -1).sum(axis=1)


def test_a_baseline_of_words_goes_through_the_encoding(tmp_path: Path) -> None:
    model = MetadataModel(models.zip_codes(tmp_path / "m", input_baselines=[["10001", "94105"]]))
    e = model.explain(ROWS, "yes", **GL50)
    start = {"zip_codes": [["10001", "94105"]], "age": [0.0], "height": [0.0]}
    assert e.baseline_values == pytest.approx(np.repeat(model.predict(start)[:, 1], 3))
    assert e.baselines["zip_codes"].tolist() == [["10001", "94105"]]
    assert completes(e)
    alike = model.explain([{"zip_codes": ["10001", "94105"], "age": 0.0, "height": 0.0}], "yes", **GL50)
    assert np.abs(total(alike)).max() == 0


def test_baselines_of_the_call_replace_those_of_the_file(zips: MetadataModel) -> None:
    one = {"zip_codes": ["94043", "94043"], "age": 1.0, "height": 2.0}
    other = {"measurements": [0.0, 1.0]}
    first, second = (zips.explain(ROWS, 0, baselines=row, **GL50) for row in (one, other))
    assert first.baseline_values == pytest.approx(np.repeat(zips.predict([one])[:, 0], 3))
    framed = zips.explain(ROWS, 0, baselines=pd.DataFrame([one]), **GL50)
    assert framed.attributions["age"].tolist() == first.attributions["age"].tolist()
    assert first.baselines["age"] == pytest.approx([1.0, 1.0, 1.0])
    both = zips.explain(ROWS, 0, baselines=[one, other], **GL50)
    for name in ("zip_codes", "age"):
        mean = (total_of(first, name) + total_of(second, name)) / 2
        assert total_of(both, name) == pytest.approx(mean, abs=2e-6)
    assert zips.explain(ROWS, 0, baselines="mean", **GL50).baselines["age"] == pytest.approx([1.4 / 3] * 3)
    with pytest.raises(InputError, match="expected baselines for zip_codes, measurements; got one for 'weight'"):
        zips.explain(ROWS, 0, baselines={"weight": 1.0})


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (
            {"input_baselines": [["a", "b", "c"]]},
            r"inputs\.zip_codes\.input_baselines\[0\]: expected a number, or values",
        ),
        ({"input_baselines": [0]}, r"inputs\.zip_codes\.input_baselines\[0\]: expected text"),
        ({"encoded_baselines": [[0, 0]]}, r"inputs\.zip_codes\.encoded_baselines\[0\]"),
        ({"encoded_baselines": ["none"]}, r"encoded_baselines\[0\]: expected numbers"),
    ],
)
def test_a_baseline_that_does_not_fit_is_named(keys: dict[str, Any], words: str, tmp_path: Path) -> None:
    model = MetadataModel(models.zip_codes(tmp_path / "m", **keys))
    with pytest.raises(InputError, match=words):
        model.explain(ROWS)
