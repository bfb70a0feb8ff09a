"""Bad input gives one error: what was expected, what came, what to do; before any model call where that can be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import frameworks
import numpy as np
import pytest
import torch
import zoo
from torch import nn

import pyig
from pyig.errors import InputError, InputTypeError, ModelError, NonFiniteError, PyigError, RowsError, missing, unknown

ENTRY = zoo.ENTRIES["classes"]()  # x (5, 5), 4 classes
BUILT_IN = {InputError: ValueError, InputTypeError: TypeError} | dict.fromkeys(
    (ModelError, NonFiniteError, RowsError), RuntimeError
)


def said(call: Callable[[], Any], kind: type[PyigError]) -> str:
    """Return the message of the one pyig error that a call raises."""
    with pytest.raises(kind) as caught:
        call()
    error = caught.value
    assert type(error) is kind
    assert isinstance(error, BUILT_IN[kind]), "code that catches the built-in kind goes on working"
    chain, seen = error.__cause__ or error.__context__, []
    while chain is not None:
        seen.append(chain)
        chain = chain.__cause__ or chain.__context__
    assert not any(isinstance(other, PyigError) for other in seen), "one error, not a chain of them"
    message = str(error)
    assert "\n" not in message
    return message


class Counted:
    """A model of the zoo in any framework that counts its calls."""

    def __init__(self, backend: str) -> None:
        self.calls = 0
        self.ig = frameworks.explainer(backend, ENTRY)
        inner = self.ig.model

        def model(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            return inner(*args, **kwargs)

        options = {"gradient": inner.gradient} if backend == "callable" else {"backend": backend}
        self.ig = pyig.IntegratedGradients(model, **options)


HOLE = ENTRY.x.copy()
HOLE[3, 1] = np.nan
DOOR: list[tuple[dict[str, Any], type[PyigError], list[str]]] = [
    ({"n_step": 3}, InputError, ["unknown option 'n_step'", "did you mean 'n_steps'", "Known: "]),
    ({"internal_batch_size": 3}, InputError, ["unknown option", "did you mean 'batch_size'"]),
    ({"method": "gauslegendre"}, InputError, ["unknown method", "did you mean 'gausslegendre'"]),
    ({"method": None}, InputTypeError, ["method=", "NoneType"]),
    ({"n_steps": 0}, InputError, ["n_steps=", "at least 1", "got 0"]),
    ({"n_steps": -5}, InputError, ["got -5"]),
    ({"n_steps": 2.5}, InputError, ["whole number", "got 2.5"]),
    ({"n_steps": "many"}, InputError, ["got 'many'"]),
    ({"n_steps": True}, InputError, ["got True"]),
    ({"n_steps": 10**12}, InputError, ["gausslegendre", "1000000000000"]),
    ({"method": "simpson", "n_steps": 10}, InputError, ["simpson", "odd", "9 or 11"]),
    ({"method": "riemann_trapezoid", "n_steps": 1}, InputError, ["n >= 2", "got 1"]),
    ({"value": "odds"}, InputError, ["unknown value", "did you mean 'log_odds'"]),
    ({"output_kind": "logit"}, InputError, ["unknown output_kind", "did you mean 'logits'"]),
    ({"nan_policy": "ignore"}, InputError, ["unknown nan_policy", "mark, raise"]),
    ({"rtol": 0}, InputError, ["rtol=", "between 0 and 1", "got 0"]),
    ({"rtol": 2.0}, InputError, ["got 2.0"]),
    ({"rtol": "1%"}, InputError, ["got '1%'"]),
    ({"rtol": float("nan")}, InputError, ["got nan"]),
    ({"batch_size": 0}, InputError, ['batch_size="auto"', "got 0"]),
    ({"batch_size": "big"}, InputError, ["got 'big'"]),
    ({"forward_kwargs": [1]}, InputTypeError, ["forward_kwargs= as a dict", "got list"]),
    ({"rng": "seed"}, InputTypeError, ["rng=", "'seed'"]),
    ({"rng": -1}, InputTypeError, ["rng=", "-1"]),
    ({"cancel": 3}, InputTypeError, ["is_set()", "got int"]),
    ({"progress": 3}, InputTypeError, ["progress=", "got int"]),
    ({"feature_names": ["a"]}, InputError, ["5 feature_names", "got 1"]),
    ({"feature_names": "abcde"}, InputTypeError, ["sequence of names", "'abcde'"]),
    ({"baselines": np.zeros(4)}, InputError, ["(5, 5)", "got (4,)", "pyig.several"]),
    ({"baselines": "zeroes"}, InputError, ["unknown baseline", "did you mean 'zero'"]),
    ({"baselines": HOLE}, InputError, ["finite values in the baseline"]),
    ({"baselines": np.array(["a"] * 5)}, InputTypeError, ["numbers", "<U1"]),
    ({"target": "best"}, InputError, ["'predicted'", "got 'best'"]),
    ({"target": [0, 1]}, InputError, ["one entry per sample", "got shape (2,)"]),
    ({"target": 1.0}, InputTypeError, ["whole numbers", "float"]),
    ({"target": True}, InputTypeError, ["boolean True", "int(True)"]),
    ({"contrast": "top2"}, InputError, ["contrast=", "'top2'"]),
    ({"x": HOLE}, InputError, ["finite numbers", "got nan", "(3, 1)", "missing values"]),
    ({"x": np.full((2, 5), -np.inf)}, InputError, ["got -inf", "(0, 0)"]),
    ({"x": ENTRY.x[:0]}, InputError, ["at least one sample", "(0, 5)"]),
    ({"x": np.float64(3)}, InputError, ["batch axis", "x[None]"]),
    ({"x": [ENTRY.x, ENTRY.x[:3]]}, InputError, ["same number of rows", "0: (5, 5)", "1: (3, 5)"]),
    ({"x": [[1.0, 2.0], [3.0]]}, InputError, ["same length"]),
    ({"x": "text"}, InputTypeError, ["array", "builtins.str"]),
    ({"x": ENTRY.x > 0}, InputTypeError, ["floating dtype", "bool"]),
]


def case_id(case: Any) -> str | None:
    return ",".join(f"{k}={str(v)[:12]}" for k, v in case.items()) if isinstance(case, dict) else None


@pytest.mark.parametrize(("given", "kind", "words"), DOOR, ids=case_id)
def test_refused_at_the_door(given: dict[str, Any], kind: type[PyigError], words: list[str], backend: str) -> None:
    model = Counted(backend)
    options = {"x": ENTRY.x, "target": ENTRY.target} | given
    message = said(lambda: model.ig.explain(**options), kind)
    for word in words:
        assert word in message
    assert model.calls == 0, "the model was not bothered"


@pytest.mark.parametrize("method", ["explain", "attribute"])
def test_the_count_of_calls_can_fail(method: str, backend: str) -> None:
    model = Counted(backend)
    getattr(model.ig, method)(ENTRY.x, target=1, n_steps=2)
    assert model.calls > 0


def test_attribute_has_the_same_door(backend: str) -> None:
    model = Counted(backend)
    assert "did you mean 'n_steps'" in said(lambda: model.ig.attribute(ENTRY.x, n_step=3), InputError)
    assert "got shape (2,)" in said(lambda: model.ig.attribute(ENTRY.x, target=[0, 1]), InputError)
    assert model.calls == 0


def test_a_target_out_of_range_costs_one_call(backend: str) -> None:
    model = Counted(backend)
    message = said(lambda: model.ig.explain(ENTRY.x, target=[0, 1, 2, 4, 0]), InputError)
    assert "target=4 is out of range for sample 3" in message
    assert "(N, 4)" in message
    assert "0 to 3" in message
    assert model.calls == 1


def test_wrong_numbers_of_output_names_are_refused(backend: str) -> None:
    ig = frameworks.explainer(backend, ENTRY)
    message = said(lambda: ig.explain(ENTRY.x, n_steps=2, output_names=["a", "b"]), InputError)
    assert "4 output_names; got 2" in message
    assert ig.explain(ENTRY.x, n_steps=2, output_names=list("abcd")).output_names == tuple("abcd")


# --- models --------------------------------------------------------------------------------------------------------

X = torch.linspace(0.1, 1, 12, dtype=torch.float64).reshape(4, 3)


def explain(model: Any, x: Any = X, **options: Any) -> pyig.Explanation:
    return pyig.IntegratedGradients(model).explain(x, **({"n_steps": 8} | options))


@pytest.mark.parametrize("model", [3, None, "net.pt", np.zeros(3), [nn.Linear(3, 2)]])
def test_a_model_must_be_callable(model: Any) -> None:
    assert "that can be called" in said(lambda: pyig.IntegratedGradients(model), InputTypeError)


def test_a_class_is_no_model() -> None:
    assert "Pass an instance" in said(lambda: pyig.IntegratedGradients(nn.Linear), InputTypeError)


@pytest.mark.parametrize("model", [np.sin, len, lambda x: x])
def test_a_function_of_numpy_needs_a_gradient(model: Any) -> None:
    message = said(lambda: explain(model, np.ones((2, 3))), InputTypeError)
    for word in ("which framework", "numpy.ndarray", 'backend="torch"', "gradient="):
        assert word in message


def test_unknown_backends_are_named() -> None:
    message = said(lambda: pyig.IntegratedGradients(np.sin, backend="pytorch").explain(np.ones(3)), InputError)
    assert "did you mean 'torch'" in message


NO_GRADIENT: dict[str, Callable[[Any], Any]] = {
    "detach": lambda x: x.detach() * 2,
    "argmax": lambda x: x.argmax(1),
    "comparison": lambda x: x > 0.5,
    "numpy": lambda x: torch.from_numpy(x.detach().numpy().copy()),
    "constant": lambda x: torch.ones(len(x), 3),
}


@pytest.mark.parametrize("name", NO_GRADIENT)
def test_a_model_without_gradient(name: str) -> None:
    message = said(lambda: explain(NO_GRADIENT[name], target=0 if name != "argmax" else None), ModelError)
    assert "differentiable" in message
    assert "detach" in message


def test_no_grad_inside_the_model() -> None:
    model = nn.Linear(3, 2).double()
    model.forward = torch.no_grad()(model.forward)  # type: ignore[method-assign]
    assert "no_grad" in said(lambda: explain(model, target=0), ModelError)


def test_an_unused_input_is_named() -> None:
    def model(a: Any, b: Any) -> Any:
        return a.sum(1)

    message = said(lambda: explain(model, {"a": X, "b": X}), InputError)
    assert "input 'b'" in message
    assert "allow_unused=True" in message
    found = explain(model, {"a": X, "b": X}, allow_unused=True)
    assert not found.attributions["b"].any()
    np.testing.assert_allclose(found.attributions["a"], X, rtol=1e-12)


RESHAPED: dict[str, tuple[Callable[[Any], Any], Any, str]] = {
    "more rows": (lambda x: x.reshape(-1, 1), None, "(12, 1)"),
    "fewer rows": (lambda x: x.reshape(len(x) // 2, -1), 0, "(2, 6)"),
    "mean over the batch": (lambda x: x.mean(0), 0, "(3,)"),
}


@pytest.mark.parametrize("name", RESHAPED)
def test_a_model_that_reshapes_its_batch(name: str) -> None:
    model, target, shape = RESHAPED[name]
    message = said(lambda: explain(model, target=target), RowsError)
    assert "one output row per input row (4)" in message
    assert f"got outputs of shape {shape}" in message


def test_a_batch_that_fits_by_chance_is_found_later() -> None:
    message = said(lambda: explain(lambda x: x.mean(0), X[:3], target=0, baselines=0 * X[:3]), RowsError)
    assert "one output row per input row (24)" in message


def test_tokens_given_as_floats() -> None:
    model = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(9, 2))
    message = said(lambda: explain(model, torch.ones(4, 3), target=0), ModelError)
    for word in ("token", "whole numbers", "x.long()", "layer="):
        assert word in message
    ids = torch.ones(4, 3, dtype=torch.long)
    assert explain(model, ids, target=0).attributions.shape == (4, 3)
    assert explain(model, ids, target=0, layer="0").attributions.shape == (4, 3, 3)
    message = said(lambda: explain(nn.Linear(3, 2), ids, target=0), InputTypeError)
    assert "layer=" in message


@pytest.mark.parametrize(
    "model", [nn.Linear(3, 2), nn.Sequential(nn.Unflatten(1, (1, 3)), nn.Conv1d(1, 2, 2), nn.Flatten())]
)
def test_another_dtype_than_the_weights(model: Any) -> None:
    message = said(lambda: explain(model, X, target=0), ModelError)
    assert "dtype of the model's weights" in message
    assert "x.float()" in message


def test_another_device_than_the_weights() -> None:
    model = nn.Linear(3, 2).to("meta")
    message = said(lambda: explain(model, X.float(), target=0), ModelError)
    assert "device of the model" in message


# --- numbers that are none -----------------------------------------------------------------------------------------


def root(x: Any) -> Any:
    return torch.sqrt((x.sum(1) - 1) ** 2 - 0.01)


@pytest.mark.parametrize("batch_size", [1, 7, "auto"])
def test_nan_on_the_path_names_sample_and_alpha(batch_size: Any) -> None:
    message = said(lambda: explain(root, X, n_steps=40, batch_size=batch_size), NonFiniteError)
    sample, alpha = 1, float(message.split("alpha=")[1].split()[0])
    assert f"for sample {sample} at" in message, "sample 0 ends before the gap"
    assert abs(alpha * float(X[1].sum()) - 1) < 0.1
    assert 'nan_policy="mark"' in message


def test_nan_gradients_name_the_input() -> None:
    def model(a: Any, b: Any) -> Any:
        return torch.sqrt(a * 0).sum(1) + b.sum(1)

    message = said(lambda: explain(model, {"a": X, "b": X}), NonFiniteError)
    assert "gradient with respect to input 'a' is not finite" in message
    assert "for sample 0 at alpha=" in message


@pytest.mark.parametrize(("x", "start", "where"), [(-X, 1.0, "input of sample 0"), (X, -1.0, "baseline of sample 0")])
def test_nan_at_an_end_names_the_end(x: Any, start: float, where: str) -> None:
    message = said(lambda: explain(lambda z: z.sum(1).log(), x, baselines=start), NonFiniteError)
    assert f"at the {where}" in message


def test_marked_nan_stays_with_its_sample() -> None:
    for on_host in (True, False):
        x = X if on_host else X.to(torch.float16)
        found = explain(root, x, n_steps=40, nan_policy="mark", batch_size=5)
        bad = np.isnan(found.attributions).any(axis=1)
        assert bad.any()
        assert not bad[0]
        assert np.isnan(found.deltas[bad]).all()
        assert not found.converged[bad].any()


# --- the user's own errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [None, "1"])
def test_errors_of_the_model_come_through_unchanged(layer: str | None) -> None:
    class Own(nn.Module):
        def forward(self, x: Any) -> Any:
            raise LookupError("my own")

    with pytest.raises(LookupError, match="my own"):
        explain(nn.Sequential(Own(), nn.Linear(3, 2)), target=0, layer=layer)


def test_errors_of_a_callback_come_through_unchanged() -> None:
    with pytest.raises(ZeroDivisionError):
        explain(torch.nn.Linear(3, 2).double(), target=0, progress=lambda done, total: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        explain(torch.nn.Linear(3, 2).double(), target=lambda out: 1 / 0)


def test_wrong_gradients_of_numpy_functions() -> None:
    wrong: list[tuple[Any, type[PyigError], str]] = [
        (lambda x: x[:, :1], ModelError, "return shape (4, 3); got (4, 1)"),
        (lambda x: [x, x], ModelError, "1 arrays, one per input; got 2"),
        (lambda x: None, InputError, "does not depend on the input"),
        (3, InputTypeError, "gradient= as a function; got int"),
    ]
    for gradient, kind, words in wrong:
        ig = pyig.IntegratedGradients(lambda x: x.sum(axis=1), gradient=gradient)
        assert words in said(lambda ig=ig: ig.explain(X.numpy(), n_steps=1), kind)


def test_the_forms_of_the_helpers() -> None:
    assert str(unknown("view", "bar", ["bars", "text"])) == "unknown view 'bar'; did you mean 'bars'? Known: bars, text"
    assert str(missing("tqdm", "The bar", "progress")).endswith('pip install "pyig-explain[progress]"')
    assert issubclass(type(missing("a", "b", "c")), ImportError)
