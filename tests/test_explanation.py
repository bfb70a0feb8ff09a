"""The data: read-only, checked, sliced, compared, put into words and into a table."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pandas as pd
import pytest
import samples

from pyig.errors import InputError
from pyig.explanation import Explanation
from pyig.tree import flatten, tree_map

ARRAYS = [f.name for f in fields(Explanation) if f.name not in ("feature_names", "output_names", "meta")]


# --- frozen ------------------------------------------------------------------------------------------------------


def test_no_field_can_be_replaced() -> None:
    with pytest.raises(FrozenInstanceError):
        samples.table().deltas = np.zeros(3)  # type: ignore[misc]


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("kind", ["table", "mixed", "several_targets"])
def test_arrays_are_read_only(kind: str, name: str) -> None:
    value = getattr(samples.ALL[kind](), name)
    if value is None:
        return
    for leaf in flatten(value)[0]:
        with pytest.raises(ValueError, match="read-only"):
            leaf[...] = 0


def test_a_frame_shares_the_protection() -> None:
    e = samples.frame()
    with pytest.raises(ValueError, match="read-only"):
        e.attributions.iloc[0, 0] = 1.0


def test_writable_arrays_are_copied_and_stay_writable() -> None:
    x = np.array([[1.0, 2.0]])
    e = samples.make(x, np.array([[0.5, 0.5]]))
    x[0, 0] = 99
    assert e.inputs[0, 0] == 1.0


def test_views_of_writable_arrays_are_copied_too() -> None:
    x = np.array([[1.0, 2.0]])
    view = x[:]
    view.flags.writeable = False
    e = samples.make(view, np.array([[0.5, 0.5]]))
    x[0, 0] = 99
    assert e.inputs[0, 0] == 1.0


def test_read_only_arrays_are_not_copied() -> None:
    phi = np.array([[0.5, 0.5]])
    phi.flags.writeable = False
    assert samples.make(np.ones((1, 2)), phi).attributions is phi


def test_a_user_frame_can_change_later() -> None:
    data = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    e = replace(samples.make(np.ones((2, 2)), np.ones((2, 2))), inputs=data)
    data.iloc[0, 0] = 99
    assert e.inputs.iloc[0, 0] == 1.0


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_copies_are_read_only_too(twin: Callable[[Explanation], Explanation]) -> None:
    with pytest.raises(ValueError, match="read-only"):
        twin(samples.table()).attributions[0, 0] = 1


def test_meta_is_a_private_copy_in_plain_json() -> None:
    meta = {"n_steps": np.int64(5), "rtol": np.float32(0.5), "shape": (1, 2), "device": ValueError("cpu")}
    e = replace(samples.table(), meta=meta)
    meta["n_steps"] = 7
    assert e.meta == {"n_steps": 5, "rtol": 0.5, "shape": [1, 2], "device": "cpu"}


# --- checked -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attributions": np.zeros((3, 11))}, r"expected attributions of shape \(3, 12\); got \(3, 11\)"),
        ({"inputs": np.zeros((2, 12))}, r"expected inputs with 3 samples first; got shape \(2, 12\)"),
        ({"inputs": np.float64(1)}, r"expected inputs with 3 samples first; got shape \(\)"),
        ({"baselines": np.zeros((2, 12))}, r"expected baselines of shape \(3, 12\) or \(1, 12\); got \(2, 12\)"),
        ({"baselines": np.zeros((1, 5))}, "expected baselines"),
        ({"inputs": [np.zeros((3, 12))] * 2}, r"one structure; got \[1, 2, 1\] leaves"),
        ({"values": np.zeros(2)}, r"expected baseline_values of shape \(2,\), as values; got \(3,\)"),
        ({"values": np.zeros((3, 1, 1))}, r"expected values of shape \(N,\) or \(N, K\); got \(3, 1, 1\)"),
        ({"error": np.zeros((3, 1))}, "expected error of shape"),
        ({"converged": [True]}, "expected converged of shape"),
        ({"targets": [1]}, "expected targets of shape"),
        ({"path_offsets": [0, 5, 10]}, "expected path_offsets rising from 0, 4 of them"),
        ({"path_offsets": [0, 10, 5, 15]}, "rising from 0"),
        ({"path_offsets": [1, 5, 10, 15]}, "rising from 0"),
        ({"path_values": np.zeros(14)}, "expected 15 nodes in each path array"),
        ({"feature_names": ["a", "b"]}, "expected 12 feature_names, one per feature; got 2"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(samples.table(), **change)


def test_a_leaf_is_named_in_the_message() -> None:
    e = samples.mixed()
    with pytest.raises(InputError, match="expected attributions of 'lab' of shape"):
        replace(e, attributions={**e.attributions, "lab": np.zeros((2, 3))})


# --- sliced ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "rows"),
    [
        (0, [0]),
        (-1, [2]),
        (np.int64(1), [1]),
        (slice(1, None), [1, 2]),
        (slice(None, None, -1), [2, 1, 0]),
        ([2, 0], [2, 0]),
        (np.array([1, 1]), [1, 1]),
        (np.array([True, False, True]), [0, 2]),
        ([], []),
    ],
)
def test_slices_take_samples(key: object, rows: list[int]) -> None:
    e = samples.table()
    part = e[key]
    assert len(part) == len(rows)
    np.testing.assert_array_equal(part.attributions, e.attributions[rows])
    np.testing.assert_array_equal(part.values, e.values[rows])
    np.testing.assert_array_equal(part.targets, e.targets[rows])  # type: ignore[index]
    assert part.baselines.shape == (1, 12)
    for new, old in enumerate(rows):
        for mine, theirs in zip(part.path(new), e.path(old), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert part.feature_names == e.feature_names
    assert part.meta == e.meta


def test_slices_of_several_targets_keep_their_paths() -> None:
    e = samples.several_targets()
    part = e[1]
    assert part.values.shape == (1, 2)
    for k in range(2):
        np.testing.assert_array_equal(part.path(0, k).values, e.path(1, k).values)
        assert not np.array_equal(part.path(0, k).values, e.path(0, k).values)


def test_slices_of_a_frame_keep_its_labels() -> None:
    part = samples.frame()[[2, 0]]
    assert list(part.inputs.index) == list(part.attributions.index) == ["p-3", "p-1"]
    assert list(part.inputs.columns) == samples.FEATURES
    assert list(part.baselines.index) == ["mean"]


def test_slices_of_a_dict_keep_it() -> None:
    part = samples.mixed()[1]
    assert part.inputs["age"].tolist() == [35.0]
    assert part.inputs["ward"].dtype == np.int64
    assert part.baselines["ward"].tolist() == [[1]]


def test_slices_of_uneven_paths() -> None:
    ragged = {name: np.arange(6.0) / 6 for name in ("path_alphas", "path_values", "path_slopes", "path_weights")}
    e = replace(samples.table(), path_offsets=[0, 2, 2, 6], **ragged)
    part = e[[2, 1]]
    assert part.path_offsets.tolist() == [0, 4, 4]
    np.testing.assert_array_equal(part.path_alphas, np.arange(2, 6) / 6)


def test_iteration_ends() -> None:
    assert [len(part) for part in samples.table()] == [1, 1, 1]


@pytest.mark.parametrize("key", [3, -4, [5], np.array([True]), (0, 1), "age", None, 1.5])
def test_wrong_indices_are_index_errors(key: object) -> None:
    with pytest.raises(IndexError):
        samples.table()[key]


# --- the path ----------------------------------------------------------------------------------------------------


def test_a_path_is_sorted_and_has_both_ends() -> None:
    e = samples.table()
    shuffled = [3, 1, 4, 0, 2, *range(5, 15)]
    names = ("path_alphas", "path_values", "path_slopes", "path_weights")
    e = replace(e, **{name: getattr(e, name)[shuffled] for name in names})
    path = e.path(0)
    assert path.alphas.tolist() == [0.0, *samples.ALPHAS, 1.0]
    assert path.values[[0, -1]].tolist() == [e.baseline_values[0], e.values[0]]
    assert path.weights[[0, -1]].tolist() == [0.0, 0.0]
    assert np.isnan(path.slopes[[0, -1]]).all()
    assert np.nansum(path.weights * path.slopes) == pytest.approx(e.attributions[0].sum())


def test_ends_that_are_nodes_are_not_doubled() -> None:
    e = replace(
        samples.make(np.ones((1, 2)), np.ones((1, 2))),
        path_offsets=[0, 2],
        path_alphas=[0.0, 1.0],
        path_values=[7.0, 8.0],
        path_slopes=[1.0, 1.0],
        path_weights=[0.5, 0.5],
    )
    assert e.path(0).alphas.tolist() == [0.0, 1.0]
    assert e.path(0).values.tolist() == [7.0, 8.0]


@pytest.mark.parametrize(("i", "k"), [(2, 0), (-3, 0), (0, 2)])
def test_a_path_that_is_not_there(i: int, k: int) -> None:
    with pytest.raises(IndexError, match="expected a sample below 2 and a target below 2"):
        samples.several_targets().path(i, k)


# --- equal and unequal -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", samples.ALL)
def test_equal_to_its_twin_and_to_a_copy(kind: str) -> None:
    e = samples.ALL[kind]()
    assert e == samples.ALL[kind]()
    assert e == copy.deepcopy(e)
    assert e == pickle.loads(pickle.dumps(e))


@pytest.mark.parametrize("name", [f.name for f in fields(Explanation)])
def test_unequal_when_one_field_differs(name: str) -> None:
    e = samples.table(output_names=["no", "yes"], standard_error=np.full((3, 12), 0.01))
    value = getattr(e, name)
    if isinstance(value, np.ndarray):
        other = value.copy()
        other.flat[1] = not other.flat[1] if other.dtype == bool else other.flat[1] + 1
    elif isinstance(value, tuple):
        other = (*value[:-1], "other")
    else:
        other = {**value, "seconds": 1.0}
    changed = copy.copy(e)
    object.__setattr__(changed, name, other)
    assert changed != e
    assert e != changed


@pytest.mark.parametrize("name", ["targets", "standard_error", "feature_names", "output_names"])
def test_unequal_when_an_optional_field_is_absent(name: str) -> None:
    e = samples.table(output_names=["no", "yes"], standard_error=np.full((3, 12), 0.01))
    assert replace(e, **{name: None}) != e
    assert e != replace(e, **{name: None})


def test_nan_equals_nan_but_not_a_number() -> None:
    e = samples.table(error=[np.nan] * 3)
    assert e == samples.table(error=[np.nan] * 3)
    assert e != samples.table(error=[np.nan, np.nan, 0.0])
    assert samples.table(meta={"rtol": np.nan}) == samples.table(meta={"rtol": np.nan})


def test_dtype_labels_and_structure_count() -> None:
    e = samples.table()
    assert replace(e, inputs=e.inputs.astype(np.float32)) != e
    assert replace(e, inputs=[e.inputs], attributions=[e.attributions], baselines=[e.baselines]) != e
    f = samples.frame()
    assert replace(f, inputs=f.inputs.rename(index={"p-1": "p-9"})) != f
    assert replace(f, inputs=f.inputs.rename(columns={"age": "years"})) != f


def test_other_things_are_not_equal_and_nothing_hashes() -> None:
    assert samples.table() != 1
    assert samples.table() != samples.table()[:2]
    with pytest.raises(TypeError, match="unhashable"):
        hash(samples.table())


# --- standard errors ---------------------------------------------------------------------------------------------


def test_standard_errors_follow_their_samples_and_stand_in_the_table() -> None:
    e = samples.table()
    assert "standard_error" not in e.to_frame().columns
    e = samples.table(standard_error=np.abs(e.attributions) / 10)
    assert not e.standard_error.flags.writeable
    np.testing.assert_array_equal(e[[2, 0]].standard_error, np.abs(e.attributions[[2, 0]]) / 10)
    table = e.to_frame()
    np.testing.assert_allclose(table["standard_error"], np.abs(table["attribution"]) / 10)


def test_standard_errors_of_several_leaves_and_targets_stand_beside_their_attributions() -> None:
    for e in (samples.mixed(), samples.several_targets()):
        e = replace(e, standard_error=tree_map(lambda leaf: np.abs(leaf) / 10, e.attributions))
        table = e.to_frame()
        np.testing.assert_allclose(table["standard_error"], np.abs(table["attribution"]) / 10)


def test_standard_errors_must_fit() -> None:
    with pytest.raises(InputError, match=r"standard_error shaped like attributions, \[\(3, 12\)\]; got \[\(3, 2\)\]"):
        samples.table(standard_error=np.zeros((3, 2)))
