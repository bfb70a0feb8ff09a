"""Tokenizers of every make behind one face: texts in, `Encoded` out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pyig.errors import InputError, InputTypeError
from pyig.text.alignment import aligned
from pyig.text.encoded import Encoded


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer, and what its vocabulary holds for baselines.

    Attributes
    ----------
    encode : callable
        From a list of texts to a list of `Encoded`, neither padded nor truncated.
    token : callable
        From an id to its token.
    pad, mask, unknown : int or None
        Ids, where the vocabulary has them.
    limit : int or None
        Most tokens of one text, special ones included, as the tokenizer knows it.
    side : {"right", "left"}
        Where padding goes.
    size : int or None
        How many tokens the vocabulary has.
    """

    encode: Callable[[list[str]], list[Encoded]]
    token: Callable[[int], str]
    pad: int | None = None
    mask: int | None = None
    unknown: int | None = None
    limit: int | None = None
    side: str = "right"
    size: int | None = None


def read_tokenizer(given: Any, vocabulary: Mapping[int, str] | Sequence[str] | None = None) -> Tokenizer:
    """Return the face of a tokenizer.

    Parameters
    ----------
    given : object
        A tokenizer of Hugging Face's ``transformers`` or ``tokenizers``, a Keras ``TextVectorization`` layer or
        ``Tokenizer``, or a function from a text to ids, to ``(id, (begin, end))`` pairs, or to a mapping with ``ids``
        and, if it knows them, ``tokens``, ``offsets`` and ``special``.
    vocabulary : mapping or sequence, optional
        From id to token, for a function that does not say.
    """
    if isinstance(given, Tokenizer):
        return given
    for sign, read in _KINDS.items():
        if all(hasattr(given, name) for name in sign):
            return read(given)
    if callable(given) and not isinstance(given, type):
        return _function(given, vocabulary)
    raise InputTypeError(
        "expected tokenizer= as a Hugging Face tokenizer, a Keras TextVectorization or Tokenizer, or a function from a "
        f"text to token ids; got {type(given).__module__}.{type(given).__qualname__}"
    )


def _transformers(given: Any) -> Tokenizer:
    def encode(texts: list[str]) -> list[Encoded]:
        if not getattr(given, "is_fast", True):
            return [_by_pieces(text, lambda t: given(t)["input_ids"], token) for text in texts]
        found = given(
            texts,
            add_special_tokens=True,
            padding=False,
            truncation=False,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            return_attention_mask=False,
            verbose=False,
        )
        segments = found["token_type_ids"] if "token_type_ids" in found else [None] * len(texts)
        rows = zip(
            texts, found["input_ids"], found["offset_mapping"], found["special_tokens_mask"], segments, strict=True
        )
        return [_row(text, ids, offsets, special, token, kinds) for text, ids, offsets, special, kinds in rows]

    def token(number: int) -> str:
        return str(given.convert_ids_to_tokens(int(number)))

    limit = getattr(given, "model_max_length", None)
    return Tokenizer(
        encode,
        token,
        given.pad_token_id,
        given.mask_token_id,
        given.unk_token_id,
        None if limit is None or limit > 10**9 else int(limit),  # transformers writes 10**30 for "not known"
        getattr(given, "padding_side", "right"),
        len(given),
    )


def _tokenizers(given: Any) -> Tokenizer:
    def encode(texts: list[str]) -> list[Encoded]:
        kept = (given.padding, given.truncation)
        given.no_padding()
        given.no_truncation()
        try:
            found = given.encode_batch(texts)
        finally:  # what the user has set stays set
            if kept[0] is not None:
                given.enable_padding(**kept[0])
            if kept[1] is not None:
                given.enable_truncation(**kept[1])
        return [
            _row(text, one.ids, one.offsets, one.special_tokens_mask, token, one.type_ids)
            for text, one in zip(texts, found, strict=True)
        ]

    def token(number: int) -> str:
        return str(given.id_to_token(int(number)))

    names = {"pad": ("[PAD]", "<pad>"), "mask": ("[MASK]", "<mask>"), "unknown": ("[UNK]", "<unk>")}
    ids = {
        kind: next((i for name in known if (i := given.token_to_id(name)) is not None), None)
        for kind, known in names.items()
    }
    limit = given.truncation["max_length"] if given.truncation else None
    return Tokenizer(encode, token, ids["pad"], ids["mask"], ids["unknown"], limit, size=given.get_vocab_size())


