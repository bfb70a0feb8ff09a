"""Language models and sentence encoders: the next token, a continuation token by token, and similarity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pyig.errors import InputError, InputTypeError
from pyig.explainer import IntegratedGradients
from pyig.explanation import Explanation
from pyig.explanation.record import PER_NODE, PER_PATH
from pyig.registry import Registry
from pyig.text.batches import Batch
from pyig.text.encoded import Encoded
from pyig.text.limits import limit_of
from pyig.text.request import Request
from pyig.text.result import TextExplanation
from pyig.text.tokenizers import Tokenizer, read_tokenizer

_TASKS = Registry(  # strings: torch is imported when a task is made
    "task",
    {
        name: f"pyig.text.torch_tasks:{attribute}"
        for name, attribute in {
            "next": "NextToken",
            "continuation": "Continuation",
            "span": "Span",
            "similarity": "Similarity",
            "vectors": "vectors",
            "generate": "generate",
            "answers": "answers",
        }.items()
    },
)
_FIRST, _MOST = 16, 256


def explain_similarity(
    model: Any, text: str | Sequence[str], reference: str | Sequence[str], tokenizer: Any, **options: Any
) -> TextExplanation:
    """Explain how similar a sentence encoder finds texts to a reference: the cosine of their mean vectors.

    Parameters
    ----------
    model : torch.nn.Module
        An encoder with ``last_hidden_state`` (N, T, E), as of Hugging Face ``AutoModel``.
    text : str, or sequence of str
    reference : str, or one for each text
        Held fixed: its vector is computed once.
    tokenizer : object
        As for `explain_text`.
    **options
        As for `explain_text`, but for `target` and `inputs`.
    """
    face = read_tokenizer(tokenizer)
    texts = [text] if isinstance(text, str) else list(text)
    others = [reference] * len(texts) if isinstance(reference, str) else list(reference)
    if len(others) != len(texts):
        raise InputError(f"expected reference= as one text, or one for each of {len(texts)}; got {len(others)}")
    known = {other: _vector(model, face, other) for other in dict.fromkeys(others)}
    request = _request(_TASKS["similarity"](model), face, options)
    spoken = dict(zip(texts, others, strict=True))

    def rows(asked: Sequence[str]) -> dict[str, Any]:
        # An edited text keeps the reference that all share; with several, the caller passes the texts anew.
        return {"reference": np.stack([known[spoken.get(each, others[0])] for each in asked])}

    return replace(request, rows=rows).explain(texts)


def explain_next(
    model: Any, text: str | Sequence[str], tokenizer: Any, *, token: Any = None, contrast: Any = None, **options: Any
) -> TextExplanation:
    """Explain the next token that a language model predicts.

    Parameters
    ----------
    model : torch.nn.Module
        With logits (N, T, V). An encoder-decoder (T5, BART) is asked for the first token of its answer.
    text : str, or sequence of str
    token, contrast : str, int, or one for each text, optional
        The token to explain, the predicted one by default, and one to compare it with: F is then the difference of
        their logits. A str is one that the tokenizer writes as one token.
    **options
        As for `explain_text`, but for `target` and `inputs`. By default F is a log-probability; pass ``value="output"``
        for the logit.
    """
    face = _face(model, tokenizer)
    if contrast is None:
        options = {"value": "log_probability", "output_kind": "logits"} | options
    else:
        options = {"contrast": _one_token(face, contrast)} | options
    target = "predicted" if token is None else _one_token(face, token)
    texts = [text] if isinstance(text, str) else list(text)
    return _request(_TASKS["next"](model), face, options, target=target).explain(texts)


def explain_span(
    model: Any, text: str | Sequence[str], tokenizer: Any, span: str | Sequence[int], **options: Any
) -> TextExplanation:
    """Explain the log-probability that a language model goes on with a span of several tokens.

    Parameters
    ----------
    model : torch.nn.Module
        As for `explain_generation`.
    text : str, or sequence of str
    span : str, or sequence of int
        What follows each text, or the ids of its tokens. A leading space may matter.
    **options
        As for `explain_text`, but for `target` and `inputs`.
    """
    face = _face(model, tokenizer)
    ids = _plain_ids(face, span) if isinstance(span, str) else [int(i) for i in span]
    if not ids:
        raise InputError(f"expected a span of at least one token; the tokenizer finds none in {span!r}")
    request = _going_on(model, face, _TASKS["span"](model, len(ids)), ids, options, None)
    return request.explain([text] if isinstance(text, str) else list(text))


@dataclass(frozen=True)
class Generation:
    """Which tokens of a prompt each generated token follows from.

    Attributes
    ----------
    prompt : TextExplanation
        One text, K targets: the generated tokens. Values are their log-probabilities.
    tokens : tuple of str
        The generated tokens.
    """

    prompt: TextExplanation
    tokens: tuple[str, ...]

    def matrix(self, level: str = "word") -> tuple[list[str], list[str], Any]:
        """Return the words of the prompt, the generated tokens, and the attributions (words, tokens)."""
        columns = [self.prompt.shares(0, k, level) for k in range(len(self.tokens))]
        table = np.array([[share.attribution for share in column] for column in columns]).T
        return [share.text for share in columns[0]], list(self.tokens), table

    def to_html(self, level: str = "word") -> str:
        """Return the matrix as a tinted table."""
        table: str = self._pieces(level).plot("matrix")
        return table

    def _repr_html_(self) -> str:
        return self.to_html()

    def _pieces(self, level: str) -> Explanation:
        return replace(self.prompt.pieces(level), output_names=self.tokens)

    def to_frame(self, level: str = "word") -> Any:
        """Return the matrix as a DataFrame with the words as index; needs pandas."""
        import pandas as pd

        rows, columns, table = self.matrix(level)
        return pd.DataFrame(table, index=rows, columns=columns)


def explain_generation(
    model: Any,
    prompt: str,
    tokenizer: Any,
    generated: str | None = None,
    *,
    max_new_tokens: int = 16,
    rtol: float = 0.01,
    **options: Any,
) -> Generation:
    """Explain each token of a continuation, or of an encoder-decoder's answer, by the words of the prompt.

    The continuation is held fixed while the prompt goes from its baseline to what it is, so that all its tokens share
    every forward of the model.

    Parameters
    ----------
    model : torch.nn.Module
        A language model with logits (N, T, V): causal, or an encoder-decoder (T5, BART).
    prompt : str
    tokenizer : object
    generated : str, optional
        The continuation; by default what the model finds most likely, token by token, up to the end that its
        configuration names.
    max_new_tokens : int
        How many tokens to generate.
    rtol : float
        Rules of 16, 32, ... 256 nodes are tried until every token's estimated error is below it.
    **options
        As for `explain_text`.
    """
    for name, text in (("prompt", prompt), ("generated", "" if generated is None else generated)):
        if not isinstance(text, str):
            raise InputTypeError(f"expected {name} as one str; got {type(text).__module__}.{type(text).__qualname__}")
    face, apart = _face(model, tokenizer), _TASKS["answers"](model)
    (inner,) = face.encode([prompt])
    if not len(inner):
        raise InputError(f"expected a prompt of at least one token; the tokenizer finds none in {prompt!r}")
    if generated is None:
        limit = limit_of(model, face, options.get("max_length"))
        if limit is not None and not apart and len(inner) + max_new_tokens > limit:
            raise InputError(
                f"expected prompt and continuation of at most {limit} tokens together; got {len(inner)} and "
                f"max_new_tokens={max_new_tokens}"
            )
        ids = _TASKS["generate"](model, list(inner.ids), max_new_tokens, _ends(model))
    else:
        ids = _plain_ids(face, generated)
    if not ids:
        raise InputError("expected at least one generated token; got none")
    task = _TASKS["continuation"](model, len(ids))
    request = _going_on(model, face, task, ids, options, f"top{len(ids)}" if len(ids) > 1 else 0)
    steps = _FIRST
    while True:
        found = replace(request, options={"n_steps": steps, "rtol": rtol} | request.options).explain([prompt])
        if steps >= _MOST or bool(np.all(found.converged)) or "n_steps" in options:
            break
        steps *= 2
    return Generation(_in_order(found), tuple(face.token(i) for i in ids))


def _going_on(model: Any, face: Tokenizer, task: Any, ids: list[int], options: dict[str, Any], target: Any) -> Request:
    """Return how to explain what follows a text: held fixed behind it, or beside it for an encoder-decoder."""

    def continued(text: Encoded) -> Encoded:
        return Encoded(
            text.text,
            (*text.ids, *ids),
            (*text.tokens, *(face.token(i) for i in ids)),
            (*text.spans, *[None] * len(ids)),
            (*text.special, *[True] * len(ids)),  # the same in the baseline
        )

    longer = replace(face, encode=lambda texts: [continued(text) for text in face.encode(texts)])
    rows = {"continuation": np.array(ids)}
    return replace(
        _request(task, face if _TASKS["answers"](model) else longer, options, target=target),
        rows=lambda texts: {name: np.tile(row, (len(texts), 1)) for name, row in rows.items()},
    )


def _plain_ids(face: Tokenizer, text: str) -> list[int]:
    """Return the ids of a text without special tokens."""
    (found,) = face.encode([text])
    return [i for i, special in zip(found.ids, found.special, strict=True) if not special]


def _ends(model: Any) -> set[int]:
    """Return the tokens that end a text, as the model's configuration names them."""
    found = getattr(getattr(model, "config", None), "eos_token_id", None)
    return {found} if isinstance(found, int) else set(found or ())


