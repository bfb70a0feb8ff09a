"""Why a structure was not found, in the place of the structure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """Stands where a structure would; false, so that ``if not found`` reads as it should.

    Attributes
    ----------
    reason : str
        Half a sentence for the report: why the plain path is taken.

    Examples
    --------
    >>> bool(Refusal("the model is in training mode"))
    False
    """

    reason: str

    def __bool__(self) -> bool:
        return False
