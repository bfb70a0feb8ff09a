"""`%ig_config` and `%ig_compare`, and which view is chosen where."""

from __future__ import annotations

from types import SimpleNamespace
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


def test_completion_knows_the_layers_of_the_model(ip: InteractiveShell) -> None:
    ip.user_ns["deep"] = SimpleNamespace(layers=[SimpleNamespace(name="embed"), SimpleNamespace(name="dense_1")])
    assert completions(ip, "%ig_explain deep x --layer ") == ["dense_1", "embed"]
    assert completions(ip, "%ig_explain deep x --layer em") == ["embed"]
    assert "net" in completions(ip, "%ig_explain net x --layer ")  # a model that names none: an expression


def test_completion_offers_explained_texts_to_compare(ip: InteractiveShell) -> None:
    from pyig.text import TextExplanation

    ip.user_ns["said"] = object.__new__(TextExplanation)
    ip.user_ns["sail"] = 3
    assert completions(ip, "%ig_compare sa") == ["said"]


def test_unloading_takes_all_magics_along(ip: InteractiveShell) -> None:
    names: list[Any] = ["ig_explain", "ig_config", "ig_compare"]
    lines = ip.magics_manager.magics["line"]
    assert all(name in lines for name in names)
    ip.run_line_magic("unload_ext", "pyig")
    assert not any(name in lines for name in names)
