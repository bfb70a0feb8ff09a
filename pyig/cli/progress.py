"""How far a job is: a bar with its rate and the largest gap so far, on the terminal of the error stream."""

from __future__ import annotations

import sys
from typing import Any

from pyig.explanation.verdict import percent
from pyig.scale.account import Account


class Bar:
    """Draws on stderr: by tqdm where it is installed, and otherwise one line that is written anew.

    Parameters
    ----------
    name : str
        What is being written.
    wanted : bool or None
        None: only where somebody can watch.
    """

    def __init__(self, name: str, wanted: bool | None) -> None:
        self._name = name
        self._on = sys.stderr.isatty() if wanted is None else wanted
        self._bar: Any = None

    def __call__(self, done: float, account: Account) -> None:
        """Draw the state of the job."""
        if not self._on:
            return
        if self._bar is None:
            self._bar = self._make(account)
        left = account.results - account.converged
        said = f"gap {percent(account.worst_gap)}" + (f", {left} not converged" if left else "")
        if self._bar is sys.stderr:
            print(f"\r{self._name}: {int(done)}/{account.rows} rows, {said}", end="", file=sys.stderr, flush=True)
            return
        self._bar.set_postfix_str(said, refresh=False)
        self._bar.update(int(done) - self._bar.n)

    def close(self) -> None:
        """Take the bar down."""
        if self._bar is sys.stderr:
            print(file=sys.stderr)
        elif self._bar is not None:
            self._bar.refresh()
            self._bar.close()
        self._bar = None

    def _make(self, account: Account) -> Any:
        try:
            from tqdm import tqdm
        except ImportError:
            return sys.stderr
        counts = {"total": account.rows, "initial": account.resumed}
        return tqdm(**counts, desc=self._name, unit="row", file=sys.stderr, dynamic_ncols=True)
