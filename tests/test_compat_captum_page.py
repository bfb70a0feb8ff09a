"""The part of the migration page on Captum: every example is run, with both libraries, and gives what it says."""

from __future__ import annotations

import doctest
import inspect
import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import captum.attr
import pytest

import pyig.compat.captum

PAGE = Path(__file__).parents[1] / "docs" / "migration.md"


def part() -> str:
    found = re.search(r"^## From Captum$.*?(?=^## )", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[0]


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")  # which Captum meets
def test_both_answers_of_every_defect() -> None:
    names = {
        "captum": captum.attr,
        "pyig": pyig.compat.captum,
        "redirect_stdout": redirect_stdout,
        "StringIO": StringIO,
    }
    test = doctest.DocTestParser().get_doctest(part(), names, PAGE.name, str(PAGE), 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(test)
    assert runner.summarize().failed == 0
    assert runner.tries > 50


METHODS = [name for name, item in vars(pyig.compat.captum).items() if hasattr(item, "attribute")]


@pytest.mark.parametrize("name", METHODS)
def test_the_arguments_are_all_there(name: str) -> None:
    assert len(METHODS) == 10
    table = part().partition("### Arguments")[2].partition("###")[0]
    listed = set(re.findall(r"`(\w+)(?:=[^`]*)?`", table))
    face = getattr(pyig.compat.captum, name)
    known = {*inspect.signature(face.__init__).parameters, *inspect.signature(face.attribute).parameters}
    assert known - {"self", "kwargs", "args", "attribution_method"} <= listed
