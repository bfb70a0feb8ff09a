"""Structures: taken apart, named, put together again, written as JSON."""

from __future__ import annotations

import json
import os
from collections import OrderedDict, UserDict, namedtuple
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pyig import tree
from pyig.errors import InputError, InputTypeError
from pyig.tree import LEAF, Spec, flatten, from_json, names, take_rows, to_json, tree_map, unflatten

A, B, C = np.zeros((2, 3)), np.ones(2), np.arange(4).reshape(2, 2)
STRUCTURES: dict[str, Any] = {
    "array": A,
    "list": [A, B],
    "tuple": (A, B),
    "dict": {"a": A, "b": B},
    "numbered": {0: A, 1: B},
    "nested": {"pair": (A, B), "more": [{"deep": C}]},
    "single": [A],
}


def same(a: Any, b: Any) -> bool:
    """Compare structures: types, keys in order, arrays by identity."""
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return a is b


@pytest.mark.parametrize("name", STRUCTURES)
def test_there_and_back(name: str) -> None:
    x = STRUCTURES[name]
    leaves, spec = flatten(x)
    assert same(unflatten(spec, leaves), x)
    assert len(names(spec)) == len(leaves)
    assert from_json(json.loads(json.dumps(to_json(spec)))) == spec


def test_the_comparison_can_fail() -> None:
    assert not same([A], (A,))
    assert not same({"a": A, "b": B}, {"b": B, "a": A})
    assert not same([A], [A.copy()])


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (A, [""]),
        ([A, B], ["0", "1"]),
        ({"image": A, "age": B}, ["image", "age"]),
        ({"pair": (A, B), "more": [{"deep": C}]}, ["pair.0", "pair.1", "more.0.deep"]),
        ({7: A}, ["7"]),
    ],
)
def test_leaves_have_names(x: Any, expected: list[str]) -> None:
    assert names(flatten(x)[1]) == expected


@pytest.mark.parametrize(
    "numbers", [3, 2.5, True, [1, 2], [[1.0, 2.0], [3.0, 4.0]], (1, 2), [(1, 2), (3, 4)], np.float64(1), [np.int64(3)]]
)
def test_numbers_become_one_array(numbers: Any) -> None:
    leaves, spec = flatten(numbers)
    assert spec == LEAF
    np.testing.assert_array_equal(leaves[0], np.asarray(numbers))


def test_ragged_numbers_are_refused_in_words() -> None:
    with pytest.raises(InputError, match="same length"):
        flatten([[1.0, 2.0], [3.0]])


@pytest.mark.parametrize("x", ["text", None, object(), {1, 2}, os, (n for n in "ab"), [], (), [A, "text"], {"a": None}])
def test_other_things_are_refused(x: Any) -> None:
    with pytest.raises(InputTypeError, match="expected an array, a tensor, a DataFrame"):
        flatten(x)


def test_mappings_of_other_kinds_are_dicts() -> None:
    for kind in (OrderedDict, UserDict):
        leaves, spec = flatten(kind(b=B, a=A))
        assert spec.keys == ("b", "a")
        assert leaves[0] is B


def test_a_named_tuple_is_a_tuple() -> None:
    pair = namedtuple("pair", "left right")
    assert flatten(pair(A, B))[1].kind == "tuple"


def test_map_keeps_the_structure() -> None:
    doubled = tree_map(lambda a: 2 * a, STRUCTURES["nested"])
    np.testing.assert_array_equal(doubled["more"][0]["deep"], 2 * C)
    assert isinstance(doubled["pair"], tuple)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_wrong_number_of_leaves_is_an_error(count: int) -> None:
    with pytest.raises(InputError, match="leaves"):
        unflatten(flatten([A, B])[1], [A] * count)


def test_specs_of_unknown_kind_are_refused() -> None:
    with pytest.raises(InputError, match="got 'set'"):
        from_json({"kind": "set"})
    with pytest.raises(InputError, match="got None"):
        from_json({})


# --- tables ----------------------------------------------------------------------------------------------------------


def frame() -> pd.DataFrame:
    return pd.DataFrame({"age": [61.0, 35.0], "weight": [80.5, 70.0]}, index=["p", "q"])


def test_a_frame_keeps_its_labels() -> None:
    leaves, spec = flatten(frame())
    assert spec.keys == ("age", "weight")
    assert spec.index == ("p", "q")
    back = unflatten(spec, [2 * leaves[0]])
    pd.testing.assert_frame_equal(back, 2 * frame())


@pytest.mark.parametrize(
    ("columns", "dtype"),
    [
        ({"a": [1, 2], "b": [3, 4]}, np.float64),
        ({"a": [True, False], "b": [1.5, 2.5]}, np.float64),
        ({"a": np.float32([1, 2])}, np.float32),
        ({"a": np.float32([1, 2]), "b": [True, False]}, np.float32),
        ({"a": np.float32([1, 2]), "b": np.float64([1, 2])}, np.float64),
        ({"a": [1, 2], "b": np.float32([1, 2])}, np.float64),
    ],
)
def test_columns_become_one_float_array(columns: Any, dtype: Any) -> None:
    (leaf,), _ = flatten(pd.DataFrame(columns))
    assert leaf.dtype == dtype
    assert leaf.shape == (2, len(columns))


@pytest.mark.parametrize(
    "column", [["a", "b"], pd.to_datetime(["2020-01-01", "2020-01-02"]), pd.Categorical(["x", "y"]), [1j, 2j]]
)
def test_columns_that_are_no_numbers_are_named(column: Any) -> None:
    with pytest.raises(InputTypeError, match=r"column\(s\) city are not numeric"):
        flatten(pd.DataFrame({"age": [1.0, 2.0], "city": column}))


def test_rows_of_a_frame_are_sliced_with_their_labels() -> None:
    _, spec = flatten(frame())
    assert take_rows(spec, [1]).index == ("q",)
    assert take_rows(Spec("list", children=(spec, LEAF)), [0]).children[0].index == ("p",)
    assert take_rows(LEAF, [0]) == LEAF


def test_labels_are_plain_in_json() -> None:
    days = pd.DataFrame(
        np.zeros((2, 2)), columns=[np.int64(3), pd.Timestamp("2020-01-01")], index=[np.float32(1), None]
    )
    data = json.loads(json.dumps(to_json(flatten(days)[1])))
    assert data["keys"] == [3, "2020-01-01 00:00:00"]


def test_series_are_arrays_of_their_own() -> None:
    leaves, spec = flatten(pd.Series([1.0, 2.0]))
    assert spec == LEAF
    assert leaves[0].shape == (2,)


def test_pandas_is_never_imported_for_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(tree.sys.modules, "pandas")
    assert not tree.is_frame(A)
    assert "pandas" not in tree.sys.modules
