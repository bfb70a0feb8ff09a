"""Which output is explained: every way to say it, on its own and through the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import frameworks
import numpy as np
import pytest
import torch
import zoo

import pyig
from pyig.errors import InputError, InputTypeError, ModelError
from pyig.targets import Target, parse

N, C = 4, 3
SCORES = np.array([[0.1, 0.9, 0.3], [2.0, -1.0, 0.5], [0.0, 0.0, 0.0], [-3.0, -2.0, -1.0]])


def flat(target: Any, shape: tuple[int, ...] = (N, C), scores: Any = SCORES) -> list[Any]:
    """Return flat indices for all samples."""
    found = parse(target, len(scores)).resolve(np.arange(len(scores)), shape, lambda: scores)
    assert found.dtype == np.int64
    assert found.ndim == 2
    return found[:, 0].tolist() if found.shape[1] == 1 else found.tolist()


ONE = [1, np.int64(1), np.int32(1), np.array(1), (1,), -2, torch.tensor(1).numpy()]
EACH = [
    [0, 2, 1, 0],
    np.array([0, 2, 1, 0]),
    np.array([0, 2, 1, 0], dtype=np.uint8),
    np.array([[0], [2], [1], [0]]),
    [np.int64(0), 2, -2, -3],
]


@pytest.mark.parametrize("target", ONE, ids=repr)
def test_one_class_for_all(target: Any) -> None:
    assert flat(target) == [1, 1, 1, 1]


@pytest.mark.parametrize("target", EACH, ids=repr)
def test_a_class_per_sample(target: Any) -> None:
    assert flat(target) == [0, 2, 1, 0]


def test_predicted_takes_the_first_of_equals() -> None:
    assert flat("predicted") == flat(None) == flat("top1") == [1, 0, 0, 2]


def test_top_is_ordered() -> None:
    assert flat("top2") == [[1, 2], [0, 2], [0, 1], [2, 1]]
    assert flat("top3")[3] == [2, 1, 0]


@pytest.mark.parametrize("shape", [(N,), (N, 1)])
@pytest.mark.parametrize("target", [None, 0, -1, [0] * N, "predicted"])
def test_a_single_output_needs_no_target(shape: tuple[int, ...], target: Any) -> None:
    assert flat(target, shape, SCORES[:, :1]) == [0, 0, 0, 0]


def test_tuples_reach_into_outputs_of_higher_rank() -> None:
    assert flat((2, 1), (N, 3, 2)) == [5] * N
    assert flat((-1, 0), (N, 3, 2)) == [4] * N
    assert flat((1, 2, 3), (N, 2, 3, 4)) == [23] * N
    assert flat([(0, 0), (1, 1), (2, 0), (0, 1)], (N, 3, 2)) == [0, 3, 4, 1]


def test_values_are_fetched_only_where_they_decide() -> None:
    def fetch() -> Any:
        raise AssertionError("not needed")

    assert parse(2, N).resolve(np.arange(N), (N, C), fetch).tolist() == [[2]] * N
    with pytest.raises(AssertionError, match="not needed"):
        parse("predicted", N).resolve(np.arange(N), (N, C), fetch)


def test_a_chunk_takes_its_own_entries() -> None:
    target = parse([0, 2, 1, 0], N)
    assert target.resolve(np.array([1, 2]), (2, C), lambda: SCORES[1:3]).tolist() == [[2], [1]]


@pytest.mark.parametrize(
    ("target", "error", "said"),
    [
        (True, InputTypeError, "got the boolean True"),
        (1.0, InputTypeError, "float64"),
        ([1.0, 2.0, 0.0, 1.0], InputTypeError, "float64"),
        ({}, InputTypeError, "got dict"),
        ([None] * N, InputTypeError, "object"),
        ("best", InputError, "'predicted', 'top3'"),
        ("top0", InputError, "'top0'"),
        ("top-1", InputError, "'top-1'"),
        ([0, 1], InputError, r"one entry per sample, shape \(4,\).*got shape \(2,\)"),
        (np.zeros((N, 2, 2), int), InputError, r"got shape \(4, 2, 2\)"),
    ],
)
def test_wrong_forms_are_refused_before_any_output(target: Any, error: Any, said: str) -> None:
    with pytest.raises(error, match=said):
        parse(target, N)


@pytest.mark.parametrize(
    ("target", "shape", "said"),
    [
        (3, (N, C), r"target=3 is out of range: .* shape \(N, 3\), so axis 1 takes 0 to 2"),
        (-4, (N, C), r"target=-4 is out of range"),
        ([0, 2, 3, 0], (N, C), "target=3 is out of range for sample 2"),
        (1, (N,), r"shape \(N,\)"),
        ((0, 2), (N, 3, 2), r"target=2 is out of range: .* axis 2 takes 0 to 1"),
        ((0, 1), (N, C), r"1 whole number\(s\) per sample .* \(N, 3\); got 2"),
        (1, (N, 3, 2), r"2 whole number\(s\) per sample .* \(N, 3, 2\); got 1"),
        (None, (N, 3, 2), r"tuple of 2 whole numbers for outputs of shape \(N, 3, 2\); got none"),
        ("top2", (N, 3, 2), "got 'top2'"),
        ("top4", (N, C), "'top1' to 'top3' for 3 output columns"),
    ],
)
def test_wrong_ranges_show_the_shape(target: Any, shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        flat(target, shape)


def test_parsing_says_what_it_read() -> None:
    assert parse(None, N) == Target("default")
    assert parse("top5", N).top == 5
    assert parse((1, 2), N).kind == "same"


# --- through the engine --------------------------------------------------------------------------------------------

CLASSES = zoo.ENTRIES["classes"]()  # targets 3, 0, 1, 1, 2


def attributions(backend: str, target: Any, **options: Any) -> Any:
    return frameworks.explain(backend, CLASSES, target=target, n_steps=12, **options).attributions


def test_every_form_gives_the_same(backend: str) -> None:
    tensor = frameworks.framework(backend).tensor
    expected = attributions(backend, CLASSES.target)
    for target in (CLASSES.target.tolist(), CLASSES.target[:, None], tensor(CLASSES.target), CLASSES.target - 4):
        np.testing.assert_array_equal(attributions(backend, target), expected)
    assert not np.array_equal(attributions(backend, 1), expected)


def test_targets_are_recorded(backend: str) -> None:
    found = frameworks.explain(backend, CLASSES, n_steps=3)
    np.testing.assert_array_equal(found.targets, CLASSES.target)
    predicted = frameworks.explain(backend, CLASSES, target=None, n_steps=3)
    scores = zoo.value(CLASSES.steps, CLASSES.leaves)
    np.testing.assert_array_equal(predicted.targets, scores.argmax(1))
    assert frameworks.explain(backend, zoo.ENTRIES["column"](), n_steps=3).targets is None


def test_top_is_each_target_on_its_own(backend: str) -> None:
    found = frameworks.explain(backend, CLASSES, target="top3", n_steps=12)
    assert found.attributions.shape == (5, 3, 5)
    assert found.targets.shape == found.deltas.shape == found.values.shape == found.n_evals.shape == (5, 3)
    for k in range(3):
        alone = frameworks.explain(backend, CLASSES, target=found.targets[:, k], n_steps=12)
        np.testing.assert_allclose(found.attributions[:, k], alone.attributions, rtol=0, atol=1e-13)
        np.testing.assert_allclose(found.values[:, k], alone.values, rtol=1e-14)
        np.testing.assert_allclose(found.path(2, k).values, alone.path(2).values, rtol=1e-13)
    scores = np.take_along_axis(zoo.value(CLASSES.steps, CLASSES.leaves), found.targets, axis=1)
    assert (np.diff(scores, axis=1) <= 0).all()


def test_a_contrast_is_a_difference(backend: str) -> None:
    other = np.array([0, 1, 2, 0, 1])
    found = attributions(backend, CLASSES.target, contrast=other)
    separate = attributions(backend, CLASSES.target) - attributions(backend, other)
    np.testing.assert_allclose(found, separate, rtol=0, atol=1e-13)
    np.testing.assert_allclose(attributions(backend, 2, contrast=2), 0, atol=0)


def test_a_contrast_to_several_targets(backend: str) -> None:
    found = frameworks.explain(backend, CLASSES, target="top2", contrast=0, n_steps=12)
    for k in range(2):
        alone = attributions(backend, found.targets[:, k], contrast=0)
        np.testing.assert_allclose(found.attributions[:, k], alone, rtol=0, atol=1e-13)


def test_a_function_of_the_outputs() -> None:
    picked = attributions("torch", lambda out: out[:, 1])
    np.testing.assert_allclose(picked, attributions("torch", 1), rtol=0, atol=1e-14)
    spread = attributions("torch", lambda out: out[:, 0] - out[:, 3])
    np.testing.assert_allclose(spread, attributions("torch", 0, contrast=3), rtol=0, atol=1e-13)
    energy = frameworks.explain("torch", CLASSES, target=lambda out: out.pow(2).sum(1), n_steps=60)
    assert np.abs(energy.deltas).max() < 1e-9
    assert energy.targets is None


WRONG: list[tuple[Callable[[Any], Any], str]] = [
    (lambda out: out, r"one number per row \(\d+\); got \(\d+, 4\)"),
    (lambda out: out.sum(), r"got \(\)"),
    (lambda out: 3.0, "got float"),
    (lambda out: out.detach()[:, 0], "without a gradient"),
    (lambda out: out.argmax(1), "without a gradient"),
]


@pytest.mark.parametrize(("function", "said"), WRONG)
def test_a_wrong_function_is_explained(function: Callable[[Any], Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        attributions("torch", function)


def test_a_function_of_whole_numbers_is_refused() -> None:
    ig = pyig.IntegratedGradients(lambda x: x.argmax(1, keepdim=True))
    with pytest.raises(ModelError, match=r"floating outputs .* torch\.int64"):
        ig.explain(torch.rand(2, 3), target=lambda out: out[:, 0])


def test_contrast_has_its_limits() -> None:
    with pytest.raises(InputError, match="got a function"):
        attributions("torch", lambda out: out[:, 0], contrast=1)
    with pytest.raises(InputError, match="one class per sample; got 'top2'"):
        attributions("callable", "top2", contrast="top2")
    with pytest.raises(InputError, match="contrast=9 is out of range"):
        attributions("callable", 1, contrast=9)


def test_numpy_has_no_functions_of_outputs() -> None:
    with pytest.raises(InputTypeError, match="autograd"):
        attributions("callable", lambda out: out[:, 0])
