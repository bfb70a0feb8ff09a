"""A model written down as its operations: the replay is the model, and what cannot be replayed is refused."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import nn
from torch_nets import HOISTED, UNRECORDABLE, InPlace
from torch_nets import _Like as Like

from pyig.structure.refusal import Refusal
from pyig.structure.torch_program import Program
from pyig.structure.torch_record import record
from pyig.structure.torch_recording import Recording


def calling(model: nn.Module) -> Any:
    def forward(points: Sequence[torch.Tensor], fixed: Sequence[torch.Tensor]) -> torch.Tensor:
        out: torch.Tensor = model(*points, *fixed)
        return out

    return forward


def recorded(model: nn.Module, x: torch.Tensor, start: torch.Tensor | None = None) -> Recording:
    found = record(model, calling(model), [x], [torch.zeros_like(x[:1]) if start is None else start])
    assert isinstance(found, Recording), found
    return found


@pytest.mark.parametrize("rows", [1, 2, 7])
@pytest.mark.parametrize("name", HOISTED)
def test_the_replay_is_the_model_for_any_number_of_rows(name: str, rows: int) -> None:
    torch.manual_seed(1)
    make, shapes, moving, _ = HOISTED[name]
    model = make().eval()
    few, many = ([torch.randn(n, *shape) for shape in shapes] for n in (3, rows))
    found = record(
        model, calling(model), few[:moving], [torch.zeros_like(leaf[:1]) for leaf in few[:moving]], few[moving:]
    )
    assert isinstance(found, Recording), found
    replay = Program(found, (*found.points, *found.fixed), [found.output])
    leaves = [leaf.clone().requires_grad_() for leaf in many]
    outputs = model(*(leaf.clone() for leaf in leaves))
    (again,) = replay(leaves)
    assert torch.equal(again, outputs)
    along = torch.randn_like(outputs)
    for a, b in zip(
        torch.autograd.grad(again, leaves, along), torch.autograd.grad(outputs, leaves, along), strict=True
    ):
        assert torch.allclose(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", UNRECORDABLE)
def test_what_cannot_be_replayed_is_refused(name: str) -> None:
    torch.manual_seed(1)
    make, reason = UNRECORDABLE[name]
    x = torch.randn(4, 6)
    model = make()
    found = record(model, calling(model), [x], [torch.zeros(1, 6)])
    assert isinstance(found, Refusal)
    assert reason in found.reason


def test_a_compiled_model_and_a_tensor_subclass_are_refused() -> None:
    class Named(torch.Tensor):
        pass

    model, x = nn.Linear(6, 3), torch.randn(4, 6)
    assert recorded(model, x)
    found = record(model, calling(model), [x.as_subclass(Named)], [torch.zeros(1, 6)])
    assert isinstance(found, Refusal)
    assert "subclass" in found.reason
    model._orig_mod = None  # what a compiled module carries
    found = record(model, calling(model), [x], [torch.zeros(1, 6)])
    assert isinstance(found, Refusal)
    assert "compiled" in found.reason


@pytest.mark.parametrize("name", HOISTED)
def test_the_model_is_left_as_it_was(name: str) -> None:
    torch.manual_seed(1)
    make, shapes, moving, _ = HOISTED[name]
    model = make().eval()
    leaves = [torch.randn(3, *shape) for shape in shapes]
    kept, before = [leaf.clone() for leaf in leaves], model(*(leaf.clone() for leaf in leaves))
    state, attributes = copy.deepcopy(model.state_dict()), [dict(m.__dict__) for m in model.modules()]
    grads = [p.requires_grad for p in model.parameters()]
    mark = next(m for m in model.modules() if not list(m.children()))
    hooks = [list(m._forward_hooks) for m in model.modules()]
    random = torch.get_rng_state()
    starts = [torch.zeros_like(leaf[:1]) for leaf in leaves[:moving]]
    found = record(model, calling(model), leaves[:moving], starts, leaves[moving:], mark=mark)
    assert isinstance(found, Recording)
    assert all(torch.equal(a, b) for a, b in zip(leaves, kept, strict=True))
    assert torch.equal(model(*(leaf.clone() for leaf in leaves)), before)
    assert all(torch.equal(model.state_dict()[key], value) for key, value in state.items())
    assert [dict(m.__dict__) for m in model.modules()] == attributes
    assert [list(m._forward_hooks) for m in model.modules()] == hooks
    assert [p.requires_grad for p in model.parameters()] == grads
    assert all(p.grad is None for p in model.parameters())
    assert not any(m.training for m in model.modules())
    assert torch.equal(torch.get_rng_state(), random)


def test_a_mark_is_gone_after_an_error() -> None:
    class Failing(Like):
        def between(self, hidden: torch.Tensor) -> torch.Tensor:
            raise ValueError("never")

    model = Failing()
    found = record(model, calling(model), [torch.randn(2, 6)], [torch.zeros(1, 6)], mark=model.layer)
    assert isinstance(found, Refusal)
    assert not model.layer._forward_hooks


def test_a_replay_writes_neither_into_its_arguments_nor_into_what_is_asked_for() -> None:
    torch.manual_seed(0)
    model = InPlace().eval()
    x = torch.randn(3, 6)
    found = recorded(model, x)
    first = next(step for step in found.steps if step.func is nn.functional.linear)
    kept = x.clone()
    with torch.no_grad():
        expected = model.first((x - 0.5) / 2)
        hidden, outputs = Program(found, found.points, [first.outputs[0], found.output])([x])
        assert torch.equal(outputs, model(x.clone()))
    assert torch.equal(x, kept)
    assert torch.equal(hidden, expected)


def test_a_part_cannot_run_without_what_it_needs() -> None:
    model = Like()
    model.between = torch.relu  # type: ignore[method-assign]
    found = recorded(model, torch.randn(3, 6))
    hidden = found.steps[0].outputs[0]
    assert Program(found, [hidden], [found.output]).steps == list(found.steps[1:])
    with pytest.raises(ValueError, match="not given"):
        Program(found, [found.steps[1].outputs[0]], [hidden])


def test_other_threads_may_use_the_model_meanwhile() -> None:
    torch.manual_seed(0)
    model = Like()
    model.between = torch.relu  # type: ignore[method-assign]
    x, results = torch.randn(3, 6), []

    def forward(points: Sequence[torch.Tensor], fixed: Sequence[torch.Tensor]) -> torch.Tensor:
        other = threading.Thread(target=lambda: results.append(model(torch.ones(5, 6))))
        other.start()
        other.join()
        out: torch.Tensor = model(points[0])
        return out

    found = record(model, forward, [x], [torch.zeros(1, 6)], mark=model.layer)
    assert isinstance(found, Recording)
    assert len(found.steps) == 3
    assert found.marked == found.steps[0].outputs
    assert all(torch.equal(out, model(torch.ones(5, 6))) for out in results)
    assert len(results) == 2


def test_multiply_adds_are_counted_per_row() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.out = nn.Conv2d(2, 4, 3), nn.Linear(36, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            flat = self.out(torch.relu(self.conv(x)).flatten(1))
            return flat.unsqueeze(1) @ flat.unsqueeze(2)

    assert recorded(Mixed(), torch.randn(3, 2, 5, 5)).macs == 4 * 9 * (2 * 9) + 36 * 5 + 5


def test_the_weights_are_the_models_own() -> None:
    model = nn.Linear(6, 3)
    x = torch.randn(4, 6)
    found = recorded(model, x)
    replay = Program(found, found.points, [found.output])
    with torch.no_grad():
        model.weight.mul_(2)
        assert torch.equal(replay([x])[0], model(x))
