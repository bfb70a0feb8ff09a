"""The part of the migration page on alibi: every example is run, with both libraries, and gives what it says."""

from __future__ import annotations

import doctest
import inspect
import re
from pathlib import Path

import pytest
from alibi_nets import peer

import pyig.compat.alibi

PAGE = Path(__file__).parents[1] / "docs" / "migration.md"


def part() -> str:
    found = re.search(r"^## From alibi$.*?(?=^## )", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[0]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # the peer's pickles of a layer
def test_both_answers_of_every_defect() -> None:
    text = part()
    names = {"alibi": peer(), "pyig": pyig.compat.alibi}
    test = doctest.DocTestParser().get_doctest(text, names, PAGE.name, str(PAGE), 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(test)
    assert runner.summarize().failed == 0
    assert runner.tries > 30


def test_the_arguments_are_all_there() -> None:
    table = part().partition("### Arguments")[2].partition("###")[0]
    listed = set(re.findall(r"^\| `(\w+)", table, re.MULTILINE))
    face = pyig.compat.alibi.IntegratedGradients
    known = {*inspect.signature(face).parameters, *inspect.signature(face.explain).parameters}
    assert known - {"self", "rtol", "output"} == listed  # those two are explained beside what they go with
