"""What F is: value=, output_kind= and contrast=, against finite differences and against each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import pyig
from pyig.backends.callable import CallableBackend
from pyig.backends.torch import TorchBackend
from pyig.errors import InputError, NonFiniteError
from pyig.heads import SCALARS, TargetHead

VALUES = ("probability", "log_probability", "log_odds")
RNG = np.random.default_rng(0)
W, B = RNG.normal(size=(4, 3)), RNG.normal(size=3)
X = RNG.normal(size=(5, 4))
TARGET = np.array([0, 2, 1, 1, 2])
NUMPY = CallableBackend(np.sin, np.cos)


def softmax(z: Any) -> Any:
    shifted = np.exp(z - z.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def truth(value: str, p: Any) -> Any:
    """F of the target's probability."""
    return {"probability": p, "log_probability": np.log(p), "log_odds": np.log(p) - np.log1p(-p)}[value]


# --- heads ---------------------------------------------------------------------------------------------------------


def outputs(kind: str, columns: int) -> Any:
    z = np.random.default_rng(3).normal(size=(6, columns))
    if kind == "logits":
        return z
    return softmax(z) if columns > 1 else 1 / (1 + np.exp(-z))


HEADS = [(*key, False) for key in SCALARS] + [(*key, True) for key in SCALARS if key[1] != "output"]


@pytest.mark.parametrize("contrast", [False, True])
@pytest.mark.parametrize(("kind", "value", "binary"), HEADS)
def test_the_cotangent_is_the_slope_of_the_value(kind: str, value: str, binary: bool, contrast: bool) -> None:
    head, out = TargetHead(value, kind, binary), outputs(kind, 1 if binary else 3)
    classes = 2 if binary else 3
    index = [np.arange(6) % classes, (np.arange(6) + 1) % classes][: 2 if contrast else 1]
    found, cotangent = head(NUMPY, out, index)
    assert found.shape == (6,)
    assert cotangent.shape == out.shape
    step = 1e-6
    for column in range(out.shape[1]):
        up, down = out.copy(), out.copy()
        up[:, column] += step
        down[:, column] -= step
        slope = (head(NUMPY, up, index)[0] - head(NUMPY, down, index)[0]) / (2 * step)
        np.testing.assert_allclose(cotangent[:, column], slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("kind", "value", "binary"), HEADS)
