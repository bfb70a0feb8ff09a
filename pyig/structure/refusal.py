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
    lasting : bool
        Whether the model is the reason; otherwise a later call, with more samples, is to ask again.

    Examples
    --------
    >>> bool(Refusal("the model is in training mode"))
    False
    """

    reason: str
    lasting: bool = True

    def __bool__(self) -> bool:
        return False


DOES_NOT_PAY = Refusal("for so few evaluations it does not pay", lasting=False)
NEVER_PAYS = Refusal("it would save too small a part of the work, or make the rows too wide")
