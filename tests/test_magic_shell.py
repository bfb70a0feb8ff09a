"""What the magics add to a shell: completion, help, loading and unloading."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from shells import ip as ip

from pyig import jupyter

# --- completion --------------------------------------------------------------------------------------------------


def completions(ip: InteractiveShell, line: str) -> list[str]:
    with provisionalcompleter():
        return sorted(match.text.strip() for match in ip.Completer.completions(line, len(line)))


@pytest.mark.parametrize("before", ["%ig_explain", "e = %ig_explain", "%%ig_explain"])
def test_completion_knows_the_options(ip: InteractiveShell, before: str) -> None:
    assert completions(ip, f"{before} net x --t") == ["--target", "--text", "--tokenizer", "--tol", "--top"]
    assert completions(ip, f"{before} net x --view ") == ["html", "none", "static", "text", "widget"]
    assert completions(ip, f"{before} net x -m riemann_l") == ["riemann_left"]
    assert "net" in completions(ip, f"{before} ne")


def test_completion_is_silent_elsewhere(ip: InteractiveShell) -> None:
    assert "--target" not in completions(ip, "%timeit --t")
    ip.push({"xyz": 1})
    assert completions(ip, "%timeit xy") == []
    assert completions(ip, "%ig_explain net xy") == ["xyz"]
    assert completions(ip, "xy") == ["xyz"]


# --- loading and unloading ---------------------------------------------------------------------------------------


def test_load_and_unload_are_idempotent_and_exact() -> None:
    shell = InteractiveShell()
    formatter = shell.display_formatter.mimebundle_formatter

    def state() -> tuple[Any, ...]:
        kinds = {kind: dict(table) for kind, table in shell.magics_manager.magics.items()}
        return (
            kinds,
            dict(shell.magics_manager.registry),
            dict(formatter.type_printers),
            list(shell.Completer.custom_matchers),
        )

    before = state()
    jupyter.load_ipython_extension(shell)
    loaded = state()
    assert "ig_explain" in loaded[0]["line"]
    assert "ig_explain" in loaded[0]["cell"]
    jupyter.load_ipython_extension(shell)
    assert state() == loaded
    jupyter.unload_ipython_extension(shell)
    assert state() == before
    jupyter.unload_ipython_extension(shell)
    assert state() == before
    shell.history_manager.end_session()


def test_unload_leaves_what_others_put_in_its_place() -> None:
    shell = InteractiveShell()
    jupyter.load_ipython_extension(shell)
    shell.register_magic_function(lambda line: "other", "line", "ig_explain")
    jupyter.unload_ipython_extension(shell)
    assert shell.run_line_magic("ig_explain", "") == "other"
    assert "ig_explain" not in shell.magics_manager.magics["cell"]
    shell.history_manager.end_session()


def test_load_ext_twice_and_reload() -> None:
    shell = InteractiveShell()
    with capture_output() as captured:
        shell.run_line_magic("load_ext", "pyig")
        shell.run_line_magic("load_ext", "pyig")
    assert "already loaded" in captured.stdout
    shell.run_line_magic("unload_ext", "pyig")
    with pytest.raises(UsageError, match="not found"):
        shell.run_line_magic("ig_explain", "net x")
    shell.history_manager.end_session()


def test_loading_is_light() -> None:
    code = (
        "import sys; from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell(); before = set(sys.modules)\n"
        "shell.run_line_magic('load_ext', 'pyig')\n"
        "heavy = {'torch', 'tensorflow', 'keras', 'jax', 'matplotlib', 'pandas', 'ipywidgets', 'anywidget'}\n"
        "assert not heavy & (set(sys.modules) - before), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_help_shows_the_options(ip: InteractiveShell) -> None:
    text = ip.magics_manager.magics["line"]["ig_explain"].__doc__
    for word in ("MODEL INPUT", "--target", "--contrast", "--baseline", "--save", "closing ``;``"):
        assert word in text