def _in_order(found: TextExplanation) -> TextExplanation:
    """Sort the targets by their place in the continuation; they come by their probability."""
    tokens = found.tokens
    if tokens.values.ndim == 1 or tokens.targets is None:
        return found
    order = np.argsort(tokens.targets[0])
    return replace(found, tokens=_pick(tokens, order))


def _pick(tokens: Explanation, order: Any) -> Explanation:
    """Return the targets of one sample in another order."""
    parts = [slice(tokens.path_offsets[k], tokens.path_offsets[k + 1]) for k in order]
    sizes = [part.stop - part.start for part in parts]
    changed: dict[str, Any] = {
        name: np.concatenate([getattr(tokens, name)[part] for part in parts]) for name in PER_NODE
    }
    changed["path_offsets"] = np.cumsum([0, *sizes])
    for name in (*PER_PATH, "targets"):
        changed[name] = getattr(tokens, name)[:, order]
    attributions = {name: leaf[:, order] for name, leaf in tokens.attributions.items()}
    return replace(tokens, attributions=attributions, **changed)


def _face(model: Any, tokenizer: Any) -> Tokenizer:
    """Return a tokenizer whose texts may go on: nothing special behind them, padding where the model does not look.

    To an encoder-decoder a text is whole.
    """
    face = read_tokenizer(tokenizer)
    if _TASKS["answers"](model):
        return face
    return replace(face, side="right", encode=lambda texts: [_without_end(text) for text in face.encode(texts)])


