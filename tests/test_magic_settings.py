"""`%ig_config` and `%ig_compare`, and which view is chosen where."""

from __future__ import annotations

from typing import Any

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from shells import Spy, shown
from shells import ip as ip
from shells import spy as spy
from test_magic_shell import completions


def config(ip: InteractiveShell, line: str) -> str:
    with capture_output() as captured:
        ip.run_line_magic("ig_config", line)
    return str(captured.stdout)


def test_settings_fill_what_a_line_leaves_out(ip: InteractiveShell, spy: type[Spy]) -> None:
    config(ip, "tol=1e-3 method=simpson steps=9 baseline=mean")
    shown(ip, "net x")
    assert {k: spy.calls[0][k] for k in ("rtol", "method", "n_steps", "baselines")} == {
        "rtol": 1e-3, "method": "simpson", "n_steps": 9, "baselines": "mean",
    }  # fmt: skip
    shown(ip, "net x --tol 0.1 -n 4")
    assert (spy.calls[1]["rtol"], spy.calls[1]["n_steps"]) == (0.1, 4)
    config(ip, "reset")
    shown(ip, "net x")
    assert set(spy.calls[2]) == {"model", "x"}


def test_settings_are_listed_as_they_are_typed(ip: InteractiveShell) -> None:
    first = config(ip, "")
    assert "view=widget" in first
    assert config(ip, first.strip()) == first
    assert "palette=viridis" in config(ip, "palette=viridis top=4")
    assert "top=4" in config(ip, "")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("tool=1", "Did you mean 'tol'"),
        ("zzz=1", "Known: view"),
        ("tol", "expected name=value; got 'tol'"),
        ("tol=x", "tol as a number"),
        ("view=webgl", "one of widget, static"),
        ("top=3 view=x", "one of widget"),
    ],
)
def test_mistakes_are_one_line_and_change_nothing(ip: InteractiveShell, line: str, sentence: str) -> None:
    before = config(ip, "")
    with pytest.raises(UsageError, match=sentence):
        ip.run_line_magic("ig_config", line)
    assert config(ip, "") == before


def test_a_view_that_is_set_is_shown(ip: InteractiveShell) -> None:
    config(ip, "view=text")
    _, outputs, printed = shown(ip, "net x")
    assert (outputs, "attribution" in printed) == ([], True)
    _, outputs, printed = shown(ip, "net x --view static")
    assert (len(outputs), printed) == (1, "")


@pytest.mark.parametrize("view", ["widget", "html", "static"])
def test_without_a_notebook_every_view_is_static(ip: InteractiveShell, view: str) -> None:
    _, (output,), _ = shown(ip, f"net x --view {view}")
    assert output.data["text/html"].startswith('<div class="pyig">')


def test_two_are_compared(ip: InteractiveShell) -> None:
    shown(ip, "net x -t 0 -o one -q")
    shown(ip, "net x -t 1 -o two -q")
    with capture_output() as captured:
        ip.run_line_magic("ig_compare", "one two")
    assert len(captured.outputs) == 2


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("one", "expected %ig_compare A B"),
        ("", "got neither"),
        ("one x", "expected x to be an Explanation"),
        ("one on", "mean 'one'"),
    ],
)
def test_what_cannot_be_compared(ip: InteractiveShell, line: str, sentence: str) -> None:
    shown(ip, "net x -t 0 -o one -q")
    with pytest.raises(UsageError, match=sentence):
        ip.run_line_magic("ig_compare", line)


def test_completion(ip: InteractiveShell) -> None:
    shown(ip, "net x -t 0 -o one -q")
    assert completions(ip, "%ig_config vi") == [
        "view=html", "view=none", "view=static", "view=text", "view=widget",
    ]  # fmt: skip
    assert completions(ip, "%ig_config tol=1 to") == ["tol=", "top="]
    assert completions(ip, "%ig_compare on") == ["one"]


def test_unloading_takes_all_magics_along(ip: InteractiveShell) -> None:
    names: list[Any] = ["ig_explain", "ig_config", "ig_compare"]
    lines = ip.magics_manager.magics["line"]
    assert all(name in lines for name in names)
    ip.run_line_magic("unload_ext", "pyig")
    assert not any(name in lines for name in names)
