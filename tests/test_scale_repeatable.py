"""What a chunk comes out as depends on its rows alone: with every way to integrate, on every framework."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scale_files import Stop, after, write_rows
from toy_artifact import COLUMNS, write_toy

import pyig
from pyig.integrate import batching
from pyig.scale import Job

RNG = np.random.default_rng(3)
X = RNG.normal(size=(150, 4)).astype(np.float32)


def torch_net(*, depth: int, relu: bool = False, softmax: bool = False) -> Any:
    import torch

    torch.manual_seed(0)
    layers: list[Any] = [torch.nn.Linear(4, 8)]
    for _ in range(depth):
        layers += [torch.nn.ReLU() if relu else torch.nn.Tanh(), torch.nn.Linear(8, 8)]
    return torch.nn.Sequential(*layers, torch.nn.Softmax(-1) if softmax else torch.nn.Identity()).eval()


def keras_net(*, depth: int) -> Any:
    import keras

    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(8, activation="tanh") for _ in range(depth)]
    return keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(3, activation="softmax")])


CASES: dict[str, tuple[Callable[[], Any], dict[str, Any], str]] = {
    "closed form": (lambda: torch_net(depth=1), {"target": 0}, "exact"),
    "linear regions": (lambda: torch_net(depth=1, relu=True), {"target": 0, "layer": None}, "exact"),
    "adaptive": (lambda: torch_net(depth=3), {"target": "predicted"}, "adaptive"),
    "log-odds": (lambda: torch_net(depth=2, softmax=True), {"target": "predicted"}, "adaptive"),
    "fixed": (lambda: torch_net(depth=2), {"target": 1, "n_steps": 30}, "gausslegendre"),
    "noise": (lambda: torch_net(depth=2), {"target": 1, "baselines": "noise", "rng": 5}, "adaptive"),
    "expected": (
        lambda: torch_net(depth=2),
        {"target": 1, "baselines": list(X[:20, None]), "method": "expected", "rng": 5},
        "expected",
    ),
    "keras": (lambda: keras_net(depth=2), {"target": "predicted"}, "adaptive"),
    "keras fixed": (lambda: keras_net(depth=2), {"target": 0, "n_steps": 40}, "gausslegendre"),
}


OBSERVE = batching.Sizer.observe


def _timed(seconds: Callable[[int], float], sizer: batching.Sizer, rows: int) -> None:
    OBSERVE(sizer, rows, seconds(rows))


def bits(found: pyig.Explanation) -> list[bytes]:
    arrays = (found.values, found.baseline_values, found.deltas, found.error, found.n_evals, found.converged)
    return [np.asarray(found.attributions).tobytes(), *(array.tobytes() for array in arrays)]


@pytest.mark.parametrize("name", CASES)
def test_what_came_before_changes_nothing(name: str) -> None:
    make, options, method = CASES[name]
    model = make()
    options = {"progress": False, "repeatable": True, **{k: v for k, v in options.items() if v is not None}}
    alone = pyig.IntegratedGradients(model).explain(X[50:90], **options)
    assert alone.meta["method"] == method
    used = pyig.IntegratedGradients(model)
    for part in (X[:50], X[90:], X[:1], X[50:90]):
        last = used.explain(part, **options)
    assert bits(last) == bits(alone)
    assert last.meta["model_calls"] == alone.meta["model_calls"]
    assert used._memory == {}


def test_without_it_an_explainer_learns() -> None:
    ig = pyig.IntegratedGradients(torch_net(depth=1))
    first, second = (ig.explain(X, target=0, progress=False) for _ in range(2))
    assert ig._memory
    assert first.meta["model_calls"] > second.meta["model_calls"]


@pytest.mark.parametrize("repeatable", [True, False])
def test_the_clock_changes_nothing(repeatable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is fast with large batches makes ``"auto"`` take them; a job must not see it."""
    rows = np.tile(X, (200, 1))
    model = torch_net(depth=3)
    sizes = set()
    for seconds in (lambda rows: 1.0, lambda rows: rows**2):
        monkeypatch.setattr(
            batching.Sizer,
            "observe",
            lambda self, rows, _, seconds=seconds, own=OBSERVE: own(self, rows, seconds(rows)),
        )
        found = pyig.IntegratedGradients(model).explain(
            rows, target=0, n_steps=8, progress=False, repeatable=repeatable
        )
        sizes.add((found.meta["batch_rows"], found.meta["model_calls"]))
    assert (len(sizes) == 1) == repeatable


class Torch:
    """A torch model behind the columns of the toy."""

    kind, columns, outputs = "torch", COLUMNS, ("risk",)

    def __init__(self, path: Path, net: Any) -> None:
        self.path, self._ig = path, pyig.IntegratedGradients(net)

    def explain(self, rows: Any, target: Any = None, **options: Any) -> pyig.Explanation:
        x = np.stack([rows[name] for name in COLUMNS], axis=1).astype(np.float32) / 100
        found = self._ig.explain(x, target=target, feature_names=COLUMNS, **options)
        assert found.meta["seconds"] >= 0
        return found


@pytest.mark.parametrize("name", ["closed form", "linear regions", "adaptive", "log-odds", "keras"])
def test_a_killed_job_of_a_network_writes_the_same_bytes(name: str, tmp_path: Path) -> None:
    model, path = CASES[name][0](), write_toy(tmp_path / "model.toy")
    write_rows(tmp_path / "r.csv", 130)
    options: dict[str, Any] = {"rows": tmp_path / "r.csv", "target": "predicted", "chunk": 20}
    Job(artifact=Torch(path, model), out=tmp_path / "whole.parquet", **options).run()
    for chunks in (1, 2, 1):  # each time another process would begin with an explainer that knows nothing
        with pytest.raises(Stop):
            Job(artifact=Torch(path, model), out=tmp_path / "pieces.parquet", **options).run(after(chunks))
    account = Job(artifact=Torch(path, model), out=tmp_path / "pieces.parquet", **options).run()
    assert account.resumed == 80
    assert (tmp_path / "pieces.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
