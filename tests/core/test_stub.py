"""The stub says what the compiled module is: the same names, arguments in the same order, and what comes back."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyig
from pyig import _core

pytestmark = pytest.mark.core

STUB = Path(pyig.__file__).parent / "_core.pyi"


def stub_signatures(source: str) -> dict[str, list[str]]:
    found = {}
    for node in ast.parse(source).body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        owner = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        for part in inside:
            if isinstance(part, ast.FunctionDef):
                found[owner + part.name] = [a.arg for a in part.args.args + part.args.kwonlyargs if a.arg != "self"]
    return found


def documented() -> dict[str, str]:
    """The docstrings of functions, methods and properties."""
    found = {}
    for name, value in vars(_core).items():
        if isinstance(value, type):
            parts = [part for part in vars(value) if part == "__init__" or part[0] != "_"]
            found |= {f"{name}.{part}": getattr(value, part).__doc__ for part in parts}
        elif callable(value):
            found[name] = value.__doc__ or ""
    return found


def real_signatures() -> dict[str, list[str]]:
    """What the docstrings say, whose first line pybind11 makes from the compiled signature."""
    found = {}
    for name, text in documented().items():
        owner, _, plain = name.rpartition(".")
        if owner and isinstance(getattr(getattr(_core, owner), plain), property):
            found[name] = []
            continue
        line = text.splitlines()[0]
        inside = re.fullmatch(rf"{plain}\((.*)\) -> .*", line)
        assert inside, f"{name} has no signature: {line!r}"
        found[name] = [argument for argument in re.findall(r"(\w+): ", inside[1]) if argument != "self"]
    return found


def test_the_stub_names_every_function_and_argument() -> None:
    assert stub_signatures(STUB.read_text(encoding="utf-8")) == real_signatures()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def isas(", "def isaz("),
        ("name: str, n: int", "n: int, name: str"),
        ("weights: _Floats, ", ""),
        ("def ask(self, rows: int)", "def ask(self, count: int)"),
        ("def peak_rows(", "def most_rows("),
        ("        log_odds: bool = False,\n", ""),
    ],
)
def test_a_stub_that_differs_is_noticed(old: str, new: str) -> None:
    source = STUB.read_text(encoding="utf-8")
    assert old in source
    assert stub_signatures(source.replace(old, new)) != real_signatures()


def test_results_are_of_the_stated_types() -> None:
    def kinds(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return value.dtype.name
        return [kinds(part) for part in value] if isinstance(value, (tuple, list)) else type(value)

    assert kinds(_core.rule("simpson", 3)) == ["float64", "float64", int]
    assert kinds(_core.rule_names()) == [str] * len(_core.rule_names())
    assert kinds(_core.isas()) == [str] * len(_core.isas())
    assert kinds(_core.isa()) is str
    assert kinds(_core.l1(np.ones((2, 3), np.float32))) == "float64"
    assert kinds(_core._rule_cache_bytes()) is int
    planner = _core.Planner(2, rtol=0.1, max_evals=9)
    assert kinds(planner.ask(5)) == ["int64", "float64"]
    assert kinds(planner.tell(np.zeros(5), np.zeros(5))) == "int64"
    assert kinds(planner.combinations()) == kinds(planner.folds()) == ["int64", "bool", "int64", "int64", "float64"]
    planner.stop()
    assert kinds([planner.finished(), planner.record(0)]) == ["int64", "float64"]
    assert kinds([planner.rows, planner.peak_rows]) == [int, int]
    assert kinds([planner.error, planner.size]) == ["float64", "float64"]
    assert kinds([planner.n_evals, planner.converged]) == ["int64", "bool"]


def test_every_function_says_what_it_does() -> None:
    for name, text in documented().items():
        lines = text.splitlines()
        assert len(lines) >= (3 if "->" in lines[0] else 1), name
    assert _core.Planner.__doc__
