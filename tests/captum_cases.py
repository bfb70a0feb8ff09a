"""Models and calls in the forms of Captum's documentation, and how two results are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from captum.testing.helpers import basic_models as basic
from torch import nn


@dataclass(frozen=True)
class Case:
    """A call: the model, its inputs, and the keywords that every method takes."""

    model: Callable[[], Any]
    inputs: Any
    baselines: Any = None
    options: dict[str, Any] = field(default_factory=dict)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    """Return normal numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class Toy(nn.Module):
    """Three inputs, three hidden units with a kink, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.lin1, self.relu, self.lin2 = nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2)
        with torch.no_grad():
            self.lin1.weight.copy_(torch.arange(-4.0, 5.0).view(3, 3))
            self.lin1.bias.zero_()
            self.lin2.weight.copy_(torch.arange(-3.0, 3.0).view(2, 3))
            self.lin2.bias.fill_(1.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores."""
        out: torch.Tensor = self.lin2(self.relu(self.lin1(x)))
        return out


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    """Build a module with weights that are the same every time, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().eval()


def smooth() -> nn.Module:
    """Return a network without kinks: four inputs, three outputs."""
    return seeded(lambda: nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.Softplus(), nn.Linear(5, 3)))


class Grid(nn.Module):
    """Outputs of rank three."""

    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(4, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (N, 2, 3)."""
        return torch.tanh(self.lin(x)).reshape(-1, 2, 3)


def scaled(first: torch.Tensor, second: torch.Tensor, weights: Any = None, factor: float = 1.0) -> torch.Tensor:
    """Return one number per row of two inputs and two additional arguments."""
    out = torch.tanh(first).sum(1) * torch.sigmoid(second).sum(1) * factor
    return out if weights is None else out * weights.sum(1)


X, B = draw(7, 4), draw(7, 4, seed=1)
EACH = [0, 1, 2, 0, 1, 2, 0]
CASES: dict[str, Case] = {
    "readme": Case(Toy, draw(2, 3), torch.zeros(2, 3), {"target": 0}),
    "paper": Case(basic.BasicModel2, (torch.tensor([3.0]), torch.tensor([1.0]))),
    "paper in a batch": Case(
        basic.BasicModel2,
        (torch.tensor([3.0, 3.0, 5.0]), torch.tensor([1.0, 0.0, 2.0])),
        (torch.tensor([0.5, 0.5, 0.5]), 0.25),
    ),
    "second model of the paper": Case(basic.BasicModel3, (torch.tensor([3.0, 4.0]), torch.tensor([1.0, 0.5]))),
    "one output": Case(basic.BasicModel, torch.tensor([[5.0], [0.5]]), 0),
    "two tensors": Case(basic.BasicModel6_MultiTensor, (draw(4, 3), draw(4, 3, seed=2))),
    "additional arguments": Case(
        basic.BasicModel4_MultiArgs,
        (torch.tensor([[1.5, 2.0, 3.3]]), torch.tensor([[3.0, 3.5, 2.2]])),
        (0, torch.tensor([[0.5, 0.0, 0.1]])),
        {"additional_forward_args": torch.tensor([[1.0, 3.0, 4.0]])},
    ),
    "several additional arguments": Case(
        lambda: scaled, (X, B), None, {"additional_forward_args": (draw(7, 2, seed=3), 0.5)}
    ),
    "arguments that are no tensors": Case(
        lambda: lambda x, pair, flag: (x**3).sum(1) * pair[0] if flag else x.sum(1),
        X,
        None,
        {"additional_forward_args": ([2, 3], 1)},
    ),
    "convolutions": Case(basic.BasicModel_ConvNet, draw(3, 1, 10, 10), None, {"target": 1}),
    "one class for all": Case(smooth, X, B, {"target": 1}),
    "a negative class": Case(smooth, X, B, {"target": -1}),
    "a class each, list": Case(smooth, X, B, {"target": EACH}),
    "a class each, tensor": Case(smooth, X, B, {"target": torch.tensor(EACH)}),
    "a class in a tensor": Case(smooth, X, B, {"target": torch.tensor(2)}),
    "a class in a tensor of one": Case(smooth, X, B, {"target": torch.tensor([2])}),
    "rank three, one tuple": Case(lambda: seeded(Grid), X, B, {"target": (1, 2)}),
    "rank three, a tuple each": Case(lambda: seeded(Grid), X, B, {"target": [(i % 2, i % 3) for i in range(7)]}),
    "a baseline for all": Case(smooth, X, B[:1], {"target": 1}),
    "a number as baseline": Case(smooth, X, 0.3, {"target": 1}),
    "whole numbers": Case(smooth, torch.arange(8).reshape(2, 4), 1, {"target": 1}),
    "double precision": Case(lambda: smooth().double(), X.double(), B.double(), {"target": 1}),
}


def tensors(found: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors of a nested result."""
    if isinstance(found, torch.Tensor):
        yield found
    else:
        for part in found:
            yield from tensors(part)


def form(found: Any) -> Any:
    """Return the nesting of a result, with shapes for tensors."""
    return tuple(found.shape) if isinstance(found, torch.Tensor) else (type(found), [form(part) for part in found])


def agree(ours: Any, theirs: Any, atol: float = 1e-5) -> None:
    """Compare structure, shapes, dtypes and numbers; ours are detached."""
    assert form(ours) == form(theirs)
    for a, b in zip(tensors(ours), tensors(theirs), strict=True):
        assert not a.requires_grad
        torch.testing.assert_close(a, b.detach(), rtol=0, atol=atol * max(1.0, float(b.detach().abs().max())))


def seed(number: int = 3) -> None:
    """Seed the generators that Captum draws from."""
    torch.manual_seed(number)
    np.random.seed(number)  # noqa: NPY002 - whose draws it has to repeat


@contextmanager
def untouched(*modules: nn.Module) -> Iterator[None]:
    """Check that models and generators are afterwards what they were."""
    before = [_state(module) for module in modules]
    generators = _generators()
    yield
    assert [_state(module) for module in modules] == before
    assert _generators() == generators


def _generators() -> Any:
    state: Any = np.random.get_state()  # noqa: NPY002 - the one that is not to be drawn from
    return torch.get_rng_state().tolist(), state[1].tolist(), state[2]


def _state(module: nn.Module) -> Any:
    return [
        (
            "forward" in each.__dict__,
            len(each._forward_hooks),
            len(each._forward_pre_hooks),
            len(each._backward_hooks),
            each.training,
            [(name, p.requires_grad, p.grad is None, p.sum().item()) for name, p in each.named_parameters()],
            [(name, b.sum().item()) for name, b in each.named_buffers()],
        )
        for each in module.modules()
    ]
