"""Memory: flat over calls, over steps, over samples; counted where it can be, measured where it must be."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from torch import nn

import pyig
from pyig.backends.torch import TorchBackend

MIB = 1 << 20


def square(x: Any) -> Any:
    return (x**2).sum(axis=1)


def slope(x: Any) -> Any:
    return 2 * x


NUMPY = pyig.IntegratedGradients(square, gradient=slope)


@contextmanager
def peak() -> Iterator[list[int]]:
    """Yield a list that receives the peak of what was allocated inside."""
    gc.collect()
    found: list[int] = []
    tracemalloc.start()
    try:
        begin = tracemalloc.get_traced_memory()[0]
        yield found
        found.append(tracemalloc.get_traced_memory()[1] - begin)
    finally:
        tracemalloc.stop()


def test_the_watch_sees_what_is_allocated() -> None:
    with peak() as found:
        np.ones(MIB, dtype=np.uint8)
    assert found[0] == pytest.approx(MIB, rel=0.01)


# --- over steps and samples ------------------------------------------------------------------------------------------


def peak_of(samples: int, features: int, method: str = "explain", **options: Any) -> int:
    x = np.random.default_rng(0).normal(size=(samples, features))
    with peak() as found:
        getattr(NUMPY, method)(x, progress=False, **options)
    return found[0]


@pytest.mark.parametrize("batch_size", [4, "auto"])
def test_more_steps_take_no_more_memory(batch_size: Any) -> None:
    NUMPY._memory.clear()
    few, many = (peak_of(1, 100_000, n_steps=n, batch_size=batch_size) for n in (50, 500))
    assert many < 1.1 * few


def test_the_working_set_is_a_few_batches() -> None:
    features, rows = 100_000, 4
    batch = rows * features * 8
    found = peak_of(1, features, n_steps=100, batch_size=rows)
    assert found < 8 * batch, "points, model, gradient, two accumulators, two results, inputs"


def test_more_samples_take_their_results_and_no_more() -> None:
    features = 20_000
    few, many = (peak_of(samples, features, n_steps=50, batch_size=4) for samples in (20, 80))
    each = (many - few) / 60 / features
    assert each < 8 * 3.5, "attributions, the copy of the input, and the blocks while they are joined"


class Wide(nn.Module):
    """A layer to cut at, with a wide value that passes it by."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.cut, self.after = nn.Linear(4, 777), nn.Linear(4, 4), nn.Linear(4, 2)
        self.most, self.calls = 0, 0

    def forward(self, x: Any) -> Any:
        aside = torch.tanh(self.before(x))
        out = self.after(torch.tanh(self.cut(x))) * aside.mean(1, keepdim=True)
        self.calls += 1
        if self.calls % 40 == 0:
            self.most = max(self.most, sum(len(t) for t in tensors() if t.ndim == 2 and t.shape[1] == 777))
        return out


def tensors() -> list[torch.Tensor]:
    return [thing for thing in gc.get_objects() if type(thing) is torch.Tensor]


def test_what_passes_a_layer_by_is_let_go_with_its_block() -> None:
    most = []
    for samples in (40, 200):
        model = Wide().eval()
        x = torch.randn(samples, 4)
        pyig.IntegratedGradients(model).explain(x, 0, 1, layer="cut", n_steps=32, batch_size=4)
        most.append(model.most)
    assert most[1] <= most[0] < 100


@pytest.mark.parametrize("samples", [64, 256])
def test_a_layer_is_reached_in_batches_too(samples: int) -> None:
    rows = []

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cut, self.after = nn.Linear(3, 3), nn.Linear(3, 2)

        def forward(self, x: Any) -> Any:
            rows.append(len(x))
            return self.after(torch.tanh(self.cut(x)))

    pyig.IntegratedGradients(Model()).explain(torch.randn(samples, 3), 0, 1, layer="cut", n_steps=4, batch_size=8)
    assert max(rows) <= 8, "batch_size is the most rows of any model call"


