"""Projections: what each gives, that each keeps the sum of every path, and that one which does not is caught."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import samples
from hypothesis import given
from hypothesis import strategies as st

from pyig.errors import InputError, InputTypeError
from pyig.explanation import Explanation
from pyig.projections import (
    BagOfFeatures,
    Embedding,
    Encoded,
    Feature,
    Function,
    Identity,
    MultiHot,
    OneHot,
    Tokens,
    grouped,
    project,
)
from pyig.projections.tokens import decode, texts

COLOURS = ["red", "green", "blue"]


def totals(e: Explanation) -> Any:
    axes = e.values.ndim
    return sum(a.attributions.sum(axis=tuple(range(axes, a.attributions.ndim)), dtype=np.float64) for a in e.leaves())


def encoded(shape: tuple[int, ...], targets: int = 1, seed: int = 0, dtype: Any = np.float32) -> Explanation:
    rng = np.random.default_rng(seed)
    k = () if targets == 1 else (targets,)
    phi = rng.normal(size=(shape[0], *k, *shape[1:])).astype(dtype)
    return samples.make(rng.normal(size=shape).astype(dtype), phi)


# --- what each gives -----------------------------------------------------------------------------------------------


def test_identity_keeps_what_it_is_given() -> None:
    before = encoded((3, 4))
    after = project(before, Identity("row"))
    assert np.array_equal(after.attributions["row"], before.attributions)
    assert np.array_equal(after.inputs["row"], before.inputs)
    assert after.attributions["row"].dtype == np.float32


def test_a_bag_of_features_has_one_name_per_column() -> None:
    before = encoded((2, 3))
    after = project(before, BagOfFeatures(["age", "height", "weight"]))
    assert list(after.attributions) == ["age", "height", "weight"]
    assert np.array_equal(after.attributions["height"], before.attributions[:, 1])
    assert np.array_equal(after.inputs["weight"], before.inputs[:, 2])


def test_one_hot_becomes_its_category() -> None:
    x = np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0], [0.5, 0, 0]])
    before = samples.make(x, np.arange(12.0).reshape(4, 3), baselines=[[1, 0, 0]])
    after = project(before, OneHot(COLOURS, name="colour"))
    assert after.inputs["colour"].tolist() == ["green", "blue", "(none)", "(mixed)"]
    assert after.baselines["colour"].tolist() == ["red"] * 4
    assert after.attributions["colour"].tolist() == [3.0, 12.0, 21.0, 30.0]


def test_two_hot_columns_are_no_category() -> None:
    after = project(samples.make([[1.0, 1.0, 0.0]], [[1.0, 2.0, 0.0]]), OneHot(COLOURS))
    assert after.inputs["x"].tolist() == ["(mixed)"]


def test_multi_hot_labels_its_parts() -> None:
    after = project(encoded((2, 3)), MultiHot(COLOURS, name="colours"))
    assert after.attributions["colours"].shape == (2, 3)
    assert after.feature_names == ("colours=red", "colours=green", "colours=blue")


def test_labels_stand_beside_features_without_them() -> None:
    phi = {"a": np.ones((2, 3)), "b": np.ones(2), "c": np.ones((2, 2))}
    before = samples.mixed()
    after = project(
        Explanation(
            **{
                name: getattr(before[:2], name)
                for name in before.__dataclass_fields__
                if name not in ("attributions", "inputs", "baselines", "feature_names", "standard_error")
            },
            attributions=phi,
            inputs=phi,
            baselines=phi,
        ),
        {"a": MultiHot(COLOURS)},
    )
    assert after.feature_names == ("a=red", "a=green", "a=blue", "b", "c[0]", "c[1]")


def test_an_embedding_sums_over_what_lies_behind_the_values() -> None:
    before = encoded((2, 3, 5))
    words = np.array([["a", "film", ""], ["the", "<end>", "!"]])
    after = project(before, Embedding(words, name="text"))
    assert np.allclose(after.attributions["text"], before.attributions.sum(axis=2), atol=1e-6)
    assert after.inputs["text"].tolist() == words.tolist()
    assert after.baselines["text"].tolist() == [["", "", ""]]


def test_an_embedding_of_one_value_per_sample() -> None:
    before = encoded((2, 5))
    after = project(before, Embedding([94105, 10001], baselines=0, name="zip"))
    assert np.allclose(after.attributions["zip"], before.attributions.sum(axis=1), atol=1e-6)
    assert after.inputs["zip"].tolist() == [94105, 10001]


@pytest.mark.parametrize("vocabulary", [["<pad>", "the", "film"], {0: "<pad>", 1: "the", 2: "film"}, "<pad> the film"])
def test_tokens_read_their_vocabulary(vocabulary: Any) -> None:
    known = vocabulary.split().__getitem__ if isinstance(vocabulary, str) else vocabulary
    after = project(encoded((1, 3, 2)), Tokens(np.array([[1, 2, 0]]), known, baselines=0))
    assert after.inputs["x"].tolist() == [["the", "film", "<pad>"]]
    assert after.baselines["x"].tolist() == [["<pad>"] * 3]


@pytest.mark.parametrize(("ids", "message"), [([[3]], "token 3"), ([[-1]], "token -1"), ([[0.5]], "whole numbers")])
def test_tokens_that_the_vocabulary_lacks(ids: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        decode(ids, ["a", "b", "c"])


def test_texts_need_no_pickle() -> None:
    assert texts([b"caf\xc3\xa9", None, "x"]).tolist() == ["café", "None", "x"]
    assert texts(np.array([], dtype=object)).shape == (0,)
    assert texts([1.5]).dtype == np.float64


# --- the sum -------------------------------------------------------------------------------------------------------


def halves(phi: Any, x: Any, start: Any) -> dict[str, Any]:
    del x, start
    return {"left": phi[:, : phi.shape[1] // 2].sum(axis=1), "right": phi[:, phi.shape[1] // 2 :].sum(axis=1)}


KEEPERS: dict[str, Callable[[int, int], Any]] = {
    "identity": lambda n, d: Identity(),
    "bag": lambda n, d: BagOfFeatures(range(d)),
    "one-hot": lambda n, d: OneHot(range(d)),
    "multi-hot": lambda n, d: MultiHot(range(d)),
    "embedding": lambda n, d: Embedding(np.arange(n)),
    "tokens": lambda n, d: Tokens(np.zeros((n, d), int), ["a"]),
    "function": lambda n, d: Function(halves),
}


@pytest.mark.parametrize("kind", KEEPERS)
@given(n=st.integers(1, 4), d=st.integers(1, 6), targets=st.integers(1, 3), seed=st.integers(0, 2**32 - 1))
def test_every_projection_keeps_the_sum(kind: str, n: int, d: int, targets: int, seed: int) -> None:
    before = encoded((n, d), targets, seed)
    after = project(before, KEEPERS[kind](n, d))
    assert np.allclose(totals(after), totals(before), rtol=1e-5, atol=1e-5)
    assert np.array_equal(after.deltas, before.deltas)


@given(factor=st.floats(-3, 3).filter(lambda f: abs(f - 1) > 1e-3), seed=st.integers(0, 2**32 - 1))
def test_a_function_that_loses_attributions_is_an_error(factor: float, seed: int) -> None:
    before = samples.make(np.ones((2, 3)), np.random.default_rng(seed).uniform(0.5, 1.0, (2, 3)))
    keeps = Function(lambda phi, x, start: {"all": phi.sum(axis=1)})
    assert np.allclose(totals(project(before, keeps)), totals(before))
    with pytest.raises(InputError, match="keep the sum"):
        project(before, Function(lambda phi, x, start: {"all": factor * phi.sum(axis=1)}))


def test_a_loss_in_one_of_two_targets_is_found() -> None:
    before = encoded((2, 3), targets=2)

    def lossy(tensor: Encoded) -> dict[str, Feature]:
        phi = tensor.attributions.sum(axis=2)
        phi[1, 1] += 0.5
        return {"all": Feature(phi, tensor.inputs[:, 0], tensor.baselines[:, 0])}

    with pytest.raises(InputError, match="sample 1"):
        project(before, lossy)


def test_nan_of_a_stopped_run_passes_and_nan_of_a_projection_does_not() -> None:
    stopped = samples.make(np.ones((2, 2)), np.array([[1.0, 2.0], [np.nan, np.nan]]))
    after = project(stopped, BagOfFeatures(["a", "b"]))
    assert np.isnan(after.attributions["a"][1])
    with pytest.raises(InputError, match="keep the sum"):
        project(encoded((1, 2)), Function(lambda phi, x, start: {"all": phi.sum(axis=1) * np.nan}))


# --- the table of projections --------------------------------------------------------------------------------------


def test_tensors_that_are_not_named_stay() -> None:
    before = samples.mixed()
    names = [leaf.name for leaf in before.leaves()]
    after = project(before, {})
    assert list(after.attributions) == names
    assert np.allclose(totals(after), totals(before))


def test_an_unknown_tensor_names_the_known() -> None:
    with pytest.raises(InputError, match="unknown tensor 'embeding'"):
        project(samples.mixed(), {"embeding": Identity()})


def test_several_tensors_need_names() -> None:
    with pytest.raises(InputError, match="as a dict"):
        project(samples.mixed(), Identity())


def test_two_features_of_one_name_are_an_error() -> None:
    before = samples.mixed()
    first, second, *_ = [leaf.name for leaf in before.leaves()]
    with pytest.raises(InputError, match="different names"):
        project(before, {first: Identity("same"), second: Identity("same")})


def test_names_given_twice_are_an_error() -> None:
    with pytest.raises(InputError, match="'age' more than once"):
        BagOfFeatures(["age", "height", "age"])


@pytest.mark.parametrize("kind", [BagOfFeatures, OneHot, MultiHot])
def test_the_width_must_fit(kind: Any) -> None:
    with pytest.raises(InputError, match="of 3 names; got"):
        project(encoded((2, 4)), kind(COLOURS))


def test_an_embedding_must_fit_its_values() -> None:
    with pytest.raises(InputError, match="one array for each"):
        project(encoded((2, 4, 3)), Embedding(np.zeros((2, 5))))


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (lambda phi: [1.0], InputTypeError, "a dict of features"),
        (lambda phi: {"a": phi[:1, 0]}, InputError, "of shape \\(2,\\)"),
        (lambda phi: {"a": (phi.sum(1), ["x"])}, InputError, "values of the same"),
        (lambda phi: {"a": (phi.sum(1), ["x"], 3)}, InputError, "a tuple of 3"),
        (lambda phi: {}, InputError, "keep the sum"),
    ],
)
def test_what_a_function_may_return(answer: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        project(encoded((2, 3)), Function(lambda phi, x, start: answer(phi)))


def test_a_function_gives_the_users_values() -> None:
    words = ["a", "b"]
    after = project(encoded((2, 3)), Function(lambda phi, x, start: {"word": (phi.sum(axis=1), words)}))
    assert after.inputs["word"].tolist() == words
    with pytest.raises(InputTypeError, match="a function"):
        Function("mean")  # type: ignore[arg-type]


def test_standard_errors_are_left_out_and_it_is_said() -> None:
    before = samples.make(np.ones((2, 3)), np.ones((2, 3)), standard_error=np.ones((2, 3)))
    after = project(before, Identity())
    assert after.standard_error is None
    assert any("standard errors" in note for note in after.meta["notes"])
    assert project(encoded((2, 3)), Identity()).meta["notes"] == []


# --- groups --------------------------------------------------------------------------------------------------------


def test_a_group_adds_its_members_up() -> None:
    before = project(encoded((2, 3)), BagOfFeatures(["age", "height", "weight"]))
    after = grouped(before, {"body": ["height", "weight"]})
    assert list(after.attributions) == ["age", "body"]
    assert np.allclose(totals(after), totals(before), atol=1e-6)
    assert after.inputs["body"][0] == f"{before.inputs['height'][0]:.6g}, {before.inputs['weight'][0]:.6g}"


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        ({"body": ["hight"]}, InputError, "did you mean 'height'"),
        ({"a": ["age"], "b": ["age"]}, InputError, "'age' is in 'a' and 'b'"),
        ({"age": ["height"]}, InputError, "'age' is both"),
        ({"body": "height"}, InputTypeError, "as a list"),
    ],
)
def test_groups_that_cannot_be(groups: Any, error: type[Exception], message: str) -> None:
    before = project(encoded((2, 3)), BagOfFeatures(["age", "height", "weight"]))
    with pytest.raises(error, match=message):
        grouped(before, groups)


def test_groups_need_features() -> None:
    with pytest.raises(InputTypeError, match="by feature"):
        grouped(encoded((2, 3)), {"a": ["b"]})
