"""What belongs to the user stays as it was: before, after, and after an exception at any stage."""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import frameworks
import numpy as np
import pytest
import torch
import zoo
from torch import nn

import pyig
from pyig import tree
from pyig.errors import PyigError

N = 6


class Net(nn.Module):
    """Dropout, batch statistics, a frozen weight, a hook, and a fuse that burns down."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.drop = nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Dropout(0.5)
        self.last = nn.Linear(5, 2)
        self.first.bias.requires_grad_(False)
        self.fuse = 10**9
        self.hooked = 0
        self.last.register_forward_hook(self._count)

    def _count(self, *_: Any) -> None:
        self.hooked += 1

    def forward(self, x: Any) -> Any:
        self.fuse -= 1
        if self.fuse < 0:
            raise OSError("bang")
        return self.last(torch.tanh(self.drop(self.norm(self.first(x)))))


def make(training: bool = False) -> Net:
    torch.manual_seed(0)
    model = Net()
    model(torch.randn(20, 3))  # running statistics that are not the defaults
    model.zero_grad()
    out = model(torch.randn(4, 3))
    out.backward(torch.ones_like(out))  # torch imports sympy here, once, which adds a warnings filter
    return model.train(training)


def state(model: nn.Module) -> dict[str, Any]:
    """Everything of a model that a user could notice."""
    hooks = [(*m._forward_hooks, *m._forward_pre_hooks, *m._backward_hooks) for m in model.modules()]
    return {
        "tensors": {name: (t.data_ptr(), t.detach().clone()) for name, t in model.state_dict(keep_vars=True).items()},
        "requires_grad": {name: p.requires_grad for name, p in model.named_parameters()},
        "grad": {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()},
        "training": {name: m.training for name, m in model.named_modules()},
        "hooks": hooks,
        "attributes": {name: sorted(m.__dict__) for name, m in model.named_modules()},
        "torch rng": torch.get_rng_state(),
        "numpy rng": np.random.get_state()[1].copy(),  # noqa: NPY002 - the global state is what is watched
        "modes": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype()),
        "threads": torch.get_num_threads(),
        "warnings": list(warnings.filters),
        "errors": np.geterr(),
    }


def changed(before: Any, after: Any, path: str = "") -> list[str]:
    """Name what differs between two states."""
    if isinstance(before, dict) and before.keys() == after.keys():
        return [name for key in before for name in changed(before[key], after[key], f"{path}/{key}")]
    if isinstance(before, (tuple, list)) and len(before) == len(after):
        return [n for i, pair in enumerate(zip(before, after, strict=True)) for n in changed(*pair, f"{path}/{i}")]
    if isinstance(before, torch.Tensor) and isinstance(after, torch.Tensor):
        same = torch.equal(before, after)
    else:
        same = bool(np.array_equal(before, after)) if isinstance(before, np.ndarray) else before == after
    return [] if same else [path]


def outputs(model: nn.Module, x: Any) -> Any:
    """Outputs in evaluation mode, leaving no trace of their own."""
    twin = copy.deepcopy(model).eval()
    twin.fuse = 10**9
    with torch.no_grad():
        return twin(x)


def test_the_watch_sees_every_change() -> None:
    changes: list[Callable[[Net], Any]] = [
        lambda m: m.first.weight.data.add_(1e-7),
        lambda m: m.last.weight.requires_grad_(False),
        lambda m: m.first.bias.requires_grad_(True),
        lambda m: setattr(m.last.weight, "grad", None),
        lambda m: m.drop.train(),
        lambda m: m.norm.running_mean.add_(1),
        lambda m: m.first.register_forward_hook(print),
        lambda m: setattr(m.first, "forward", print),
        lambda m: torch.rand(1),
    ]
    for change in changes:
        model = make()
        before = state(model)
        assert changed(before, state(model)) == []
        change(model)
        assert changed(before, state(model)) != []


CALLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "baselines that draw": {"baselines": "noise", "rng": 0},
    "unseeded draws": {"baselines": "uniform"},
    "layer": {"layer": "norm"},
    "layer inputs": {"layer": "last", "attribute_to_layer_inputs": True},
    "a function as target": {"target": lambda out: out.pow(2).sum(1)},
    "probability": {"value": "probability", "output_kind": "logits"},
    "several targets": {"target": "top2"},
}


@pytest.mark.parametrize("method", ["explain", "attribute"])
@pytest.mark.parametrize("call", CALLS)
def test_a_call_leaves_the_model_as_it_was(call: str, method: str) -> None:
    model, x = make(), torch.randn(N, 3)
    before, expected = state(model), outputs(model, x)
    getattr(pyig.IntegratedGradients(model), method)(x, n_steps=6, batch_size=7, **({"target": 1} | CALLS[call]))
    assert changed(before, state(model)) == []
    assert torch.equal(outputs(model, x), expected)


def test_a_model_in_training_mode_stays_in_it_and_is_warned_about() -> None:
    model, x = make(training=True), torch.randn(N, 3)
    before = state(model)
    with pytest.warns(UserWarning, match=r"training mode.*model\.eval\(\)"):
        pyig.IntegratedGradients(model).explain(x, torch.zeros_like(x), target=1, n_steps=6)
    assert changed(before, state(model)) == []


@pytest.mark.parametrize("layer", [None, "norm"])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("fuse", [0, 1, 2, 3, 5, 7])
@pytest.mark.filterwarnings("ignore:the model is in training mode")
def test_an_exception_in_the_model_leaves_it_as_it_was(fuse: int, training: bool, layer: str | None) -> None:
    model, x = make(training), torch.randn(N, 3)
    before, expected = state(model), outputs(model, x)
    model.fuse = fuse
    with pytest.raises(OSError, match="bang"):
        pyig.IntegratedGradients(model).explain(x, torch.zeros_like(x), target=1, n_steps=12, batch_size=9, layer=layer)
    assert changed(before, state(model)) == []
    assert torch.equal(outputs(model, x), expected)


BAD: dict[str, dict[str, Any]] = {
    "target": {"target": 9},
    "baseline": {"baselines": np.zeros(4)},
    "option": {"nsteps": 3},
    "layer": {"layer": "none"},
    "function": {"target": lambda out: out},
    "progress": {"target": 1, "progress": lambda done, total: 1 / 0},
    "cancel": {"target": 1, "cancel": lambda: 1 / 0},
}


@pytest.mark.parametrize("what", BAD)
def test_a_wrong_call_leaves_the_model_as_it_was(what: str) -> None:
    model, x = make(), torch.randn(N, 3)
    before = state(model)
    with pytest.raises((PyigError, ZeroDivisionError)):
        pyig.IntegratedGradients(model).explain(x, n_steps=6, **({"target": 1} | BAD[what]))
    assert changed(before, state(model)) == []


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_callers_mode_comes_back(mode: Any) -> None:
    model = make()
    with mode():
        before = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        pyig.IntegratedGradients(model).attribute(torch.randn(N, 3), target=1, n_steps=3)
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == before


def test_training_goes_on_after_an_explanation() -> None:
    model, twin = make(True), make(True)
    x = torch.randn(N, 3)
    for net in (model, twin):
        net.drop.p = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pyig.IntegratedGradients(model).explain(x, torch.zeros_like(x), target=1, n_steps=6)
    for net in (model, twin):
        net.zero_grad()
        net(x).sum().backward()
    for mine, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert changed(mine.grad, other.grad) == []


# --- inputs --------------------------------------------------------------------------------------------------------


def given(backend: str) -> Iterator[tuple[Any, Any, Any]]:
    for name in ("record", "two_inputs", "classes"):
        entry = zoo.ENTRIES[name]()
        x, start = copy.deepcopy(entry.x), copy.deepcopy(entry.baseline)
        if backend == "torch":
            x, start = (tree.tree_map(lambda a: torch.from_numpy(a).requires_grad_(), side) for side in (x, start))
        target = entry.target.tolist() if isinstance(entry.target, np.ndarray) else entry.target
        yield entry, (x, start), target


def arrays(structure: Any) -> list[Any]:
    leaves = tree.flatten(structure)[0]
    return [leaf.detach().numpy().copy() if isinstance(leaf, torch.Tensor) else leaf.copy() for leaf in leaves]


def test_inputs_are_not_written_to(backend: str) -> None:
    for entry, (x, start), target in given(backend):
        values, objects, kwargs = arrays((x, start)), tree.flatten((x, start))[0], {"n_steps": 5, "batch_size": 3}
        asked = copy.deepcopy(target)
        ig = frameworks.explainer(backend, entry)
        found = ig.explain(x, start, target, **kwargs)
        ig.attribute(x, start, target, **kwargs)
        for before, after in zip(values, arrays((x, start)), strict=True):
            np.testing.assert_array_equal(before, after)
        assert all(a is b for a, b in zip(objects, tree.flatten((x, start))[0], strict=True))
        assert target == asked
        assert kwargs == {"n_steps": 5, "batch_size": 3}
        if backend == "torch":
            assert all(leaf.grad is None and leaf.requires_grad for leaf in objects)
        for leaf in tree.flatten(found.attributions)[0]:
            assert not any(np.shares_memory(leaf, a) for a in objects if isinstance(a, np.ndarray))


def test_the_explanation_keeps_no_window_on_the_input(backend: str) -> None:
    entry = zoo.ENTRIES["tanh"]()
    x, start = entry.x.copy(), entry.baseline.copy()
    found = frameworks.explainer(backend, entry).explain(x, start, n_steps=5)
    x[:], start[:] = 99, 99
    np.testing.assert_array_equal(found.inputs, entry.x)
    np.testing.assert_array_equal(found.baselines, entry.baseline)


def test_forward_kwargs_are_not_written_to() -> None:
    weight = torch.ones(3)
    kwargs = {"weight": weight, "plain": [1]}
    pyig.IntegratedGradients(lambda x, weight, plain: (x * weight).sum(1)).explain(
        torch.rand(2, 3), n_steps=3, forward_kwargs=kwargs
    )
    assert kwargs["weight"] is weight
    assert kwargs == {"weight": weight, "plain": [1]}


def test_models_that_write_to_their_input_do_not_reach_the_users() -> None:
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 2))
    x, start = torch.randn(N, 3), torch.randn(1, 3)
    before = x.clone(), start.clone()
    found = pyig.IntegratedGradients(model).explain(x, start, 1, n_steps=200)
    assert changed((x, start), before) == []
    assert np.abs(found.deltas).max() < 0.05


# --- threads -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [None, "norm"])
def test_threads_may_share_a_model(layer: str | None) -> None:
    model = make()
    ig, xs = pyig.IntegratedGradients(model), [torch.randn(N, 3) for _ in range(8)]
    before = state(model)
    options = {"target": 1, "n_steps": 20, "batch_size": 5, "layer": layer}
    alone = [ig.explain(x, **options).attributions for x in xs]
    expected = [outputs(model, x) for x in xs]
    barrier = threading.Barrier(4)

    def explain(i: int) -> Any:
        barrier.wait(timeout=60)
        if i % 4 == 3:  # one thread only calls the model
            with torch.no_grad():
                return [model(x) for x in xs for _ in range(10)][::10]
        return ig.explain(xs[i], **options).attributions

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(explain, range(8), timeout=120))
    for i, result in enumerate(found):
        if i % 4 == 3:
            assert all(torch.equal(a, b) for a, b in zip(result, expected, strict=True))
        else:
            np.testing.assert_allclose(result, alone[i], rtol=0, atol=1e-7)
    assert changed(before, state(model)) == []


def test_threads_may_share_an_explainer(backend: str) -> None:
    entry = zoo.ENTRIES["classes"]()
    ig = frameworks.explainer(backend, entry)
    xs = [entry.x + k for k in range(6)]
    alone = [ig.explain(x, 0, 1, n_steps=60, batch_size=2).attributions for x in xs]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda x: ig.explain(x, 0, 1, n_steps=60, batch_size=2).attributions, xs, timeout=120))
    for a, b in zip(found, alone, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-13)
