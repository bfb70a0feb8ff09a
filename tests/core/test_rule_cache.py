"""Rules are kept, shared and dropped: nobody can write into one, and memory is bounded."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from pyig import _core

pytestmark = pytest.mark.core

LIMIT = 64 << 20


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    _core._clear_rule_cache()


def test_arrays_are_read_only() -> None:
    for array in _core.rule("simpson", 5)[:2]:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True


def test_a_second_lookup_shares_memory_and_a_different_rule_does_not() -> None:
    first, again, other = (_core.rule(*key) for key in [("simpson", 5), ("simpson", 5), ("riemann_left", 5)])
    assert np.shares_memory(first[0], again[0])
    assert np.shares_memory(first[1], again[1])
    assert not np.shares_memory(first[0], other[0])


def test_a_rule_outlives_the_cache() -> None:
    nodes, weights, _ = _core.rule("gausslegendre", 50)
    expected = nodes.copy(), weights.copy()
    _core._clear_rule_cache()
    _core.rule("gausslegendre", 51)
    assert (nodes == expected[0]).all()
    assert (weights == expected[1]).all()
    assert not np.shares_memory(nodes, _core.rule("gausslegendre", 50)[0])


def test_bytes_are_bounded_and_the_least_recent_rule_goes_first() -> None:
    kept, *_ = _core.rule("riemann_left", 5)
    dropped, *_ = _core.rule("riemann_left", 6)
    for n in range(1_000_000, 1_000_006):  # 16 MB each: more than fit
        _core.rule("riemann_right", n)
        assert np.shares_memory(kept, _core.rule("riemann_left", 5)[0])
        assert _core._rule_cache_bytes() <= LIMIT
    assert _core._rule_cache_bytes() > LIMIT // 2
    assert not np.shares_memory(dropped, _core.rule("riemann_left", 6)[0])


def test_a_rule_larger_than_the_cache_is_made_and_not_kept() -> None:
    _core.rule("riemann_left", 5)
    before = _core._rule_cache_bytes()
    assert before > 0
    assert len(_core.rule("riemann_left", 5_000_000)[0]) == 5_000_000
    assert _core._rule_cache_bytes() == before


def test_a_failed_rule_is_not_kept() -> None:
    with pytest.raises(ValueError, match="odd"):
        _core.rule("simpson", 4)
    assert _core._rule_cache_bytes() == 0


def test_threads_share_the_cache() -> None:
    wrong = []

    def look_up() -> None:
        for n in [*range(1, 60), 1000, 1_000_000, *range(1, 60)]:
            nodes, weights, degree = _core.rule("gausslegendre", n)
            if len(nodes) != n or len(weights) != n or degree != 2 * n - 1:
                wrong.append(n)

    threads = [threading.Thread(target=look_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert 0 < _core._rule_cache_bytes() <= LIMIT