def _vectorization(given: Any) -> Tokenizer:
    if getattr(given, "_output_mode", "int") != "int":
        raise InputError(f"expected a TextVectorization with output_mode='int'; got {given._output_mode!r}")
    vocabulary = [str(token) for token in given.get_vocabulary()]
    length = getattr(given, "_output_sequence_length", None)

    def ids_of(text: str) -> list[int]:
        given._output_sequence_length = None  # it cuts without a word
        try:
            found = np.asarray(given([text]))[0].tolist()
        finally:
            given._output_sequence_length = length
        while found and found[-1] == 0:
            found.pop()
        return [int(number) for number in found]

    def encode(texts: list[str]) -> list[Encoded]:
        return [_by_pieces(text, ids_of, vocabulary.__getitem__) for text in texts]

    return Tokenizer(
        encode, lambda i: vocabulary[i], pad=0, unknown=1, limit=length, size=given.vocabulary_size()
    )  # Keras' own layout: 0 pads, 1 is unknown


def _word_index(given: Any) -> Tokenizer:
    names: dict[int, str] = {0: "", **{int(number): str(word) for word, number in given.word_index.items()}}
    unknown = given.word_index.get(given.oov_token) if given.oov_token else None

    def ids_of(text: str) -> list[int]:
        return [int(number) for number in given.texts_to_sequences([text])[0]]

    def encode(texts: list[str]) -> list[Encoded]:
        return [_by_pieces(text, ids_of, lambda i: names.get(i, "")) for text in texts]

    return Tokenizer(encode, lambda i: names.get(int(i), ""), pad=0, unknown=unknown, side="left")


def _function(given: Callable[[str], Any], vocabulary: Mapping[int, str] | Sequence[str] | None) -> Tokenizer:
    def token(number: int) -> str:
        if vocabulary is None:
            return str(number)
        known = vocabulary.get(number) if isinstance(vocabulary, Mapping) else vocabulary[number]
        return str(number if known is None else known)

    def encode(texts: list[str]) -> list[Encoded]:
        return [_answer(text, given, token) for text in texts]

    pad = None if vocabulary is None else 0
    return Tokenizer(encode, token, pad=pad, size=None if vocabulary is None else len(vocabulary))


def _answer(text: str, function: Callable[[str], Any], token: Callable[[int], str]) -> Encoded:
    """Read what a user's function says of one text."""
    found = function(text)
    if isinstance(found, Mapping):
        offsets = found.get("offsets", found.get("offset_mapping"))
        if offsets is None:
            made = _by_pieces(text, lambda t: _ids(function(t)), token)
        else:
            special = found.get("special", [a == b for a, b in offsets])
            made = _row(text, _ids(found), offsets, special, token, found.get("segments"))
        return replace(made, tokens=tuple(map(str, found["tokens"]))) if "tokens" in found else made
    rows = list(found)
    if rows and all(isinstance(row, tuple) and len(row) == 2 for row in rows):
        spans = [tuple(row[1]) for row in rows]
        return _row(text, _numbers([row[0] for row in rows]), spans, [a == b for a, b in spans], token, None)
    return _by_pieces(text, lambda t: _numbers(function(t)), token)


def _ids(found: Mapping[str, Any]) -> list[int]:
    for name in ("ids", "input_ids"):
        if name in found:
            return _numbers(found[name])
    raise InputError(f"expected tokenizer= to return a mapping with 'ids'; got {', '.join(map(str, found))}")


def _row(
    text: str, ids: Sequence[int], offsets: Any, special: Sequence[Any], token: Callable[[int], str], kinds: Any
) -> Encoded:
    marks = tuple(bool(mark) for mark in special)
    spans = tuple(None if mark or a == b else (int(a), int(b)) for (a, b), mark in zip(offsets, marks, strict=True))
    segments = None if kinds is None else tuple(map(int, kinds))
    return Encoded(text, tuple(map(int, ids)), tuple(token(i) for i in ids), spans, marks, segments)


def _by_pieces(text: str, ids_of: Callable[[str], Sequence[int]], token: Callable[[int], str]) -> Encoded:
    """Encode with a tokenizer that tells no offsets."""
    ids, spans, special = aligned(text, ids_of)
    return Encoded(text, tuple(ids), tuple(token(i) for i in ids), tuple(spans), tuple(special))


def _numbers(found: Any) -> list[int]:
    array = np.asarray(found)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise InputError(
            "expected tokenizer= to return one list of token ids, whole numbers, for one text; "
            f"got shape {array.shape} and dtype {array.dtype}"
        )
    return [int(number) for number in array]


_KINDS: dict[tuple[str, ...], Callable[[Any], Tokenizer]] = {
    ("convert_ids_to_tokens", "mask_token_id"): _transformers,
    ("encode_batch", "id_to_token"): _tokenizers,
    ("get_vocabulary", "adapt"): _vectorization,
    ("texts_to_sequences", "word_index"): _word_index,
}
