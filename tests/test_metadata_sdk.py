"""The open SDK's call for local models, which itself has none, runs through pyig."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import explainable_ai_sdk as sdk
import metadata_models as models
import numpy as np
import pytest
from explainable_ai_sdk.model import configs, model_factory

from pyig.artifacts import register_sdk
from pyig.artifacts.metadata_model import MetadataModel
from pyig.errors import InputError, InputTypeError, MissingPackageError

ROWS = [
    {"zip_codes": ["94043", "10001"], "age": 0.3, "height": -1.0},
    {"zip_codes": ["94105", ""], "age": 1.5, "height": 0.2},
]


@pytest.fixture
def registered() -> Iterator[None]:
    before = dict(model_factory._MODEL_REGISTRY)
    register_sdk()
    yield
    model_factory._MODEL_REGISTRY.clear()
    model_factory._MODEL_REGISTRY.update(before)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.zip_codes(tmp_path_factory.mktemp("sdk") / "m")


def test_without_registration_the_sdk_has_no_local_model(path: Path) -> None:
    with pytest.raises(NotImplementedError, match="no implementations of local model"):
        sdk.load_model_from_local_path(str(path), configs.IntegratedGradientsConfig(20))


@pytest.mark.usefixtures("registered")
def test_the_sdks_own_call_explains(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = sdk.load_model_from_local_path(str(path), configs.IntegratedGradientsConfig(20))
    found = model.explain(ROWS)
    ours = MetadataModel(path).explain(ROWS, n_steps=20)
    for i, explanation in enumerate(found):
        one = explanation.get_attribution()
        assert one.label_index == ours.targets[i]
        assert one.label_name == ("no", "yes")[ours.targets[i]]
        assert one.output_name == "probability"
        importance = explanation.feature_importance()
        assert set(importance) == {"zip_codes", "age", "height"}
        for name, value in importance.items():
            assert value == pytest.approx(float(ours.attributions[name][i].sum()))
        assert sum(importance.values()) == pytest.approx(one.example_score - one.baseline_score, abs=1e-5)
        assert 0 <= one.approx_error < 1e-3
        assert explanation.as_tensors()["zip_codes"].shape == (2,)
        explanation._print_basic_info()
    assert "Example Score" in capsys.readouterr().out
    assert one.to_json()


@pytest.mark.usefixtures("registered")
def test_predictions_are_those_of_the_explained_output(path: Path) -> None:
    model = sdk.load_model_from_local_path(str(path), configs.IntegratedGradientsConfig(20))
    wanted = MetadataModel(path).predict(ROWS)
    assert [row["probability"] for row in model.predict(ROWS)] == [pytest.approx(row) for row in wanted.tolist()]


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("params", "labels"),
    [
        ({"top_k": 2}, [{0, 1}, {0, 1}]),
        ({"top_k": 1}, [{1}, {1}]),
        ({"label_indices": [0]}, [{0}, {0}]),
        ({"label_indices": [0, 1]}, [{0, 1}, {0, 1}]),
        ({"label_indices": [[1], [0]]}, [{1}, {0}]),
        ({"label_indices": [[1, 0], [0, 1]]}, [{0, 1}, {0, 1}]),
        ({}, [{1}, {1}]),
    ],
)
def test_labels_are_chosen_by_parameters(params: dict[str, Any], labels: list[set[int]], path: Path) -> None:
    model = sdk.load_model_from_local_path(str(path), configs.IntegratedGradientsConfig(20))
    found = model.explain(ROWS, configs.AttributionParameters(**params))
    assert [set(explanation.get_top_k_indices()) for explanation in found] == labels
    ours = {column: MetadataModel(path).explain(ROWS, column, n_steps=20) for column in (0, 1)}
    for i, explanation in enumerate(found):
        for column in labels[i]:
            expected = float(ours[column].attributions["age"][i])
            assert explanation.feature_importance(column)["age"] == pytest.approx(expected, abs=1e-7)


@pytest.mark.usefixtures("registered")
def test_baselines_and_steps_of_a_call_replace_those_of_the_model(path: Path) -> None:
    model = sdk.load_model_from_local_path(str(path), configs.IntegratedGradientsConfig(2))
    starts = [{"zip_codes": ["94043", "94043"], "age": 1.0, "height": 2.0}, {"age": 0.0, "height": 1.0}]
    params = configs.AttributionParameters(
        label_indices=[0], baselines=starts, attribution_config=configs.IntegratedGradientsConfig(64)
    )
    (found, _) = model.explain(ROWS, params)
    ours = MetadataModel(path).explain(ROWS, 0, baselines=starts, n_steps=64)
    assert found.get_attribution(0).baseline_score == pytest.approx(ours.baseline_values[0])
    assert found.feature_importance(0)["height"] == pytest.approx(float(ours.attributions["height"][0]))
    rough = model.explain(ROWS, configs.AttributionParameters(label_indices=[0], baselines=starts))[0]
    assert abs(rough.feature_importance(0)["height"] - found.feature_importance(0)["height"]) > 1e-4


@pytest.mark.usefixtures("registered")
def test_a_model_of_one_number_takes_bare_values_and_has_no_label(tmp_path: Path) -> None:
    models.celsius(tmp_path / "m")
    model = sdk.load_model_from_local_path(str(tmp_path / "m"), configs.IntegratedGradientsConfig(5))
    (found,) = model.explain([10.0], configs.AttributionParameters(top_k=3))
    assert found.get_attribution().label_index == -1
    assert found.feature_importance() == {"degrees_celsius": pytest.approx(18.0)}
    assert np.isfinite(model.explain([0.0])[0].get_attribution().approx_error)  # where F(x) = F(x')


@pytest.mark.usefixtures("registered")
def test_a_group_is_found_under_its_own_name(tmp_path: Path) -> None:
    models.wide_and_deep(tmp_path / "m")
    model = sdk.load_model_from_local_path(str(tmp_path / "m"), configs.IntegratedGradientsConfig(30))
    (found,) = model.explain([{"word": "good", "price": 1.0}])
    assert set(found.feature_importance()) == {"word", "price"}
    assert found.get_attribution().label_name in ("cheap", "dear")


@pytest.mark.usefixtures("registered")
def test_an_image_has_its_attributions_and_is_not_drawn_by_the_sdk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models.pixels(tmp_path / "m")
    model = sdk.load_model_from_local_path(str(tmp_path / "m"), configs.IntegratedGradientsConfig(30))
    (found,) = model.explain([{"bytes": {"b64": "/wCAQA=="}}])
    assert found.as_tensors()["image"].shape == (2, 2)
    found._print_basic_info()
    found._visualize_image_attributions()
    assert "Label Index" in capsys.readouterr().out


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("config", "error"),
    [(configs.SampledShapleyConfig(), InputTypeError), (configs.XraiConfig(), InputTypeError)],
)
def test_other_methods_are_refused(config: Any, error: type[Exception], path: Path) -> None:
    with pytest.raises(error, match="expected an IntegratedGradientsConfig"):
        sdk.load_model_from_local_path(str(path), config)


@pytest.mark.usefixtures("registered")
def test_wrong_labels_and_bare_rows_are_named(path: Path) -> None:
    model = sdk.load_model_from_local_path(str(path), configs.IntegratedGradientsConfig(2))
    with pytest.raises(InputError, match="label_indices as one list for all, or 2 lists"):
        model.explain(ROWS, configs.AttributionParameters(label_indices=[[0], [0, 1]]))
    with pytest.raises(InputTypeError, match="expected instances as dicts of zip_codes, measurements"):
        model.explain([1.0])


def test_a_missing_sdk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "pyig.artifacts.local_model", raising=False)
    monkeypatch.delattr("pyig.artifacts.local_model", raising=False)
    monkeypatch.setitem(sys.modules, "explainable_ai_sdk.common", None)
    with pytest.raises(MissingPackageError, match="pip install --no-deps explainable-ai-sdk"):
        register_sdk()
