"""What the engine takes and the peers refuse: an array of baselines with neither one row nor one per sample."""

from __future__ import annotations

from typing import Any

from pyig.errors import InputError


def check_rows(baselines: Any, x: Any, instead: str = "baselines=pyig.several(...)") -> None:
    """Raise where a lone array of baselines has a number of rows of its own.

    The engine would average over them. In code that was written for a peer it is a slip, such as the last batch of a
    loader with baselines of a full one, and its meaning must not depend on how many samples there are.

    Examples
    --------
    >>> import numpy as np
    >>> check_rows(np.zeros((1, 4)), np.zeros((5, 4)))
    >>> check_rows(np.zeros((3, 4)), np.zeros((5, 4)))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    pyig.errors.InputError: expected baselines= of shape (5, 4), (1, 4) or (4,), or a number; got (3, 4). ...
    """
    have, want = (tuple(getattr(each, "shape", ())) for each in (baselines, x))
    if want and len(have) == len(want) and have[1:] == want[1:] and have[0] not in (1, want[0]):
        raise InputError(
            f"expected baselines= of shape {want}, {(1, *want[1:])} or {want[1:]}, or a number; got {have}. To average "
            f"over several baselines say so: {instead}"
        )
