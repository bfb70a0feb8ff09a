"""How the words of a text build up along the path: the gradients at its nodes once more, summed by word."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pyig import tree
from pyig.baselines import at_layer
from pyig.contracts import Ints, Tensor
from pyig.errors import InputError
from pyig.explainer.along import of_inputs, target_of, walked
from pyig.explanation import Explanation
from pyig.explanation.cumulative import CumulativeAttributions
from pyig.explanation.groups import groups_of
from pyig.text.baselines import ZERO, baseline_ids
from pyig.text.encoded import Encoded, Word
from pyig.text.limits import fitted
from pyig.text.request import Request
from pyig.text.result import Share, places

_OF_METHOD = ("method", "n_steps", "max_evals", "confidence", "prefix", "repeatable")  # how to integrate, not what


def along(
    request: Request,
    pieces: Explanation,
    text: str,
    i: int,
    k: int = 0,
    top: int = 8,
    nodes: int | None = None,
    options: dict[str, Any] | None = None,
) -> CumulativeAttributions:
    """Return the lines of the strongest words.

    Parameters
    ----------
    pieces : Explanation
        What `TextExplanation.pieces` gives.
    text : str
        The i-th of its texts.
    options : dict, optional
        ``batch_size``, ``progress``, ``cancel``.
    """
    if request.anchors:
        raise InputError("expected a straight path; one through anchors= has several")
    (parts,) = fitted(request.tokenizer.encode([text]), request._limit, request.too_long)
    if len(parts) > 1:
        raise InputError("expected a text that the model takes in one piece; windows have a path each")
    encoded = parts[0]
    (batch,) = request._batches([encoded], baseline_ids([encoded], request.tokenizer, request.baseline))
    x, kwargs = request.inputs(batch.ids, batch)
    start, _ = request.inputs(batch.baseline, batch)
    if isinstance(request.baseline, str) and request.baseline == ZERO:
        start = at_layer(0.0, keep=batch.spread([encoded.special], True, bool))
    extra = request.rows([text]) if request.rows else {}
    kwargs = {**kwargs, **{name: np.asarray(value) for name, value in extra.items()}}
    groups = groups_of(pieces, i, k, top)
    tokens = _tokens(encoded, groups.labels, len(groups.names))
    seat = batch.places[0]
    labels = np.where(seat >= 0, tokens[seat], len(groups.names))
    given = {name: value for name, value in request.options.items() if name not in _OF_METHOD}
    question = {
        "x": x,
        "baselines": start,
        "target": request.target if callable(request.target) else target_of(pieces, i, k),
        "layer": request.layer,
        "forward_kwargs": kwargs,
        **given,
        **(options or {}),
    }
    explainer = request.explainer
    if request.layer is None:
        leaves, _ = tree.flatten(x)
        sized = [_fitting(labels, leaf.shape[1:], len(groups.names)) for leaf in leaves]
        of_leaves = of_inputs(explainer, question, sized, len(groups.names))
    else:
        of_leaves = _at_layer(labels, len(groups.names))
    return walked(explainer, pieces, i, k, groups, of_leaves, question, nodes)


def _tokens(encoded: Encoded, labels: Ints, none: int) -> Ints:
    """Return the line of each token of a text, given those of its pieces."""
    words: Sequence[Word] = encoded.words()
    seats = places([Share(word.text, word.span, 0.0) for word in words])
    found = np.full(len(encoded) + 1, none, dtype=np.int64)
    for word, seat in zip(words, seats, strict=True):
        if seat >= 0:
            found[list(word.tokens)] = labels[seat]
    return found


def _at_layer(labels: Ints, none: int) -> Callable[[list[Tensor]], Sequence[Ints]]:
    """Return the lines of a layer's values that have one array for each token."""
    return lambda leaves: [_fitting(labels, leaf.shape[1:], none) for leaf in leaves]


def _fitting(labels: Ints, shape: Sequence[Any], none: int) -> Ints:
    """Return the labels where the first axis behind the batch is that of the tokens, else no line at all."""
    sizes = [int(n) for n in shape]
    if sizes and sizes[0] == len(labels):
        return np.repeat(labels, int(np.prod(sizes[1:], dtype=np.int64)))
    return np.full(max(1, int(np.prod(sizes, dtype=np.int64))), none)
