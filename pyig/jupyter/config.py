"""``%ig_config``: what the magics take where a line says nothing."""

from __future__ import annotations

import argparse
import difflib
from typing import Any

from IPython.core.error import UsageError

SHOWS = ("widget", "static", "html", "text", "none")
"""What can be seen at once: ``--view``; static and html are the same."""
PALETTES = ("orange-blue", "red-blue", "purple-green", "viridis")
MODES = ("overlay", "heat", "mask", "side by side")

FILLED = {"steps": "auto", "tol": None, "method": None, "baseline": None, "top": None}  # options of %ig_explain
USUAL: dict[str, Any] = {"view": "widget", "palette": "orange-blue", "mode": "overlay", **FILLED}
CHOICES: dict[str, tuple[str, ...]] = {"view": SHOWS, "palette": PALETTES, "mode": MODES}


class Config:
    """Settings by name; `str` lists them as they can be typed."""

    def __init__(self) -> None:
        self._values = dict(USUAL)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self._values.items() if value is not None)

    def change(self, line: str) -> None:
        """Read ``name=value`` words; all of them are checked before any counts."""
        words = line.replace("side by side", "side-by-side").split()
        if words == ["reset"]:
            self._values = dict(USUAL)
            return
        changes = dict(self._read(word) for word in words)
        self._values |= changes

    def fill(self, args: argparse.Namespace) -> None:
        """Give a line what it left out."""
        for name in FILLED:
            if getattr(args, name) is None and self._values[name] is not None:
                setattr(args, name, self._values[name])

    def view(self, top: int | None = None) -> dict[str, Any]:
        """Return the settings that the widget's views start with."""
        image = {"palette": self._values["palette"], "mode": self._values["mode"]}
        return {"image": image} | ({} if top is None else {"table": {"top": top}})

    def _read(self, word: str) -> tuple[str, Any]:
        name, equals, value = word.partition("=")
        if not equals or not value:
            raise UsageError(f"%ig_config: expected name=value; got {word!r}")
        if name not in USUAL:
            near = difflib.get_close_matches(name, USUAL, n=1)
            raise UsageError(
                f"%ig_config: unknown setting {name!r}. "
                + (f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(USUAL)}")
            )
        value = value.replace("side-by-side", "side by side")
        if name in CHOICES and value not in CHOICES[name]:
            raise UsageError(f"%ig_config: expected {name} to be one of {', '.join(CHOICES[name])}; got {value!r}")
        if name in ("tol", "top"):
            return name, _number(name, value, float if name == "tol" else int)
        return name, value


def _number(name: str, value: str, kind: type) -> Any:
    try:
        return kind(value)
    except ValueError as error:
        raise UsageError(f"%ig_config: expected {name} as a number; got {value!r}") from error
