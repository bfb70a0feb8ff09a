"""The zoo: models as data, one difficulty each, with attributions known exactly.

Along a line a network with one hidden layer is a sum of functions of one number, so its integral is a difference of
activations over a difference of arguments: exact for smooth units and for kinks alike. The few models without such a
form are integrated by a composite rule fine enough to be exact to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tape import FORWARD, Step, value, vjp

from pyig import tree

Array = NDArray[Any]


@dataclass(frozen=True)
class Entry:
    """One model.

    Attributes
    ----------
    name, tag : str
        Its name, and its one difficulty.
    steps : list of Step
        The model.
    x, baseline, exact : structures of arrays
        Inputs, baselines and exact attributions, in float64.
    target : int, tuple, array or None
        What is explained.
    """

    name: str
    tag: str
    steps: list[Step]
    x: Any
    baseline: Any
    exact: Any = field(repr=False)
    target: Any = None

    @property
    def leaves(self) -> list[Array]:
        return tree.flatten(self.x)[0]

    @property
    def difference(self) -> Array:
        """F(x) - F(x') per sample."""
        index = self._index()
        start = [
            np.broadcast_to(b, leaf.shape) for b, leaf in zip(tree.flatten(self.baseline)[0], self.leaves, strict=True)
        ]
        ends = [value(self.steps, leaves).reshape(len(index), -1) for leaves in (self.leaves, start)]
        return (ends[0] - ends[1])[np.arange(len(index)), index]

    def _index(self) -> Array:
        shape = value(self.steps, self.leaves).shape
        if self.target is None:
            return np.zeros(shape[0], dtype=int)
        if isinstance(self.target, tuple):
            return np.full(shape[0], np.ravel_multi_index(self.target, shape[1:]))
        return np.broadcast_to(np.asarray(self.target), shape[:1])


def ridges(w: Array, b: Array, v: Array, act: str, x: Array, start: Array) -> Array:
    """Attributions of sum_j v_j act(x w_j + b_j), for v (H,) or one row of it per sample (N, H)."""
    z0, z1 = start @ w + b, x @ w + b
    rise = FORWARD[act](z1) - FORWARD[act](z0)
    slope = np.divide(rise, z1 - z0, out=np.zeros_like(rise), where=z1 != z0)
    return (x - start) * ((slope * v) @ w.T)


def fine(steps: list[Step], x: Any, start: Any, column: int = 0, panels: int = 40) -> Any:
    """Attributions by a composite 16-point rule: exact to rounding for smooth models."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    leaves, spec = tree.flatten(x)
    starts = tree.flatten(start)[0]
    total = [np.zeros(leaf.shape) for leaf in leaves]
    for panel in range(panels):
        for node, weight in zip((panel + (nodes + 1) / 2) / panels, weights / 2 / panels, strict=True):
            point = [
                b + node * (a - b) if np.issubdtype(a.dtype, np.floating) else a
                for a, b in zip(leaves, starts, strict=True)
            ]
            out = value(steps, point)
            cotangent = np.zeros((len(out), int(np.prod(out.shape[1:]))))
            cotangent[:, column] = 1
            for k, grad in enumerate(vjp(steps, point, cotangent.reshape(out.shape))):
                if grad is not None:
                    total[k] += weight * grad * (leaves[k] - starts[k])
    return tree.unflatten(spec, total)


def _hidden(rng: np.random.Generator, outputs: int) -> tuple[Array, ...]:
    """Draw w, b, v, c of a network from 5 inputs through 6 hidden units."""
    return tuple(rng.normal(size=shape) for shape in ((5, 6), 6, (6, outputs), outputs))


def _network(act: str, w: Array, b: Array, v: Array, c: Array) -> list[Step]:
    return [Step("dense", (0,), (w, b)), Step(act, (1,)), Step("dense", (2,), (v, c))]


def linear() -> Entry:
    rng = np.random.default_rng(1)
    w, x = rng.normal(size=(5, 1)), rng.normal(size=(4, 5))
    steps = [Step("dense", (0,), (w, np.zeros(1))), Step("sum", (1,))]
    return Entry("linear", "linear", steps, x, np.zeros((1, 5)), x * w[:, 0])


def affine() -> Entry:
    rng = np.random.default_rng(2)
    w, x, start = rng.normal(size=(5, 1)), rng.normal(size=(4, 5)), rng.normal(size=(4, 5))
    steps = [Step("dense", (0,), (w, np.array([3.5]))), Step("sum", (1,))]
    return Entry("affine", "non-zero baseline", steps, x, start, (x - start) * w[:, 0])


def quadratic() -> Entry:
    rng = np.random.default_rng(3)
    w, x, start = rng.normal(size=(5, 1)), rng.normal(size=(4, 5)), rng.normal(size=(1, 5))
    steps = [Step("square", (0,)), Step("dense", (1,), (w, np.zeros(1))), Step("sum", (2,))]
    return Entry("quadratic", "curved", steps, x, start, (x**2 - start**2) * w[:, 0])


def product() -> Entry:
    rng = np.random.default_rng(4)
    a, b, x, start = rng.normal(size=(5, 1)), rng.normal(size=(5, 1)), rng.normal(size=(4, 5)), rng.normal(size=(4, 5))
    zero, middle = np.zeros(1), (x + start) / 2
    steps = [Step("dense", (0,), (a, zero)), Step("dense", (0,), (b, zero)), Step("mul", (1, 2)), Step("sum", (3,))]
    exact = (x - start) * (a[:, 0] * (middle @ b) + b[:, 0] * (middle @ a))
    return Entry("product", "interaction", steps, x, start, exact)


def _one_hidden(name: str, tag: str, act: str, seed: int) -> Entry:
    rng = np.random.default_rng(seed)
    w, b, v, c = _hidden(rng, 1)
    x, start = rng.normal(size=(4, 5)), rng.normal(size=(1, 5))
    steps = [*_network(act, w, b, v, c), Step("sum", (3,))]
    return Entry(name, tag, steps, x, start, ridges(w, b, v[:, 0], act, x, start))


def tanh() -> Entry:
    return _one_hidden("tanh", "smooth", "tanh", 5)


def softplus() -> Entry:
    return _one_hidden("softplus", "one-sided", "softplus", 6)


def kinked() -> Entry:
    return _one_hidden("kinked", "many kinks", "relu", 7)


def relu() -> Entry:
    w, b = np.array([[2.0], [-1.0], [0.5]]), np.array([-0.3])
    x, start = np.array([[1.0, 0.5, -0.2], [1.1, 0.4, 0.4], [0.0, 0.0, 5.0]]), np.array([[0.0, 0.7, 0.0]])
    steps = [Step("dense", (0,), (w, b)), Step("relu", (1,)), Step("sum", (2,))]
    return Entry("relu", "one kink", steps, x, start, ridges(w, b, np.ones(1), "relu", x, start))


def saturated() -> Entry:
    w, b = np.array([[30.0], [-12.0], [9.0]]), np.array([-8.0])
    x, start = np.array([[1.0, -0.5, 0.2], [0.7, 0.1, 0.4]]), np.zeros((1, 3))
    steps = [Step("dense", (0,), (w, b)), Step("sigmoid", (1,)), Step("sum", (2,))]
    return Entry("saturated", "saturation", steps, x, start, ridges(w, b, np.ones(1), "sigmoid", x, start))


def classes() -> Entry:
    rng = np.random.default_rng(8)
    w, b, v, c = _hidden(rng, 4)
    x, start, target = rng.normal(size=(5, 5)), rng.normal(size=(5, 5)), np.array([3, 0, 1, 1, 2])
    exact = ridges(w, b, v.T[target], "tanh", x, start)
    return Entry("classes", "a class per sample", _network("tanh", w, b, v, c), x, start, exact, target)


def grid() -> Entry:
    rng = np.random.default_rng(9)
    w, b, v, c = _hidden(rng, 6)
    x, start = rng.normal(size=(4, 5)), np.zeros((1, 5))
    steps = [*_network("tanh", w, b, v, c), Step("reshape", (3,), shape=(3, 2))]
    return Entry("grid", "outputs of rank 3", steps, x, start, ridges(w, b, v[:, 4], "tanh", x, start), (2, 0))


def column() -> Entry:
    rng = np.random.default_rng(10)
    w, b, v, c = _hidden(rng, 1)
    x, start = rng.normal(size=(4, 5)), rng.normal(size=(1, 5))
    exact = ridges(w, b, v[:, 0], "tanh", x, start)
    return Entry("column", "outputs (N, 1)", _network("tanh", w, b, v, c), x, start, exact)


def two_inputs() -> Entry:
    rng = np.random.default_rng(11)
    w, b, v, c = _hidden(rng, 3)
    x, start = rng.normal(size=(4, 5)), rng.normal(size=(1, 5))
    steps = [
        Step("dense", (0,), (w[:3], b)), Step("dense", (1,), (w[3:], np.zeros(6))), Step("add", (2, 3)),
        Step("tanh", (4,)), Step("dense", (5,), (v, c)),
    ]  # fmt: skip
    exact = ridges(w, b, v[:, 1], "tanh", x, start)
    cut: Callable[[Array], tuple[Array, Array]] = lambda a: (a[:, :3], a[:, 3:])  # noqa: E731 - one use, three places
    return Entry("two_inputs", "two inputs", steps, cut(x), cut(start), cut(exact), 1)


def record() -> Entry:
    rng = np.random.default_rng(12)
    w, b, v, c = _hidden(rng, 1)
    x, start = rng.normal(size=(3, 5)), rng.normal(size=(3, 5))
    steps = [
        Step("reshape", (0,), shape=(4,)), Step("reshape", (1,), shape=(1,)),
        Step("dense", (2,), (w[:4], b)), Step("dense", (3,), (w[4:], np.zeros(6))), Step("add", (4, 5)),
        Step("tanh", (6,)), Step("dense", (7,), (v, c)),
    ]  # fmt: skip

    def cut(a: Array) -> dict[str, Array]:
        return {"patch": a[:, :4].reshape(-1, 2, 2), "age": a[:, 4]}

    exact = ridges(w, b, v[:, 0], "tanh", x, start)
    return Entry("record", "a dict with a lone number", steps, cut(x), cut(start), cut(exact))


def tokens() -> Entry:
    rng = np.random.default_rng(13)
    w, b, v, c = _hidden(rng, 2)
    table, words = rng.normal(size=(7, 2)), rng.integers(0, 7, size=(4, 3))
    x, start = rng.normal(size=(4, 5)), np.zeros((1, 5))
    lift = rng.normal(size=(6, 6))
    steps = [
        Step("embed", (0,), (table,)), Step("reshape", (2,), shape=(6,)), Step("dense", (3,), (lift, b)),
        Step("dense", (1,), (w, np.zeros(6))), Step("add", (4, 5)), Step("tanh", (6,)), Step("dense", (7,), (v, c)),
    ]  # fmt: skip
    shift = table[words].reshape(4, 6) @ lift + b
    exact = np.concatenate([ridges(w, shift[i], v[:, 1], "tanh", x[i : i + 1], start) for i in range(4)])
    return Entry(
        "tokens", "integers beside floats", steps, (words, x), (words, start), (np.zeros(words.shape), exact), 1
    )


def image() -> Entry:
    rng = np.random.default_rng(14)
    x, start = rng.random(size=(2, 2, 7, 6)), np.full((1, 2, 7, 6), 0.3)
    steps = [
        Step("conv", (0,), (rng.normal(size=(3, 2, 3, 3)) / 2,)), Step("tanh", (1,)),
        Step("reshape", (2,), shape=(60,)), Step("dense", (3,), (rng.normal(size=(60, 3)) / 4, np.zeros(3))),
        Step("tanh", (4,)),
    ]  # fmt: skip
    return Entry("image", "convolution", steps, x, start, fine(steps, x, start, 2), 2)


def deep() -> Entry:
    rng = np.random.default_rng(15)
    w, b, v, c = _hidden(rng, 6)
    x, start = rng.normal(size=(4, 5)), rng.normal(size=(4, 5))
    steps = [
        *_network("tanh", w, b, v, c),
        Step("tanh", (3,)),
        Step("dense", (4,), (rng.normal(size=(6, 1)), np.ones(1))),
    ]
    return Entry("deep", "two hidden layers", steps, x, start, fine(steps, x, start))


ENTRIES: dict[str, Callable[[], Entry]] = {
    make.__name__: make
    for make in (
        linear, affine, quadratic, product, tanh, softplus, kinked, relu, saturated, classes, grid, column, two_inputs,
        record, tokens, image, deep,
    )
}  # fmt: skip
KINKED = ("kinked", "relu")
POLYNOMIAL = {"linear": 0, "affine": 0, "quadratic": 1, "product": 1}  # degree of the gradient along a path
