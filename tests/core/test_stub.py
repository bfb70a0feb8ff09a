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
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    return {node.name: [argument.arg for argument in node.args.args] for node in functions}


def real_signatures() -> dict[str, list[str]]:
    """What the docstrings say, whose first line pybind11 makes from the compiled signature."""
    found = {}
    for name, value in vars(_core).items():
        if callable(value):
            line = (value.__doc__ or "").splitlines()[0]
            inside = re.fullmatch(rf"{name}\((.*)\) -> .*", line)
            assert inside, f"{name} has no signature: {line!r}"
            found[name] = re.findall(r"(\w+): ", inside[1])
    return found


def test_the_stub_names_every_function_and_argument() -> None:
    assert stub_signatures(STUB.read_text(encoding="utf-8")) == real_signatures()


@pytest.mark.parametrize(
    ("old", "new"), [("def isas(", "def isaz("), ("name: str, n: int", "n: int, name: str"), ("weights: _Floats, ", "")]
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


def test_every_function_says_what_it_does() -> None:
    for name in real_signatures():
        assert len(getattr(_core, name).__doc__.splitlines()) >= 3, name
