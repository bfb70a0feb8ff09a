"""What may be passed: every kind of input, keyword argument and model output of the design."""

from __future__ import annotations

import importlib
from collections import UserDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import frameworks
import numpy as np
import pandas as pd
import pytest
import torch
import zoo

import pyig
from pyig import tree
from pyig.errors import InputError, InputTypeError, ModelError

TANH = zoo.ENTRIES["tanh"]()
RECORD = zoo.ENTRIES["record"]()
PAIR = zoo.ENTRIES["two_inputs"]()
TOKENS = zoo.ENTRIES["tokens"]()


def close(found: Any, exact: Any, tolerance: float = 1e-9) -> None:
    for a, b in zip(tree.flatten(found)[0], tree.flatten(exact)[0], strict=True):
        np.testing.assert_allclose(np.asarray(a, dtype=np.float64), b, rtol=0, atol=tolerance)


# --- structures ----------------------------------------------------------------------------------------------------


def test_a_tuple_comes_back_as_a_tuple_and_a_list_as_a_list(backend: str) -> None:
    ig = frameworks.explainer(backend, PAIR)
    for kind in (tuple, list):
        found = ig.explain(kind(PAIR.x), kind(PAIR.baseline), 1, n_steps=60)
        assert type(found.attributions) is kind
        close(found.attributions, PAIR.exact)


def test_a_dict_comes_back_with_its_keys(backend: str) -> None:
    ig = frameworks.explainer(backend, RECORD)
    found = ig.explain(RECORD.x, RECORD.baseline, n_steps=60)
    assert list(found.attributions) == list(RECORD.x)
    assert found.attributions["age"].shape == (3,)
    close(found.attributions, RECORD.exact)
    turned = ig.explain({key: RECORD.x[key] for key in ("age", "patch")}, RECORD.baseline, n_steps=60)
    close(turned.attributions["age"], RECORD.exact["age"])
    close(ig.explain(UserDict(RECORD.x), RECORD.baseline, n_steps=60).attributions, RECORD.exact)


def test_nested_structures_go_through() -> None:
    def model(pair: Any, extra: Any) -> Any:
        return torch.tanh(pair[0].sum(1) + pair[1]["a"] * 2) + extra[0].sum(1)

    x = {"pair": (torch.rand(3, 2), {"a": torch.rand(3)}), "extra": [torch.rand(3, 4)]}
    found = pyig.IntegratedGradients(model).explain(x, n_steps=30)
    assert found.attributions["pair"][1]["a"].shape == (3,)
    np.testing.assert_allclose(found.attributions["extra"][0], x["extra"][0], rtol=1e-5)
    assert np.abs(found.deltas).max() < 1e-5


def test_a_table_comes_back_as_a_table(backend: str) -> None:
    frame = pd.DataFrame(TANH.x, columns=list("abcde"), index=["p", "q", "r", "s"])
    found = frameworks.explainer(backend, TANH).explain(frame, TANH.baseline, n_steps=60)
    close(found.attributions.to_numpy(), TANH.exact)
    assert list(found.attributions.columns) == list("abcde")
    assert list(found.attributions.index) == ["p", "q", "r", "s"]
    assert found.feature_names == tuple("abcde")


def test_lists_of_numbers_are_arrays(backend: str) -> None:
    found = frameworks.explainer(backend, TANH).explain(TANH.x.tolist(), TANH.baseline, n_steps=60)
    assert isinstance(found.attributions, np.ndarray)
    close(found.attributions, TANH.exact)


def test_integers_are_held_fixed(backend: str) -> None:
    found = frameworks.explain(backend, TOKENS, n_steps=60)
    close(found.attributions, TOKENS.exact)
    np.testing.assert_array_equal(found.inputs[0], TOKENS.x[0])
    np.testing.assert_array_equal(found.baselines[0], TOKENS.x[0])


def test_booleans_are_held_fixed() -> None:
    def model(x: Any, keep: Any) -> Any:
        return (x * keep).pow(2).sum(1)

    x, keep = torch.rand(3, 4, dtype=torch.float64), torch.tensor([[True, False, True, True]] * 3)
    found = pyig.IntegratedGradients(model).explain((x, keep), n_steps=3)
    np.testing.assert_allclose(found.attributions[0], (x * keep).pow(2), rtol=1e-12)
    assert not found.attributions[1].any()


