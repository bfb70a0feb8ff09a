"""SavedModels of both generations, cut by tensor names: the same values and gradients as the live model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
pytest.importorskip("keras")

import saved_models  # noqa: E402 - behind the check that TensorFlow is there

import pyig  # noqa: E402
from pyig.artifacts.saved_model import SavedModel  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    # What TensorFlow's own modules say about themselves when they write and read such files.
    "ignore::DeprecationWarning",
    "ignore:.*np.object.*:FutureWarning",
)


@pytest.fixture(scope="module", params=list(saved_models.CASES))
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    case = saved_models.CASES[request.param]()
    directory = tmp_path_factory.mktemp("saved") / "model"
    case.save(directory)
    return case, directory


def test_the_gradient_by_name_is_that_of_the_live_model(saved: tuple[Any, Path]) -> None:
    case, directory = saved
    cut = SavedModel.load(directory).cut(case.encoded)
    encoded, output, gradients = case.direct(0)
    found = cut.encode(case.rows)
    assert set(found) == set(encoded)
    with tf.GradientTape() as tape:
        tape.watch(found)
        column = cut.tail(found, cut.still(case.rows))[:, 0]
    slopes = tape.gradient(column, found)
    for name in encoded:
        np.testing.assert_allclose(found[name], encoded[name], atol=1e-6)
        assert np.abs(gradients[name]).max() > 1e-3  # a gradient of zeros would agree with anything
        np.testing.assert_allclose(slopes[name], gradients[name], atol=1e-6)
        assert slopes[name].dtype == gradients[name].dtype
    np.testing.assert_allclose(cut.predict(case.rows), output, atol=1e-6)
