"""`docs/cli.md` is true: its Python runs, its commands say what it shows, its tables name every option and status."""

from __future__ import annotations

import argparse
import doctest
import re
import shlex
from pathlib import Path

import pytest

from pyig import cli
from pyig.cli import root
from pyig.scale.records import NUMBERS
from pyig.scale.results import WRITERS
from pyig.scale.rows import READERS

TEXT = (Path(__file__).parents[1] / "docs" / "cli.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(python|console)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_the_examples_do_what_they_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("keras")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    names: dict[str, object] = {"__name__": "__main__"}
    told = doctest.OutputChecker()
    for language, block in BLOCKS:
        if language == "python":
            exec(compile(block, "docs/cli.md", "exec"), names)
            continue
        command, _, wanted = block.partition("\n")
        try:
            cli.main(shlex.split(command.removeprefix("$ pyig ")))
        except SystemExit:
            assert wanted.startswith("usage:")
        said, error = capsys.readouterr()
        assert told.check_output(wanted, said + error, doctest.ELLIPSIS), f"{command}\n{said}{error}"
    assert len(BLOCKS) > 6


def options(parser: argparse.ArgumentParser) -> set[str]:
    return {name for action in parser._actions for name in action.option_strings if name.startswith("--")}


def test_every_option_and_column_is_in_a_table() -> None:
    (commands,) = (a for a in root._parser()._actions if isinstance(a, argparse._SubParsersAction))
    named = set(re.findall(r"--[a-z][a-z-]*", TEXT))
    assert options(commands.choices["explain"]) - {"--help"} <= named
    assert named <= {name for parser in commands.choices.values() for name in options(parser)}
    assert all(f"`{name}`" in TEXT for name in NUMBERS)
    assert all(f"`{suffix}`" in TEXT for suffix in {*WRITERS, *READERS})
    for status in (0, 1, 2, 130):
        assert f"| {status} |" in TEXT


def test_a_false_example_would_be_found() -> None:
    told = doctest.OutputChecker()
    assert not told.check_output("a.csv: 3 rows ...\n", "a.csv: 4 rows explained\n", doctest.ELLIPSIS)