def test_heads_are_the_same_in_torch(kind: str, value: str, binary: bool) -> None:
    head, out = TargetHead(value, kind, binary), outputs(kind, 1 if binary else 3)
    index = np.arange(6) % (2 if binary else 3)
    mine = head(NUMPY, out, [index])
    other = head(TorchBackend(torch.tanh), torch.from_numpy(out), [torch.from_numpy(index)])
    for a, b in zip(mine, other, strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("value", VALUES)
def test_logits_and_probabilities_give_the_same_value(value: str) -> None:
    z, index = outputs("logits", 3), np.arange(6) % 3
    p = softmax(z)
    from_logits = TargetHead(value, "logits")(NUMPY, z, [index])[0]
    from_probabilities = TargetHead(value, "probabilities")(NUMPY, p, [index])[0]
    np.testing.assert_allclose(from_logits, truth(value, p[np.arange(6), index]), rtol=1e-12)
    np.testing.assert_allclose(from_probabilities, from_logits, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_saturated_logits_keep_their_digits(dtype: Any) -> None:
    z = np.array([[60.0, 0.0, -5.0], [-200.0, 3.0, 1.0], [1000.0, -1000.0, 0.0]], dtype=dtype)
    index = np.array([0, 0, 1])
    for value, expected in {
        "log_odds": [60 - np.log1p(np.exp(-5)), -200 - 3 - np.log1p(np.exp(-2)), -2000],
        "log_probability": [0, -200 - 3 - np.log1p(np.exp(-2)), -2000],
        "probability": [1, 0, 0],
    }.items():
        found, cotangent = TargetHead(value, "logits")(NUMPY, z, [index])
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-20)
        assert np.isfinite(cotangent).all()


# --- through the engine --------------------------------------------------------------------------------------------


def logits(x: Any) -> Any:
    return torch.tanh(x @ torch.from_numpy(W)) * 3 + torch.from_numpy(B)


def explain(model: Any, value: str | None, **options: Any) -> pyig.Explanation:
    given = {"target": TARGET, "n_steps": 50} | options
    return pyig.IntegratedGradients(model).explain(torch.from_numpy(X), value=value, **given)


@pytest.mark.parametrize("value", VALUES)
def test_attributions_are_those_of_the_function_written_out(value: str) -> None:
    found = explain(logits, value)
    for i in range(5):
        ig = pyig.IntegratedGradients(lambda x, i=i: written_for(x, int(TARGET[i]), value))
        alone = ig.explain(torch.from_numpy(X[i : i + 1]), n_steps=50)
        np.testing.assert_allclose(found.attributions[i], alone.attributions[0], rtol=0, atol=1e-12)
        assert found.values[i] == pytest.approx(alone.values[0], rel=1e-12)
        assert found.deltas[i] == pytest.approx(alone.deltas[0], abs=1e-12)


def written_for(x: Any, target: int, value: str) -> Any:
    p = logits(x).softmax(1)[:, target]
    return {"probability": p, "log_probability": p.log(), "log_odds": p.log() - (1 - p).log()}[value]


@pytest.mark.parametrize("value", VALUES)
def test_a_softmax_in_the_model_changes_nothing(value: str) -> None:
    from_logits = explain(logits, value)
    from_softmax = explain(lambda x: logits(x).softmax(1), value)
    np.testing.assert_allclose(from_softmax.attributions, from_logits.attributions, rtol=0, atol=1e-12)
    assert from_logits.meta["output_kind"] == "logits"
    assert from_softmax.meta["output_kind"] == "probabilities"
    assert from_logits.meta["value"] == value


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("shape", ["(N,)", "(N, 1)"])
@pytest.mark.parametrize("target", [None, 0, 1, [0, 1, 1, 0, 0], "predicted", "top2"])
def test_one_output_is_two_classes_either_way(value: str, shape: str, target: Any) -> None:
    def logit(x: Any) -> Any:
        z = (x**2).sum(1, keepdim=True) - 3
        return z if shape == "(N, 1)" else z[:, 0]

    def probability(x: Any) -> Any:
        return logit(x).sigmoid()

    def both(x: Any) -> Any:
        z = logit(x).reshape(-1, 1)
        return torch.cat([torch.zeros_like(z), z], dim=1)

    two = explain(both, value, target=1 if target is None else target, output_kind="logits")
    for model, kind in ((logit, "logits"), (probability, "probabilities")):
        one = explain(model, value, target=target, output_kind=kind)
        np.testing.assert_allclose(one.attributions, two.attributions, rtol=0, atol=1e-10)
        np.testing.assert_allclose(one.values, two.values, rtol=1e-9)


def test_complementary_classes_mirror_each_other() -> None:
    def logit(x: Any) -> Any:
        return (x**2).sum(1)

    first, second = (explain(logit, "log_odds", target=t, output_kind="logits") for t in (0, 1))
    np.testing.assert_allclose(first.attributions, -second.attributions, rtol=1e-12)


# --- recognising ---------------------------------------------------------------------------------------------------

LINEAR = torch.nn.Linear(4, 3).double()


class Gate(torch.nn.Module):
    """Registers its softmax last and uses it in the middle, as attention blocks do."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = torch.nn.Linear(4, 3).double()
        self.softmax = torch.nn.Softmax(1)

    def forward(self, x: Any) -> Any:
        return self.fc(x) * self.softmax(self.fc(x)) - 1


MODELS = {
    "linear last": (torch.nn.Sequential(LINEAR), "logits"),
    "softmax last": (torch.nn.Sequential(LINEAR, torch.nn.Softmax(1)), "probabilities"),
    "sigmoid last": (torch.nn.Sequential(LINEAR, torch.nn.Sigmoid()), "probabilities"),
    "nested": (
        torch.nn.Sequential(torch.nn.Sequential(LINEAR), torch.nn.Sequential(torch.nn.Sigmoid())),
        "probabilities",
    ),
    "a block that hides a softmax": (torch.nn.Sequential(torch.nn.Identity(), Gate()), "logits"),
    "a function of logits": (logits, "logits"),
    "a function of probabilities": (lambda x: logits(x).softmax(1), "probabilities"),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_kind_of_output_is_recognised(name: str) -> None:
    model, kind = MODELS[name]
    assert explain(model, "probability", n_steps=2).meta["output_kind"] == kind


def test_what_the_user_says_wins() -> None:
    found = explain(lambda x: logits(x).softmax(1), "probability", output_kind="logits", n_steps=2)
    assert found.meta["output_kind"] == "logits"
    p = softmax(softmax(np.tanh(X @ W) * 3 + B))
    np.testing.assert_allclose(found.values, p[np.arange(5), TARGET], rtol=1e-12)


@pytest.mark.parametrize(
    "model", [lambda x: x.sum(1).sigmoid(), lambda x: x.sum(1, keepdim=True).sigmoid(), lambda x: logits(x).sigmoid()]
)
def test_what_cannot_be_told_is_asked(model: Any) -> None:
    with pytest.raises(InputError, match=r'between 0 and 1; pass output_kind="logits" or'):
        explain(model, "log_odds", target=0)


def test_without_value_nothing_is_recognised() -> None:
    found = explain(lambda x: x.sum(1).sigmoid(), None, target=0, n_steps=2)
    assert found.meta["output_kind"] is None
    assert found.meta["value"] == "output"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"value": "odds"}, "unknown value 'odds'; did you mean 'log_odds'"),
        ({"value": "log_odds", "output_kind": "logit"}, "unknown output_kind 'logit'; did you mean 'logits'"),
        ({"value": "log_odds", "target": lambda out: out[:, 0]}, "only with an index target"),
    ],
)
def test_wrong_wishes_are_refused(options: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        explain(logits, **options)


def test_outputs_of_higher_rank_have_no_classes() -> None:
    with pytest.raises(InputError, match=r"outputs of shape \(N,\), \(N, 1\) or \(N, C\) for value='log_odds'"):
        explain(lambda x: x.reshape(-1, 2, 2), "log_odds", target=(0, 1))


def test_probabilities_that_are_none_end_in_an_error() -> None:
    with pytest.raises(NonFiniteError, match="at both ends"):
        explain(lambda x: x.sum(1) - 100, "log_odds", output_kind="probabilities", target=1)
