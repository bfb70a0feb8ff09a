"""Mean and central moments of a stream of rows, one row at a time (Welford 1962; Pébay 2008 for the higher ones).

Sums of squares would lose every digit where the mean is large against the spread; these do not.
"""

from __future__ import annotations

import numpy as np

from pyig.contracts import Floats, Ints


class Moments:
    """Running moments of R rows of D numbers, each row with a count of its own.

    Parameters
    ----------
    rows, columns : int
        R and D.
    order : {2, 4}
        The highest moment: 4 is needed for the standard error of a variance.
    """

    def __init__(self, rows: int, columns: int, order: int = 2) -> None:
        self.count: Ints = np.zeros(rows, dtype=np.int64)
        self.mean: Floats = np.zeros((rows, columns))
        self._m2: Floats = np.zeros((rows, columns))
        self._m3: Floats | None = self._m2.copy() if order == 4 else None
        self._m4: Floats | None = self._m2.copy() if order == 4 else None

    def add(self, rows: Ints, values: Floats) -> None:
        """Take one more value (len(rows), D) for each of these rows, all different."""
        before = self.count[rows].astype(np.float64)[:, None]
        n = before + 1
        change = values - self.mean[rows]
        step = change / n
        term = change * step * before
        if self._m3 is not None and self._m4 is not None:
            m2, m3 = self._m2[rows], self._m3[rows]
            self._m4[rows] += term * step**2 * (n * n - 3 * n + 3) + 6 * step**2 * m2 - 4 * step * m3
            self._m3[rows] += term * step * (n - 2) - 3 * step * m2
        self._m2[rows] += term
        self.mean[rows] += step
        self.count[rows] += 1

    @property
    def variance(self) -> Floats:
        """The mean squared distance from the mean, (R, D); NaN without values."""
        with np.errstate(invalid="ignore"):
            found: Floats = self._m2 / self._counts()
        return found

    def error_of_mean(self) -> Floats:
        """Return the standard error of the mean, (R, D); NaN with fewer than two values."""
        n = self._counts()
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Floats = np.where(n > 1, np.sqrt(self._m2 / (n * (n - 1))), np.nan)
        return found

    def error_of_variance(self) -> Floats:
        """Return the standard error of the variance, (R, D); NaN with fewer than two values."""
        assert self._m4 is not None
        n = self._counts()
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = self._m4 / n - (n - 3) / (n - 1) * self.variance**2
            found: Floats = np.where(n > 1, np.sqrt(np.maximum(spread, 0.0) / n), np.nan)
        return found

    def _counts(self) -> Floats:
        return self.count.astype(np.float64)[:, None]
