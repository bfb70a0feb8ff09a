"""Gauss-Legendre rules of rising size, each sample until its error meets the tolerance.

For paths behind a model's affine prefix. An evaluation is cheap there and what is measured at the input is not: a rule
is pulled back twice, whatever its size, where the adaptive scheme measures two combinations of rows per gradient.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pyig.contracts import Ints
from pyig.integrate.evaluation import Evaluator, Paths
from pyig.integrate.fixed import Fixed
from pyig.integrate.log_odds import FixedLogOdds
from pyig.integrate.loop import Integrals, Run, merged
from pyig.quadrature import make_rule

_FIRST, _GROWTH = 16, 3


@dataclass(frozen=True)
class Nested:
    """Refine until the estimated L1 error of a result is below `rtol` times the L1 norm of its attributions.

    Attributes
    ----------
    rtol : float
        Tolerance per sample.
    max_evals : int
        Most gradients per path, of all rules together.
    caution : float
        Factor on the error estimate, which is that of the rule on half of the nodes.
    log_odds : bool
        The head gives the log-odds of a probability F.
    """

    rtol: float
    max_evals: int
    caution: float
    log_odds: bool = False

    @property
    def name(self) -> str:
        """Return the method's name."""
        return "nested"

    @property
    def steps(self) -> int:
        """Return the number of gradients that a path takes at least."""
        return self.sizes[0]

    @property
    def sizes(self) -> list[int]:
        """The nodes of the rules: together they spend the budget."""
        sizes, left = [min(_FIRST, self.max_evals)], max(0, self.max_evals - _FIRST)
        while left >= _GROWTH * sizes[-1]:
            sizes.append(_GROWTH * sizes[-1])
            left -= sizes[-1]
        if left >= sizes[-1]:
            sizes.append(left)
        else:  # too few for a better rule
            sizes[-1] += left
        return sizes

    def in_log_odds(self, log_odds: bool) -> Nested:
        """Return the scheme for a head that gives log-odds, or not."""
        return replace(self, log_odds=log_odds)

    def rule(self, size: int) -> Fixed:
        """Return one of the rules."""
        kind = FixedLogOdds if self.log_odds else Fixed
        return kind(make_rule("gausslegendre", size), self.rtol / self.caution)

    def begin(self, evaluator: Evaluator, paths: Paths) -> NestedRun:
        """Start on a block."""
        return NestedRun(self, evaluator, paths)


class NestedRun:
    """One block: all results by the first rule, those that miss the tolerance by the next."""

    def __init__(self, scheme: Nested, evaluator: Evaluator, paths: Paths) -> None:
        self._scheme, self._evaluator, self._paths = scheme, evaluator, paths
        self._sizes = list(scheme.sizes)
        self._left: Ints = np.arange(paths.ends.results)
        self._found: Integrals | None = None
        self._run: Run | None = self._next()

    def step(self) -> bool:
        """Evaluate the next batch; False when every result has converged or had the last rule."""
        if self._run is None:
            return False
        if self._run.step():
            return True
        self._join(self._run.close())
        self._run = self._next()
        return self.step()

    def close(self) -> Integrals:
        """Collect the results; one that was stopped keeps what an earlier rule gave."""
        if self._run is not None:
            self._join(self._run.close())
            self._run = None
        assert self._found is not None
        return self._found

    def _next(self) -> Run | None:
        if not len(self._left) or not self._sizes:
            return None
        paths = self._paths if self._found is None else self._paths.of_results(self._left)
        return self._scheme.rule(self._sizes.pop(0)).begin(self._evaluator, paths)

    def _join(self, new: Integrals) -> None:
        """Put the results of a rule in their places; what it did not complete stays as it was."""
        new = replace(new, errors=new.errors * self._scheme.caution)
        if self._found is None:
            self._found = new
        else:
            new.seen[:] += self._found.seen[self._left]
            self._found.seen[self._left] = new.seen
            done = np.flatnonzero(new.complete)
            self._found.complete[self._left] = new.complete
            self._found = merged(
                self._evaluator.backend, self._found, self._left[done], new.of(self._evaluator.backend, done)
            )
        self._left = self._left[new.complete & ~new.converged]
