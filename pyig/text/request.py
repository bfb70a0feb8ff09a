"""One way of explaining texts: the model, its tokenizer, and every option, so that another text is explained alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from pyig.baselines import at_layer
from pyig.errors import InputError, InputTypeError
from pyig.explainer import IntegratedGradients
from pyig.explanation import Explanation
from pyig.explanation.joining import concatenate
from pyig.text.baselines import ZERO, baseline_ids
from pyig.text.batches import Batch, batches
from pyig.text.discrete import chain, summed
from pyig.text.encoded import Encoded
from pyig.text.limits import fitted, length_of, limit_of
from pyig.text.result import LEAF, TextExplanation
from pyig.text.tokenizers import Tokenizer
from pyig.text.windows import rejoined

_OWN = {"baselines": "baseline=", "forward_kwargs": "inputs=, a function of ids and batch"}


@dataclass(frozen=True)
class Request:
    """Everything of a call but its texts; `pyig.explain_text` says what each part means."""

    explainer: IntegratedGradients
    tokenizer: Tokenizer
    inputs: Callable[[Any, Batch], tuple[Any, dict[str, Any]]]
    target: Any = None
    baseline: Any = None
    layer: Any = None
    too_long: str = "error"
    max_length: int | None = None
    length: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    anchors: int = 0
    rows: Callable[[Sequence[str]], dict[str, Any]] | None = None
    """Keyword arguments of the model that have one row per text."""

    def __post_init__(self) -> None:
        for name, own in _OWN.items():
            if name in self.options:
                raise InputError(f"expected {own} for texts; got {name}=")
        if isinstance(self.anchors, bool) or not hasattr(self.anchors, "__index__") or self.anchors < 0:
            raise InputError(f"expected anchors= as a whole number of at least 0; got {self.anchors!r}")

    def explain(self, texts: list[str]) -> TextExplanation:
        """Explain texts."""
        if not texts:
            raise InputError("expected at least one text; got none")
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise InputTypeError(
                    f"expected texts as str; text {row} is {type(text).__module__}.{type(text).__qualname__}"
                )
        encoded = self.tokenizer.encode(texts)
        self._check(encoded)
        parts = fitted(encoded, self._limit, self.too_long)
        flat = [part for each in parts for part in each]
        owner = np.repeat(np.arange(len(texts)), [len(each) for each in parts])
        if len(flat) > len(texts) and self.target in (None, "predicted"):
            raise InputError(
                "expected target= as a class with too_long='window', since each window may be predicted differently; "
                "got none"
            )
        found = self._paths(flat, self._targets(len(texts), owner), self.rows(texts) if self.rows else {}, owner)
        tokens, kept = rejoined(found, flat, owner, encoded)
        notes = [*tokens.meta.get("notes", []), *self._notes(encoded, parts)]
        return TextExplanation(replace(tokens, meta=tokens.meta | {"notes": notes}), kept, self)

    def _check(self, encoded: Sequence[Encoded]) -> None:
        size = _rows_of(self.layer_weight)
        for row, text in enumerate(encoded):
            if not len(text):
                raise InputError(f"expected texts with at least one token; text {row} ({text.text[:40]!r}) has none")
            if size is not None and max(text.ids) >= size:
                raise InputError(
                    f"expected token ids below {size}, the rows of the model's embedding; text {row} has "
                    f"{max(text.ids)} ({text.tokens[int(np.argmax(text.ids))]!r}). Is this the model's own tokenizer?"
                )

    @property
    def layer_weight(self) -> Any:
        """The table of the embedding layer, where it is known before a call."""
        own = getattr(self.explainer.model, "get_input_embeddings", None)
        layer = self.layer if self.layer is not None and not isinstance(self.layer, str) else None
        if layer is None and own is not None:
            layer = own()
        return getattr(layer, "weight", None)

    def _targets(self, count: int, owner: Any) -> Callable[[Any], Any]:
        """Return the target of some rows: one for all, or the entries that belong to them."""
        target = self.target
        each = isinstance(target, list) or (hasattr(target, "shape") and getattr(target, "ndim", 1) > 0)
        if not each:
            return lambda rows: target
        listed = np.asarray(target)
        if len(listed) != count:
            raise InputError(f"expected target= with one entry for each of {count} texts; got {len(listed)}")
        return lambda rows: listed[owner[rows]]

    def _paths(self, flat: list[Encoded], target: Any, extra: dict[str, Any], owner: Any) -> Explanation:
        """Explain each part on a straight line, or from one text on the way to the next."""
        starts = baseline_ids(flat, self.tokenizer, self.baseline)
        if not self.anchors:
            return self._explained(flat, starts, target, extra, owner)
        if self.target in (None, "predicted") or self.baseline == ZERO:
            raise InputError("expected target= as a class, and a baseline of tokens, with anchors=")
        table = self._table(flat, starts)
        ways = [chain(table, start, part.ids, self.anchors) for start, part in zip(starts, flat, strict=True)]
        pieces = [replace(part, ids=tuple(ids)) for part, way in zip(flat, ways, strict=True) for ids in way[1:]]
        begins = [ids for way in ways for ids in way[:-1]]
        whose = np.repeat(np.arange(len(flat)), self.anchors + 1)
        return summed(self._explained(pieces, begins, target, extra, owner[whose]), whose)

    def _table(self, flat: list[Encoded], starts: list[list[int]]) -> Any:
        """Return the vectors of the vocabulary."""
        (batch,) = self._batches(flat[:1], starts[:1])
        x, kwargs = self.inputs(batch.ids, batch)
        layer, *others = self._layers(x, kwargs)
        held = None if others else getattr(layer, "weight", getattr(layer, "embeddings", None))
        if held is None:
            raise InputError(f"expected layer= as one embedding layer itself with anchors=; got {[layer, *others]!r}")
        return np.asarray(held.detach().cpu() if hasattr(held, "detach") else held, dtype=np.float64)

    def _explained(
        self, flat: list[Encoded], starts: list[list[int]], target: Any, extra: dict[str, Any], owner: Any
    ) -> Explanation:
        width = max(map(len, flat)) if self._length is None else self._length
        found: list[Explanation] = []
        order: list[int] = []
        for batch in self._batches(flat, starts):
            more = {key: np.asarray(value)[owner[batch.rows]] for key, value in extra.items()}
            found.append(self._batch(batch, flat, target(batch.rows), more, width))
            order += batch.rows.tolist()
        return concatenate(found)[np.argsort(order)]

    def _batches(self, flat: list[Encoded], starts: list[list[int]]) -> list[Batch]:
        return batches(flat, starts, self.tokenizer.pad or 0, self.tokenizer.side, self._length)

    def _batch(self, batch: Batch, flat: list[Encoded], target: Any, more: dict[str, Any], width: int) -> Explanation:
        x, kwargs = self.inputs(batch.ids, batch)
        start, _ = self.inputs(batch.baseline, batch)
        kwargs = {**kwargs, **more}
        self._layers(x, kwargs)
        special = batch.spread([flat[row].special for row in batch.rows], True, bool)
        if isinstance(self.baseline, str) and self.baseline == ZERO:
            start = at_layer(0.0, keep=special, beside=x)
        explained = self.explainer.explain(
            x, baselines=start, target=target, layer=self.layer, forward_kwargs=kwargs, **self.options
        )
        tokens = batch.spread([flat[row].tokens for row in batch.rows], "", object).astype(np.str_)
        other = np.vectorize(self.tokenizer.token, otypes=[object])(batch.baseline)
        if isinstance(start, at_layer):
            other[~special] = ""
        other[batch.places < 0] = ""
        found = replace(
            explained,
            attributions={LEAF: _per_token(explained, batch.ids.shape)},
            inputs={LEAF: tokens},
            baselines={LEAF: other.astype(np.str_)},
            feature_names=None,
            standard_error=None,
            meta=explained.meta | {"summed": True},
        )
        return _aligned(found, batch, width)

    def _layers(self, x: Any, kwargs: dict[str, Any]) -> list[Any]:
        """Return the embedding layers that the path runs behind."""
        if self.layer is not None:
            return self.layer if isinstance(self.layer, list) else [self.layer]
        found = self.explainer.embeddings(x, kwargs)
        if not found:
            raise InputError(
                "expected a model that looks its token ids up in an embedding layer; none was seen to take them. "
                "Pass layer=, the layer whose output is the first of floating dtype"
            )
        return found

    @cached_property
    def _length(self) -> int | None:
        return length_of(self.explainer.model, self.length)

    @property
    def _limit(self) -> int | None:
        return limit_of(self.explainer.model, self.tokenizer, self.max_length, self._length)

    def _notes(self, encoded: Sequence[Encoded], parts: Sequence[Sequence[Encoded]]) -> list[str]:
        cut = [row for row, (text, each) in enumerate(zip(encoded, parts, strict=True)) if each[0] is not text]
        if not cut:
            return []
        what = "explained by its beginning alone" if self.too_long == "truncate" else "explained window by window"
        return [f"too long for the model and {what}: text {', '.join(map(str, cut[:10]))}"]


def _rows_of(table: Any) -> int | None:
    return None if table is None else int(table.shape[0])


def _per_token(explained: Explanation, shape: tuple[int, ...]) -> Any:
    """Return sums per token, (n, T) or (n, K, T): nothing but tokens differs from the baseline."""
    lead = explained.values.shape
    total = np.zeros((*lead, shape[1]))
    for leaf in explained.leaves():
        if leaf.inputs.shape[:2] != shape:
            if not np.any(leaf.attributions):
                continue
            raise InputError(
                f"expected one array for each of {shape[1]} tokens behind layer=, shape ({shape[0]}, {shape[1]}, ...); "
                f"got {leaf.inputs.shape}"
            )
        total += np.asarray(leaf.attributions, np.float64).reshape(*total.shape, -1).sum(axis=-1)
    return total.astype(np.result_type(*(leaf.attributions.dtype for leaf in explained.leaves())))


def _aligned(explained: Explanation, batch: Batch, width: int) -> Explanation:
    """Move the tokens of each text to the front of a row of `width`, without its padding."""
    phi, tokens, start = (getattr(explained, name)[LEAF] for name in ("attributions", "inputs", "baselines"))
    start = np.broadcast_to(start, tokens.shape)
    several = phi.ndim == 3
    out = np.zeros((len(phi), *phi.shape[1:-1], width), dtype=phi.dtype)
    texts, others = np.full((len(phi), width), "", tokens.dtype), np.full((len(phi), width), "", start.dtype)
    for row, place in enumerate(batch.places):
        kept = np.flatnonzero(place >= 0)
        out[row, ..., : len(kept)] = phi[row][:, kept] if several else phi[row][kept]
        texts[row, : len(kept)], others[row, : len(kept)] = tokens[row, kept], start[row, kept]
    return replace(
        explained, attributions={LEAF: out}, inputs={LEAF: texts}, baselines={LEAF: others}, feature_names=None
    )
