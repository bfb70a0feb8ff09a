"""One generator from the user, and from it a stream of its own for every sample and every draw.

A stream depends on what it is for and on nothing else: not on how samples were batched, nor on how many there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pyig.errors import InputTypeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    Rng = np.random.Generator  # numpy loads its generators only when they are asked for


def generator(rng: Any) -> Rng:
    """Return the one source of randomness of a call.

    Parameters
    ----------
    rng : None, int or numpy.random.Generator
        Without a seed every call draws anew; a Generator is used as it is, and moves on.

    Raises
    ------
    InputTypeError
        For anything else.
    """
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"expected rng= as a whole number or a numpy Generator; got {rng!r}") from error


def entropy(rng: Rng) -> tuple[int, ...]:
    """Draw what the streams of a call are seeded with: 128 bits."""
    return tuple(int(word) for word in rng.integers(2**32, size=4, dtype=np.uint64))


def stream(seed: Sequence[int], *key: int) -> Rng:
    """Return the stream of a key, such as (draw, sample).

    Examples
    --------
    >>> one, again, other = stream((7,), 3, 0), stream((7,), 3, 0), stream((7,), 0, 3)
    >>> float(one.random()) == float(again.random()) != float(other.random())
    True
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(tuple(seed), spawn_key=key)))