def test_tensors_in_tensors_out(backend: str) -> None:
    tensor = frameworks.framework(backend).tensor
    ig = frameworks.explainer(backend, RECORD)
    x, start = (tree.tree_map(tensor, side) for side in (RECORD.x, RECORD.baseline))
    found, gap = ig.attribute(x, start, n_steps=60, return_convergence_delta=True)
    assert type(found["age"]) is type(gap) is type(x["age"])
    assert found["patch"].dtype == x["patch"].dtype
    close({key: np.asarray(leaf) for key, leaf in found.items()}, RECORD.exact)
    assert np.abs(np.asarray(gap)).max() < 1e-12


def test_numpy_in_numpy_out(backend: str) -> None:
    found = frameworks.explainer(backend, TANH).attribute(TANH.x, TANH.baseline, n_steps=60)
    assert type(found) is np.ndarray
    assert found.flags.writeable
    close(found, TANH.exact)


def test_attribute_and_explain_agree(backend: str) -> None:
    ig = frameworks.explainer(backend, TANH)
    for options in ({"n_steps": 7}, {"method": "simpson", "n_steps": 9}, {"batch_size": 3}):
        found = ig.explain(TANH.x, TANH.baseline, **options)
        plain, gap = ig.attribute(TANH.x, TANH.baseline, return_convergence_delta=True, **options)
        np.testing.assert_array_equal(plain, found.attributions)
        np.testing.assert_array_equal(gap, found.deltas)


# --- memory and dtypes ---------------------------------------------------------------------------------------------


def read_only(a: Any) -> Any:
    a = a.copy()
    a.flags.writeable = False
    return a


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "reversed": lambda a: a[::-1].copy()[::-1],
    "columns reversed": lambda a: a[:, ::-1].copy()[:, ::-1],
    "every second": lambda a: np.repeat(np.repeat(a, 2, 0), 2, 1)[::2, ::2],
    "fortran": np.asfortranarray,
    "read-only": read_only,
    "foreign bytes": lambda a: a.astype(">f8"),
    "misaligned": lambda a: np.frombuffer(b"x" + a.tobytes(), offset=1, dtype=a.dtype).reshape(a.shape),
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape),
    "subclass": lambda a: a.view(np.recarray),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_of_memory(layout: str, backend: str) -> None:
    ig = frameworks.explainer(backend, TANH)
    x = LAYOUTS[layout](TANH.x)
    plain = ig.explain(np.ascontiguousarray(x, dtype=np.float64), LAYOUTS[layout](2 * TANH.x), n_steps=5)
    found = ig.explain(x, 2 * np.ascontiguousarray(x, dtype=np.float64), n_steps=5)
    if layout != "broadcast":
        np.testing.assert_allclose(plain.attributions, found.attributions, rtol=1e-13)
    np.testing.assert_allclose(found.inputs, x)


VIEWS: dict[str, Callable[[Any], Any]] = {
    "transposed": lambda t: t.T.contiguous().T,
    "expanded": lambda t: t[:1].expand(4, -1),
    "sliced": lambda t: t.repeat_interleave(2, 1)[:, ::2],
    "requires grad": lambda t: t.clone().requires_grad_(),
    "parameter": torch.nn.Parameter,
    "in a graph": lambda t: t.clone().requires_grad_() * 1.0,
}


@pytest.mark.parametrize("view", VIEWS)
def test_any_view_of_a_tensor(view: str) -> None:
    ig = frameworks.explainer("torch", TANH)
    x = VIEWS[view](torch.from_numpy(TANH.x))
    expected = ig.attribute(x.detach().clone(memory_format=torch.contiguous_format), n_steps=5)
    found = ig.attribute(x, x.detach() * 0, n_steps=5)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-14)
    assert not found.requires_grad
    assert x.grad_fn is not None or x.grad is None


def test_images_with_channels_last_in_memory() -> None:
    entry = zoo.ENTRIES["image"]()
    x = torch.from_numpy(entry.x).to(memory_format=torch.channels_last)
    found = frameworks.explainer("torch", entry).explain(x, 0.3, 2, n_steps=60)
    close(found.attributions, entry.exact)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_modes_without_gradients_do_not_matter(mode: Any) -> None:
    ig = frameworks.explainer("torch", TANH)
    expected = ig.attribute(torch.from_numpy(TANH.x), n_steps=5)
    with mode():
        x, start = torch.from_numpy(TANH.x) * 1, torch.zeros(1, 5, dtype=torch.float64)
        assert torch.equal(ig.attribute(x, n_steps=5), expected)
    assert torch.equal(ig.attribute(x, start, n_steps=5), expected), "made in the mode, used outside"


