"""Torch models with layers to cut at, and layer attribution by brute force."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

N, STEPS = 4, 24


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return make().double().eval()


def reference(model: nn.Module, layer: nn.Module, x: Any, start: Any, target: int, to_inputs: bool = False) -> Any:
    """Integrate by hooks: whole forwards with the layer's value replaced, one sample and one node at a time.

    Returns attributions, and F at x with the layer at its baseline value.
    """

    def value_at(given: Any) -> Any:
        seen = []
        hook = (
            layer.register_forward_pre_hook(lambda m, args: seen.append(args[0]))
            if to_inputs
            else layer.register_forward_hook(lambda m, args, out: seen.append(out.clone()))
        )
        with torch.no_grad():
            model(given)
        hook.remove()
        return seen[0]

    def replaced(given: Any, point: Any) -> Any:
        hook = (
            layer.register_forward_pre_hook(lambda m, args: (point.clone(), *args[1:]))
            if to_inputs
            else layer.register_forward_hook(lambda m, args, out: point.clone())
        )
        out = model(given)[0, target]
        hook.remove()
        return out

    nodes, weights = np.polynomial.legendre.leggauss(STEPS)
    total, values = [], []
    for i in range(len(x)):
        begin, end = value_at(start.expand_as(x)[i : i + 1]), value_at(x[i : i + 1])
        sums = torch.zeros_like(end)
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            point = (begin + node * (end - begin)).requires_grad_()
            (grad,) = torch.autograd.grad(replaced(x[i : i + 1], point), point)
            sums += weight * grad
        total.append(sums * (end - begin))
        values.append(float(replaced(x[i : i + 1], begin).detach()))
    return torch.cat(total).numpy(), np.array(values)


class Counted(nn.Module):
    """A module that adds up the rows it is called with."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.rows, self.calls = inner, 0, 0

    def forward(self, x: Any) -> Any:
        self.rows, self.calls = self.rows + len(x), self.calls + 1
        return self.inner(x)


class Skip(nn.Module):
    """Skip connections around every layer, from the input and from the first block."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = Counted(nn.Linear(3, 3)), Counted(nn.Linear(3, 3)), nn.Linear(3, 2)

    def forward(self, x: Any) -> Any:
        h = torch.tanh(self.first(x))
        return torch.tanh(self.last(torch.tanh(self.second(h)) * h + x))


class Text(nn.Module):
    """Token and position embeddings, called by keyword, and a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(10, 4), nn.Embedding(6, 4)
        self.mix, self.out = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, ids: Any, mask: Any = None) -> Any:
        h = self.words(input=ids) + self.places(torch.arange(ids.shape[1]))
        if mask is not None:
            h = h * mask[..., None]
        return self.out(torch.tanh(self.mix(input=h)).mean(1))


class Reused(nn.Module):
    """One activation module before, between and after; an inplace one as well."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Linear(3, 3) for _ in range(3))
        self.act, self.inplace = nn.Tanh(), nn.ELU(inplace=True)

    def forward(self, x: Any) -> Any:
        h = self.a(self.act(x))
        h.mul_(1.5)
        h = self.inplace(h)
        return self.c(self.inplace(self.act(self.b(h)) + h))


class Image(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.out = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(32, 2)

    def forward(self, x: Any) -> Any:
        return self.out(torch.nn.functional.softplus(self.norm(self.conv(x))).flatten(1))


def data(shape: tuple[int, ...]) -> Any:
    return torch.from_numpy(np.random.default_rng(1).normal(size=shape))


class Restless(nn.Module):
    """Calls a block a number of times that depends on the batch; its output is right for any number of calls."""

    def __init__(self) -> None:
        super().__init__()
        self.same, self.mid, self.out = nn.Identity(), nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x: Any) -> Any:
        for _ in range(len(x)):
            x = self.same(x)
        return torch.tanh(self.out(torch.tanh(self.mid(x))))


class Rows(nn.Module):
    """Hands its number of rows on, beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.count, self.mid, self.out = Pair(), nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x: Any) -> Any:
        x, rows = self.count(x)
        return self.out(torch.tanh(self.mid(x)).reshape(rows, 3))


class Pair(nn.Module):
    def forward(self, x: Any) -> Any:
        return x, len(x)


class Fixed(nn.Module):
    """Runs with any number of rows but three."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.mid, self.out = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x: Any) -> Any:
        if len(x) == 3:
            raise ValueError("not three rows")
        return self.out(torch.tanh(self.mid(torch.tanh(self.first(x)))))


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.unused = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x: Any) -> Any:
        return self.a(torch.tanh(self.a(x)))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.out = nn.LSTM(3, 4), nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        return self.out(self.lstm(x.transpose(0, 1))[0][-1])
