"""Texts: from token ids to the words that a person reads.

The path runs between the embeddings of the text and those of a baseline; special tokens and padding stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pyig.explainer import IntegratedGradients
from pyig.text.calling import inputs_of
from pyig.text.encoded import Encoded as Encoded
from pyig.text.request import Request
from pyig.text.result import TextExplanation as TextExplanation
from pyig.text.tokenizers import Tokenizer as Tokenizer
from pyig.text.tokenizers import read_tokenizer


def explain_text(
    model: Any,
    text: str | Sequence[str],
    tokenizer: Any,
    *,
    target: Any = None,
    baseline: Any = None,
    layer: Any = None,
    inputs: Callable[[Any, Any], Any] | None = None,
    output: str | int | None = None,
    backend: str | None = None,
    too_long: str = "error",
    max_length: int | None = None,
    length: int | None = None,
    anchors: int = 0,
    **options: Any,
) -> TextExplanation:
    """Explain what each word of a text contributes to the model's output.

    Parameters
    ----------
    model : callable
        A torch or Keras model of token ids.
    text : str, or sequence of str
        One text, or several.
    tokenizer : object
        Of Hugging Face ``transformers`` or ``tokenizers``, a Keras ``TextVectorization`` or ``Tokenizer``, or a
        function from a text to its ids; see `pyig.text.tokenizers.read_tokenizer`.
    target : optional
        As for `IntegratedGradients.explain`; a list holds one entry for each text.
    baseline : str, int or list of str, optional
        ``"pad"`` (the default where the vocabulary has one), ``"mask"``, ``"unknown"``, or ``"zero"``, the zero
        embedding; the id of a token; or a text for each text. Special tokens are those of the text.
    layer : optional
        The embedding layer; found by itself where one layer is seen to take the ids.
    inputs : callable, optional
        ``inputs(ids, batch)`` returns the model's input, or the input and keyword arguments, for ids (n, T) and
        ``batch.mask``, ``batch.segments`` beside them; read from the model's signature by default.
    output : str or int, optional
        Which of several outputs.
    backend : str, optional
        ``"torch"`` or ``"tensorflow"``, for a model that is a function around one.
    too_long : {"error", "truncate", "window"}
        What to do with a text of more tokens than the model takes. Windows are explained one by one; F is then the
        mean over them.
    max_length : int, optional
        Most tokens of one text; by default what model and tokenizer say.
    length : int, optional
        Pad all texts to one length, for a model that takes no other; read from the inputs of a Keras model.
    anchors : int
        Go from the baseline to the text by way of so many texts of real words, not on one straight line: as many times
        the gradients, plus one. See `pyig.text.discrete`.
    **options
        As for `IntegratedGradients.explain`.

    Returns
    -------
    TextExplanation
        With words, tokens, and the characters that they stand for.

    Raises
    ------
    InputError, InputTypeError
        For a text that is too long, ids that the model has no embedding for, and all that `explain` raises.
    """
    request = Request(
        IntegratedGradients(model, backend=backend, output=output),
        read_tokenizer(tokenizer),
        inputs_of(model, inputs),
        target,
        baseline,
        layer,
        too_long,
        max_length,
        length,
        options,
        anchors,
    )
    return request.explain([text] if isinstance(text, str) else list(text))