def _without_end(text: Encoded) -> Encoded:
    """Drop special tokens behind the text: a continuation takes their place."""
    last = max((place for place, special in enumerate(text.special) if not special), default=len(text) - 1) + 1
    return text.pick(range(last))


def _vector(model: Any, face: Tokenizer, text: str) -> Any:
    (one,) = face.encode([text])
    ids = np.array([one.ids])
    return _TASKS["vectors"](model, ids, np.ones_like(ids))[0]


def _one_token(face: Tokenizer, given: Any) -> Any:
    """Return the id that stands for one token, or one id for each text."""
    if isinstance(given, (list, tuple)):
        return [_one_token(face, each) for each in given]
    if not isinstance(given, str):
        return given
    plain = _plain_ids(face, given)
    if len(plain) != 1:
        raise InputError(
            f"expected one token; the tokenizer writes {given!r} as {len(plain)}: "
            f"{', '.join(repr(face.token(i)) for i in plain)}. Pass an id, or one of these (a leading space may "
            "matter), or ask explain_span for all of them"
        )
    return plain[0]


def _request(task: Any, face: Tokenizer, options: dict[str, Any], target: Any = None) -> Request:
    taken = {"baseline": None, "layer": None, "too_long": "error", "max_length": None, "length": None}
    for name in ("target", "inputs", "output"):
        if name in options:
            raise InputError(f"expected no {name}= here: what is explained is settled by the task")
    own = {name: options[name] for name in taken if name in options}
    rest = {name: value for name, value in options.items() if name not in taken}
    return Request(IntegratedGradients(task), face, _masked, target, options=rest, **(taken | own))


def _masked(ids: Any, batch: Batch) -> tuple[Any, dict[str, Any]]:
    return ids, {"attention_mask": batch.mask}