def test_float64_arrays_follow_a_float32_model() -> None:
    ig = frameworks.explainer("torch", TANH, np.float32)
    found = ig.explain(TANH.x, TANH.baseline, n_steps=60)
    assert found.attributions.dtype == np.float32
    close(found.attributions, TANH.exact, 1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_comes_back_as_it_came(dtype: torch.dtype) -> None:
    model = frameworks.framework("torch").build(TANH.steps, (), np.float32).to(dtype)
    ig = pyig.IntegratedGradients(model)
    x = torch.from_numpy(TANH.x).to(dtype)
    found = ig.attribute(x, torch.from_numpy(TANH.baseline).to(dtype), n_steps=50)
    assert found.dtype == dtype
    close(found.float().numpy(), TANH.exact, 0.3 if dtype == torch.bfloat16 else 0.03)
    assert ig.explain(x, n_steps=3).attributions.dtype == np.float32


def test_autocast_around_the_call() -> None:
    ig = frameworks.explainer("torch", TANH, np.float32)
    x = torch.from_numpy(TANH.x).float()
    with torch.autocast("cpu", torch.bfloat16):
        found = ig.attribute(x, 0, n_steps=20)
    assert found.dtype == torch.float32
    assert not torch.equal(found, ig.attribute(x, 0, n_steps=20)), "the model did run in half precision"


def test_no_samples_is_an_error(backend: str) -> None:
    with pytest.raises(InputError, match=r"at least one sample; got .* of shape \(0, 5\)"):
        frameworks.explainer(backend, TANH).explain(TANH.x[:0])


def test_no_features_is_an_empty_answer() -> None:
    ig = pyig.IntegratedGradients(lambda x: x.sum(axis=1) + 1, gradient=np.ones_like)
    found = ig.explain(np.zeros((2, 0)), n_steps=3)
    assert found.attributions.shape == (2, 0)
    np.testing.assert_array_equal(found.values, [1, 1])


@pytest.mark.parametrize(
    ("x", "error", "said"),
    [
        (3.0, InputError, r"batch axis.*x\[None\]"),
        ("text", InputTypeError, "got builtins.str"),
        (None, InputTypeError, "got builtins.NoneType"),
        ([], InputTypeError, "got builtins.list"),
        (np.zeros((2, 5), complex), InputTypeError, "complex128"),
        (np.array([["a"] * 5]), InputTypeError, "<U1"),
        (np.zeros((2, 5), int), InputTypeError, r"int64, and no embedding .*pass layer="),
        (np.ma.masked_invalid([[np.nan] + [1.0] * 4]), InputError, "without masked entries"),
        ([np.zeros((2, 5)), np.zeros((3, 5))], InputError, r"same number of rows; got 0: \(2, 5\), 1: \(3, 5\)"),
        ({"a": np.zeros(2), "b": np.float64(1)}, InputError, "expected b with a batch axis"),
        (pd.DataFrame({"a": [1.0], "city": ["x"]}), InputTypeError, "city are not numeric"),
        (torch.zeros(2, 5).to_sparse(), InputTypeError, "dense tensor"),
    ],
    ids=lambda v: type(v).__name__ if not isinstance(v, str) else v[:12],
)
def test_other_inputs_are_refused(x: Any, error: Any, said: str) -> None:
    with pytest.raises(error, match=said):
        frameworks.explainer("torch", TANH).explain(x)


# --- keyword arguments ---------------------------------------------------------------------------------------------


def scaled(x: Any, weight: Any, power: int = 2, graph: Any = None) -> Any:
    assert graph is None or len(graph) == 4
    return (weight * x**power).sum(1)


def test_keyword_arguments_follow_their_samples_or_are_shared() -> None:
    x = torch.rand(4, 3, dtype=torch.float64)
    each, shared = torch.rand(4, 1, dtype=torch.float64), torch.rand(3, dtype=torch.float64)
    ig = pyig.IntegratedGradients(scaled)
    for batch_size in (1, 3, "auto"):
        options = {"n_steps": 4, "batch_size": batch_size}
        found = ig.explain(x, forward_kwargs={"weight": each}, **options)
        np.testing.assert_allclose(found.attributions, each * x**2, rtol=1e-12)
        found = ig.explain(x, forward_kwargs={"weight": shared, "power": 3}, **options)
        np.testing.assert_allclose(found.attributions, shared * x**3, rtol=1e-12)
        marked = {"weight": each, "graph": pyig.static(torch.arange(4))}
        found = ig.explain(x, forward_kwargs=marked, **options)
        np.testing.assert_allclose(found.attributions, each * x**2, rtol=1e-12)


def test_numpy_keyword_arguments_become_tensors(backend: str) -> None:
    if backend == "callable":
        ig = pyig.IntegratedGradients(scaled, gradient=lambda x, weight, power=2: weight * power * x ** (power - 1))
    else:
        sums = {"torch": ("torch", "sum"), "tensorflow": ("tensorflow", "reduce_sum"), "jax": ("jax.numpy", "sum")}
        module, name = sums[backend]
        total = getattr(importlib.import_module(module), name)
        ig = pyig.IntegratedGradients(lambda x, weight: total(weight * x**2, 1), backend=backend)
    x, each = np.random.default_rng(0).random((4, 3)), np.random.default_rng(1).random((4, 1))
    found = ig.explain(x, forward_kwargs={"weight": each}, n_steps=4, batch_size=3)
    np.testing.assert_allclose(found.attributions, each * x**2, rtol=1e-12)


# --- outputs -------------------------------------------------------------------------------------------------------

Output = namedtuple("Output", "logits hidden")


@dataclass
class ModelOutput:
    loss: Any
    logits: Any


def scores(x: Any) -> Any:
    return torch.stack([x.sum(1), (x**2).sum(1)], dim=1)


FOUND: dict[str, Callable[[Any], Any]] = {
    "the only entry of a dict": lambda x: {"scores": scores(x), "note": "text"},
    "logits of a dict": lambda x: {"hidden": x, "logits": scores(x)},
    "logits of a dataclass": lambda x: ModelOutput(None, scores(x)),
    "logits of a named tuple": lambda x: Output(scores(x), x),
    "the only entry of a tuple": lambda x: (scores(x), None),
    "the only entry of a list": lambda x: [scores(x)],
    "a mapping": lambda x: UserDict(logits=scores(x), hidden=x),
}


@pytest.mark.parametrize("name", FOUND)
def test_the_output_is_found(name: str) -> None:
    x = torch.rand(3, 4, dtype=torch.float64)
    found = pyig.IntegratedGradients(FOUND[name]).explain(x, target=1, n_steps=3)
    np.testing.assert_allclose(found.attributions, x**2, rtol=1e-12)


@pytest.mark.parametrize(("output", "power"), [("a", 1), ("b", 2), (0, 1), (1, 2)])
def test_the_output_is_named(output: Any, power: int) -> None:
    def model(x: Any) -> Any:
        both = x.sum(1), (x**2).sum(1)
        return dict(zip("ab", both, strict=True)) if isinstance(output, str) else both

    x = torch.rand(3, 4, dtype=torch.float64)
    found = pyig.IntegratedGradients(model, output=output).explain(x, n_steps=3)
    np.testing.assert_allclose(found.attributions, x**power, rtol=1e-12)


@pytest.mark.parametrize(
    ("model", "output", "error", "said"),
    [
        (lambda x: {"a": x, "b": x}, None, InputError, r"choose one with output=: 'a' \(\d+, 4\), 'b' \(\d+, 4\)"),
        (lambda x: (x, x), None, InputError, r"0 \(\d+, 4\), 1"),
        (lambda x: {"a": x, "b": x}, "c", InputError, r"output='c' is not among .*'a'"),
        (lambda x: (x, x), 2, InputError, "output=2 is not among"),
        (lambda x: None, None, ModelError, "got NoneType"),
        (lambda x: "text", None, ModelError, "got str"),
        (lambda x: x.detach().numpy(), None, ModelError, "got ndarray"),
        (lambda x: {"deep": {"a": x}}, None, ModelError, "got dict"),
    ],
)
def test_outputs_that_cannot_be_chosen(model: Any, output: Any, error: Any, said: str) -> None:
    with pytest.raises(error, match=said):
        pyig.IntegratedGradients(model, output=output).explain(torch.rand(3, 4), target=0)


@pytest.mark.parametrize("n", [1, 3])
def test_a_model_that_answers_with_one_number_takes_one_row_a_call(n: int) -> None:
    rows = []

    def model(x: Any) -> Any:
        rows.append(len(x))
        return (x**2).sum() if len(x) == 1 else x.sum()

    x = torch.rand(n, 4, dtype=torch.float64)
    found = pyig.IntegratedGradients(model).explain(x, n_steps=4)
    np.testing.assert_allclose(found.attributions, x**2, rtol=1e-12)
    np.testing.assert_allclose(found.values, (x**2).sum(1), rtol=1e-12)
    assert set(rows[1:]) == {1}
    assert found.targets is None
