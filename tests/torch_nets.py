"""Torch models for the structure tests: what an affine prefix may look like, and what must be refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

Shapes = tuple[tuple[int, ...], ...]


class Functional(nn.Module):
    """No modules inside, and a question about a shape at the door."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.randn(9, 6) / 3)
        self.second = nn.Parameter(torch.randn(3, 9) / 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.ndim != 2 or x.shape[1] != 6:
            raise ValueError("expected (N, 6)")
        return functional.linear(functional.relu(functional.linear(x, self.first)), self.second)


class Normalised(nn.Module):
    """Images normalised by constants, padded, then convolved."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1))
        self.spread = 0.3
        self.conv = nn.Conv2d(3, 4, 3)
        self.out = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.pad((x - self.mean) / self.spread, (1, 1, 1, 1))
        return self.out(functional.gelu(self.conv(x)).mean((2, 3)))


class Tied(nn.Module):
    """One layer used twice, and a number that follows the rows."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.tanh(self.layer(x)).view(x.size(0) * 2, 3)
        return self.layer(hidden.view(len(x), -1))


class Patches(nn.Module):
    """Patch embedding, positions, attention: the frontier lies behind the positions."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(1, 8, 2, stride=2)
        self.position = nn.Parameter(0.1 * torch.randn(1, 9, 8))
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.out = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.embed(x).flatten(2).transpose(1, 2) + self.position
        normed = self.norm(tokens)
        mixed, _ = self.attention(normed, normed, normed, need_weights=False)
        return self.out((tokens + mixed).mean(1))


class InPlace(nn.Module):
    """Writes into its input and into the frontier."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x -= 0.5
        x /= 2
        hidden = self.first(x)
        hidden.mul_(1.5)
        return self.second(functional.relu_(hidden))


class Branches(nn.Module):
    """Affine branches that meet again before the first nonlinearity; zeros shaped like the input behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.out = nn.Linear(3, 4), nn.Linear(3, 4), nn.Linear(8, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = x.chunk(2, dim=1)
        hidden = torch.cat([self.left(left), self.right(right)], dim=1) * 0.5
        return self.out(nn.functional.silu(hidden)) + torch.zeros_like(x)


class AffineSkip(nn.Module):
    """The input is used twice, but both ways are affine and meet."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.out = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.tanh(x + self.layer(x)))


class Pair(nn.Module):
    """Two inputs, joined before the first nonlinearity."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.out = nn.Linear(7, 8), nn.Linear(8, 3)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return self.out(torch.sigmoid(self.layer(torch.cat([a, b], dim=1))))


class Masked(nn.Module):
    """A tensor that does not move, in the prefix and behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.out = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.out(torch.tanh(self.layer(x * mask)) * mask)


class Recurrent(nn.Module):
    """Projections in front of an LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.project, self.lstm, self.out = nn.Linear(5, 4), nn.LSTM(4, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.lstm(self.project(x))[0][:, -1])


class Hooked(nn.Module):
    """A forward hook that changes what the first layer returns, as older code for pruning and scaling does."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.out = nn.Linear(6, 8), nn.Linear(8, 3)
        self.layer.register_forward_hook(lambda module, args, out: 2 * out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.tanh(self.layer(x)))


def _trained(model: nn.Module) -> nn.Module:
    """Give batch norms statistics that are not 0 and 1."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return model


def _convolutional() -> nn.Module:
    body = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
    return _trained(nn.Sequential(*body, nn.Flatten(), nn.Linear(16, 3)))


def _nested() -> nn.Module:
    inner = nn.Sequential(nn.Linear(6, 8), nn.Sequential(nn.Identity(), nn.Dropout(0.5)), nn.BatchNorm1d(8))
    return _trained(nn.Sequential(nn.Sequential(inner, nn.ELU()), nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 3)))


def _pooled() -> nn.Module:
    front = [nn.ZeroPad2d(1), nn.AvgPool2d(2), nn.ConvTranspose2d(1, 3, 2), nn.Tanh(), nn.AdaptiveAvgPool2d(2)]
    return nn.Sequential(*front, nn.Flatten(), nn.Linear(12, 3))


def _signal() -> nn.Module:
    return nn.Sequential(nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 4, 3), nn.Softplus(), nn.Flatten(), nn.Linear(16, 3))


# name: the model, the shapes of its inputs behind the first axis, how many of them move, floats at the last cut
HOISTED: dict[str, tuple[Callable[[], nn.Module], Shapes, int, int]] = {
    "mlp": (lambda: nn.Sequential(nn.Linear(6, 9), nn.GELU(), nn.Linear(9, 3)), ((6,),), 1, 9),
    "nested": (_nested, ((6,),), 1, 8),
    "conv, norm, relu in place": (_convolutional, ((1, 6, 6),), 1, 64),
    "flatten first": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Tanh(), nn.Linear(5, 3)),
        ((3, 4),),
        1,
        5,
    ),
    "pad, pool, transposed convolution": (_pooled, ((1, 6, 6),), 1, 75),
    "signal": (_signal, ((6,),), 1, 16),
    "normalised": (Normalised, ((3, 5, 5),), 1, 100),
    "functional": (Functional, ((6,),), 1, 9),
    "tied": (Tied, ((6,),), 1, 6),
    "patches": (Patches, ((1, 6, 6),), 1, 72),
    "in place": (InPlace, ((6,),), 1, 8),
    "branches": (Branches, ((6,),), 1, 8),
    "affine skip": (AffineSkip, ((6,),), 1, 6),
    "recurrent": (Recurrent, ((4, 5),), 1, 16),
    "hooked": (Hooked, ((6,),), 1, 8),
    "two inputs": (Pair, ((4,), (3,)), 2, 8),
    "two inputs, one fixed": (Pair, ((4,), (3,)), 1, 8),
    "mask": (Masked, ((6,), (6,)), 1, 6),
}


class _Like(nn.Module):
    """One linear layer before and after what a subclass does between."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.out = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.between(self.layer(x)))

    def between(self, hidden: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


class Residual(_Like):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(x + torch.relu(self.layer(x)))


class Branching(_Like):
    def between(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.relu(hidden if hidden.sum() > 0 else 2 * hidden)


class Reading(_Like):
    def between(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.relu(hidden) * hidden.abs().max().item()


class ThroughNumpy(_Like):
    def between(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.relu(hidden) + torch.from_numpy(hidden.detach().numpy().copy())


class Swallowing(_Like):
    """Catches whatever the question raises."""

    def between(self, hidden: torch.Tensor) -> torch.Tensor:
        try:
            return torch.relu(hidden) * float(hidden.sum())
        except Exception:
            return torch.relu(hidden)


class Aliased(_Like):
    def between(self, hidden: torch.Tensor) -> torch.Tensor:
        hidden.view(-1).relu_()
        return hidden


class Counting(_Like):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def between(self, hidden: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return torch.relu(hidden)


class Frozen(_Like):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            hidden = self.layer(x)
        return self.out(torch.relu(x) + hidden)


class _Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return 5 * grads[0]


class Custom(_Like):
    def between(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.relu(_Doubled.apply(hidden))


class ByRows(_Like):
    def between(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.relu(hidden) if len(hidden) == 2 else torch.tanh(hidden)


class Uneven(_Like):
    def between(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.relu(hidden) * (1 / len(hidden))


class Picky(_Like):
    def between(self, hidden: torch.Tensor) -> torch.Tensor:
        if len(hidden) < 4:
            raise ValueError("expected four rows")
        return torch.relu(hidden)


class Ignoring(_Like):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ones(len(x), 3)


class GradientHook(_Like):
    def __init__(self) -> None:
        super().__init__()
        self.layer.register_full_backward_hook(lambda module, grads, outs: (3 * grads[0],))

    def between(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.relu(hidden)


class TensorHook(_Like):
    def between(self, hidden: torch.Tensor) -> torch.Tensor:
        hidden.register_hook(lambda grad: 3 * grad)
        return torch.relu(hidden)


class Scripted(_Like):
    def __init__(self) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self.middle = torch.jit.trace(nn.Tanh(), torch.zeros(2, 6))

    def between(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.middle(hidden)


class OwnAttention(nn.Module):
    """Attention on the input itself."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.view(-1, 2, 3)
        return self.out((torch.softmax(x @ x.transpose(1, 2), -1) @ x).mean(1))


def _noisy_dropout() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 3)).train()


def _training_norm() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).train()


# name: the model, and a part of the reason why it cannot be recorded
UNRECORDABLE: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "batch norm in training": (_training_norm, "BatchNorm1d is in training mode"),
    "dropout in training": (_noisy_dropout, "Dropout is in training mode"),
    "branches on values": (Branching, "reads values of its input into Python (__bool__)"),
    "reads a number": (Reading, "reads values of its input into Python (item)"),
    "goes through numpy": (ThroughNumpy, "reads values of its input into Python (numpy)"),
    "swallows errors": (Swallowing, "reads values of its input into Python (__float__)"),
    "writes through a view": (Aliased, "written to in place"),
    "counts its calls": (Counting, "writes to its own tensors"),
    "no gradients": (Frozen, "runs without gradients"),
    "custom function": (Custom, "without gradients"),
    "other layers for other rows": (ByRows, "different operations on other rows"),
    "divides by the rows": (Uneven, "other numbers on other rows"),
    "wants four rows": (Picky, "does not run on 2 rows (ValueError: expected four rows)"),
    "ignores its input": (Ignoring, "does not depend on the input"),
    "gradient hook of a module": (GradientHook, "without gradients"),
    "gradient hook of a tensor": (TensorHook, "register_hook"),
    "traced by jit": (Scripted, "that torch does not show"),
}
# name: the model, and a part of the reason why it has no affine prefix
WITHOUT_PREFIX: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "residual": (Residual, "used again"),
    "layer norm first": (
        lambda: nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 3)),
        "does not begin with an affine operation (layer_norm)",
    ),
    "attention on the input": (OwnAttention, "no work before"),
    "nonlinear first": (lambda: nn.Sequential(nn.Tanh(), nn.Linear(6, 3)), "(tanh)"),
}