def test_memory_that_runs_out_before_the_layer_is_a_smaller_batch() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cut, self.after = nn.Linear(3, 3), nn.Linear(3, 2)

        def forward(self, x: Any) -> Any:
            if len(x) > 5:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return self.after(torch.tanh(self.cut(x)))

    torch.manual_seed(0)
    model, x = Model().double(), torch.randn(30, 3, dtype=torch.float64)
    ig = pyig.IntegratedGradients(model)
    found = ig.explain(x, 0, 1, layer="cut", n_steps=4)
    alone = [ig.explain(x[i : i + 1], 0, 1, layer="cut", n_steps=4, batch_size=1).attributions for i in range(30)]
    np.testing.assert_allclose(found.attributions, np.concatenate(alone), rtol=0, atol=1e-13)


# --- over calls ------------------------------------------------------------------------------------------------------


def small(layer: bool) -> Callable[[], Any]:
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2))
    ig, x = pyig.IntegratedGradients(model), torch.randn(3, 6)
    options: dict[str, Any] = {"n_steps": 4, "layer": "1"} if layer else {"n_steps": 4}
    return lambda: (ig.explain(x, 0, 1, **options), ig.attribute(x, "noise", 1, rng=0, **options))


def failing() -> Callable[[], Any]:
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2))
    x = torch.randn(3, 6)

    def call() -> None:
        for options in ({"target": 7}, {"target": lambda out: out}, {"target": 1, "layer": "nope"}):
            with pytest.raises(pyig.PyigError):
                pyig.IntegratedGradients(model).explain(x, n_steps=4, **options)

    return call


@pytest.mark.parametrize(
    "make", [lambda: small(False), lambda: small(True), failing], ids=["plain", "layer", "failing"]
)
def test_a_hundred_calls_leave_no_tensor_behind(make: Callable[[], Callable[[], Any]]) -> None:
    call = make()
    for _ in range(3):
        call()
    gc.collect()
    before = len(tensors())
    for _ in range(100):
        call()
    gc.collect()
    assert len(tensors()) == before


def test_a_leak_would_be_seen() -> None:
    before = len(tensors())
    kept = [torch.zeros(1) for _ in range(5)]
    assert len(tensors()) == before + len(kept)


@pytest.mark.parametrize("device", ["host", "device"])
def test_a_hundred_calls_leave_the_process_as_large_as_it_was(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if device == "device":
        monkeypatch.setattr(TorchBackend, "on_host", lambda self, tensor: False)
    model = nn.Sequential(nn.Linear(20_000, 8), nn.Tanh(), nn.Linear(8, 2))
    ig, x = pyig.IntegratedGradients(model), torch.randn(2, 20_000)

    def call() -> None:
        ig.attribute(x, target=1, n_steps=8, batch_size=8)

    process = psutil.Process()
    for _ in range(20):
        call()
    before = process.memory_info().rss
    for _ in range(100):
        call()
    grown = process.memory_info().rss - before
    assert grown < 16 * MIB, "a call that leaked its buffers once would have added 100 MiB and more"


def test_explanations_do_not_hold_the_model() -> None:
    model = nn.Linear(4, 2)
    gone = weakref.ref(model)
    found = pyig.IntegratedGradients(model).explain(torch.randn(3, 4), target=1, n_steps=3)
    del model
    gc.collect()
    assert gone() is None
    assert found.meta["model"] == "Linear"


def test_an_explanation_is_as_large_as_its_arrays() -> None:
    x = np.zeros((4, 50_000))
    gc.collect()
    tracemalloc.start()
    begin = tracemalloc.get_traced_memory()[0]
    found = NUMPY.explain(x, n_steps=5)
    gc.collect()
    held = tracemalloc.get_traced_memory()[0] - begin
    tracemalloc.stop()
    arrays = found.attributions.nbytes + found.inputs.nbytes + found.baselines.nbytes
    assert held < 1.1 * arrays + MIB
