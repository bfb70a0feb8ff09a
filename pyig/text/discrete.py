"""A path through real words: the straight line between two embeddings leaves the places where words are.

Between baseline and text stand texts of the same length whose tokens lie on the way (Sanyal, Ren 2021, "Discretized
Integrated Gradients for Explaining Language Models", arXiv:2108.13654). The path is straight from each of them to the
next, so that the sums over its pieces still add up to F(x) - F(x').
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyig.contracts import Floats, Ints
from pyig.explanation import Explanation
from pyig.text.merging import groups_of, merged
from pyig.text.result import LEAF

_NEAR = 64  # words around a point of the line, from which the one is taken that lies most between the ends


def chain(table: Floats, start: Sequence[int], stop: Sequence[int], anchors: int) -> list[list[int]]:
    """Return the ids of the texts on the way, the baseline first and the text last.

    Parameters
    ----------
    table : float array (V, E)
        The vectors of the vocabulary.
    start, stop : sequence of int (T,)
        Baseline and text.
    anchors : int
        How many texts stand between.

    Examples
    --------
    >>> table = np.array([[0.0], [1.0], [2.0], [3.0], [9.0]])
    >>> chain(table, [0], [3], 2)
    [[0], [1], [2], [3]]
    """
    rows = [_tokens(table, a, b, anchors) for a, b in zip(start, stop, strict=True)]
    return [list(step) for step in zip(*rows, strict=True)]


def _tokens(table: Floats, start: int, stop: int, anchors: int) -> list[int]:
    """Return one token's way: at each step the nearby word that lies most between the last one and the end."""
    way = [stop]
    for step in range(anchors):
        if start == stop:
            way.append(stop)
            continue
        share = 1 - (step + 1) / (anchors + 1)
        point = table[start] + share * (table[stop] - table[start])
        distance = ((table - point) ** 2).sum(axis=1)
        near = np.argsort(distance, kind="stable")[:_NEAR]
        low, high = np.minimum(table[way[-1]], table[start]), np.maximum(table[way[-1]], table[start])
        between = ((table[near] >= low) & (table[near] <= high)).mean(axis=1)
        # Of those that lie between equally well the nearest; neither end, unless nothing else is near.
        between[np.isin(near, [start, stop])] = -1
        way.append(int(near[np.argmax(between)]))
    return [start, *reversed(way)]


def summed(pieces: Explanation, owner: Ints) -> Explanation:
    """Return one sample for each owner: attributions, gaps and errors of its pieces added up.

    F(x) is that of its last piece and F(x') that of its first; its path has no record.
    """
    groups = groups_of(owner)
    first, last = np.array([g[0] for g in groups]), np.array([g[-1] for g in groups])
    trees = {
        "attributions": {LEAF: np.stack([pieces.attributions[LEAF][rows].sum(axis=0) for rows in groups])},
        "inputs": {LEAF: pieces.inputs[LEAF][last]},
        "baselines": {LEAF: np.broadcast_to(pieces.baselines[LEAF], pieces.inputs[LEAF].shape)[first]},
    }
    numbers = {
        name: np.stack([getattr(pieces, name)[rows].sum(axis=0) for rows in groups]) for name in ("deltas", "error")
    }
    numbers |= {"values": pieces.values[last], "baseline_values": pieces.baseline_values[first]}
    return merged(pieces, groups, trees, numbers)
