"""Opens a folder with a `package.py`, whose code runs only where it is trusted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyig.artifacts.package_loading import FACTORY, FILE
from pyig.errors import InputError

if TYPE_CHECKING:
    from pyig.artifacts.package_artifact import PackageArtifact

OPTIONS = ("compat", "max_allowed_error", "max_steps")


class PackageOpener:
    """The row of `OPENERS` for model packages."""

    options = OPTIONS

    @staticmethod
    def recognises(path: Path) -> bool:
        """Tell whether a path is a folder with a `package.py`."""
        return path.is_dir() and (path / FILE).is_file()

    @staticmethod
    def open(path: Path, *, trust: bool = False, **options: Any) -> PackageArtifact:
        """Run the package and return it as an artifact.

        Parameters
        ----------
        path : Path
        trust : bool
            Without it nothing runs.
        **options
            ``compat``, ``max_allowed_error`` and ``max_steps`` of `PackageArtifact.explain`, for every call.

        Raises
        ------
        InputError
            Without ``trust=True``: it says what would run, and nothing does.
        """
        path = Path(path)
        if not PackageOpener.recognises(path):
            raise InputError(f"expected a folder with {FILE}; got {str(path)!r}")
        if not trust:
            raise InputError(_refusal(path))
        from pyig.artifacts.package_artifact import PackageArtifact
        from pyig.artifacts.package_loading import Loaded

        return PackageArtifact(Loaded(path), options)


def _refusal(path: Path) -> str:
    others = sorted(file.name for file in path.glob("*.py") if file.name != FILE)
    beside = f", which may import {', '.join(others)} beside it" if others else ""
    return (
        f"{str(path)!r} is a model package: to open it is to run {FILE} and its {FACTORY}(){beside}, with all that "
        "they do to this machine. Nothing has run. Read them; if their origin is trusted as one's own code is, pass "
        "trust=True (--trust on the command line)"
    )
