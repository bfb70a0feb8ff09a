"""The examples in the docstrings run, and give what they say; here those that need numpy alone."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import numpy as np
import pytest

import pyig

NEED_MORE = (
    "backends.torch", "backends.tensorflow", "structure.torch", "structure.keras", "views", "jupyter", "demos", "cli",
    "scale.parquet",
)  # fmt: skip
MODULES = [
    module.name
    for module in pkgutil.walk_packages(pyig.__path__, "pyig.")
    if not module.name.removeprefix("pyig.").startswith((*NEED_MORE, "_core"))
]
WITH_EXAMPLES = {
    f"pyig.{name}" for name in ("errors", "tree", "quadrature", "baselines", "targets", "calling", "explainer.core")
}


def run(name: str) -> doctest.TestResults:
    module = importlib.import_module(name)
    return doctest.testmod(module, extraglobs={"np": np, "pyig": pyig}, optionflags=doctest.NORMALIZE_WHITESPACE)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    results = run(name)
    assert results.failed == 0, capsys.readouterr().out
    if name in WITH_EXAMPLES:
        assert results.attempted > 0, "the example is gone"


def test_the_modules_with_examples_are_all_there() -> None:
    assert set(MODULES) >= WITH_EXAMPLES


def test_a_wrong_example_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wrong_example.py").write_text('"""Say.\n\n>>> 1 + 1\n3\n"""\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run("wrong_example").failed == 1
    assert "Expected" in capsys.readouterr().out
