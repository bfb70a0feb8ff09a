"""The magics through a real IPython shell: what they return, show, refuse and leave behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from shells import Spy, W, linear, shown
from shells import ip as ip
from shells import spy as spy

from pyig.explanation import Explanation
from pyig.jupyter.origin import origin_of

# --- the words of the line ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("net x", {}),
        ("net x -t 1", {"target": 1}),
        ("net x --target predicted", {"target": "predicted"}),
        ("net x -t top3", {"target": "top3"}),
        ("net x -t W.argmax()", {"target": 0}),
        ("net x -t (1,0)", {"target": (1, 0)}),
        ("net x -t 0 --contrast 1", {"target": 0, "contrast": 1}),
        ("net x -b mean", {"baselines": "mean"}),
        ("net x -b 0.5", {"baselines": 0.5}),
        ("net x -n 20 --tol 1e-3 -m simpson", {"n_steps": 20, "rtol": 1e-3, "method": "simpson"}),
        ("net x -n auto", {}),
        ("net x --layer embed", {"layer": "embed"}),
        ("net x --layer block.0", {"layer": "block.0"}),
        ("net x --layer 3", {"layer": "3"}),
        ("net x --layer net", {"layer": linear}),
        ("net x --names a,b,c", {"feature_names": ["a", "b", "c"]}),
        ("net x --names 'a, b, c'", {"feature_names": ["a", "b", "c"]}),
        ("net x --names ['p','q']", {"feature_names": ["p", "q"]}),
    ],
)
def test_options_reach_the_engine(ip: InteractiveShell, spy: type[Spy], line: str, expected: dict[str, Any]) -> None:
    shown(ip, line)
    (call,) = spy.calls
    assert call.pop("model") is linear
    assert call.pop("x") is ip.user_ns["x"]
    assert call == expected


def test_float64_is_asked_of_a_copy(ip: InteractiveShell) -> None:
    ip.user_ns["x"] = np.ones((1, 3), np.float32)
    e = ip.run_line_magic("ig_explain", "net x --float64 -q")
    assert e.attributions.dtype == np.float64
    assert ip.run_line_magic("ig_explain", "net x -q").attributions.dtype == np.float32
    assert origin_of(e).code().startswith("pyig.IntegratedGradients(net).in_float64().explain(x")  # type: ignore[union-attr]


def test_an_array_as_baseline(ip: InteractiveShell, spy: type[Spy]) -> None:
    shown(ip, "net x --baseline 'x[0] * 0 + 1'")
    np.testing.assert_array_equal(spy.calls[0]["baselines"], np.ones(3))


@pytest.mark.parametrize("line", ["net 'x[:1] + 1'", 'net "x[:1] + 1"', "net x[:1]+1"])
def test_quotes_hold_an_expression_together(ip: InteractiveShell, line: str) -> None:
    e, *_ = shown(ip, line)
    np.testing.assert_array_equal(e.inputs, [[2.0, 2.0, 2.0]])


def test_braces_are_not_expanded(ip: InteractiveShell, spy: type[Spy]) -> None:
    shown(ip, "net {'a':x}['a']")
    np.testing.assert_array_equal(spy.calls[0]["x"], ip.user_ns["x"])


def test_names_of_the_calling_function_are_seen(ip: InteractiveShell) -> None:
    code = "def f(inner):\n    get_ipython().run_line_magic('ig_explain', '-o got net inner -q')\nf(x[:1] + 2)"
    ip.run_cell(code).raise_error()
    np.testing.assert_array_equal(ip.user_ns["got"].inputs, [[3.0, 3.0, 3.0]])


# --- the result --------------------------------------------------------------------------------------------------


def test_it_returns_the_explanation(ip: InteractiveShell) -> None:
    ip.run_cell("e = %ig_explain net x -t 0 -n 4 -b 0.5").raise_error()
    e = ip.user_ns["e"]
    assert isinstance(e, Explanation)
    np.testing.assert_allclose(e.attributions, (ip.user_ns["x"] - 0.5) * W)
    assert e.meta["n_steps"] == 4


def test_out_names_a_variable(ip: InteractiveShell) -> None:
    result, *_ = shown(ip, "net x -o kept")
    assert ip.user_ns["kept"] is result


def test_one_sample_gets_its_batch_axis(ip: InteractiveShell) -> None:
    e, *_ = shown(ip, "net x[1] -t 0")
    assert len(e) == 1
    np.testing.assert_allclose(e.attributions, [[0.0, -2.0, 1.0]])
    assert any("batch axis was added" in note for note in e.meta["notes"])
    whole, *_ = shown(ip, "net x -t 0")
    assert not any("batch axis" in note for note in whole.meta["notes"])


def test_a_row_of_a_frame_is_one_sample_with_names(ip: InteractiveShell, spy: type[Spy]) -> None:
    ip.push({"df": pd.DataFrame(ip.user_ns["x"], columns=["a", "b", "c"], index=["p", "q"])})
    shown(ip, "net df.iloc[1]")
    assert list(spy.calls[0]["x"].columns) == ["a", "b", "c"]
    assert list(spy.calls[0]["x"].index) == ["q"]


def test_the_cell_magic_takes_the_value_of_the_last_line(ip: InteractiveShell) -> None:
    body = "shift = 2.0\nfor _ in range(3):\n    shift += 1\nx[:1] + shift  # the input\n"
    with capture_output():
        e = ip.run_cell_magic("ig_explain", "net -t 1 -o kept", body)
    np.testing.assert_array_equal(e.inputs, [[6.0, 6.0, 6.0]])
    assert ip.user_ns["shift"] == 5.0
    assert ip.user_ns["kept"] is e


def test_the_body_may_define_the_model_and_use_magics(ip: InteractiveShell) -> None:
    body = "%precision 3\nown = lambda rows: net(rows)[:, 0]\nown.gradient = lambda rows: rows * 0 + W\nx\n"
    with capture_output():
        e = ip.run_cell_magic("ig_explain", "own", body)
    assert e.values.tolist() == [-0.5, -1.0]


# --- what is seen ------------------------------------------------------------------------------------------------


def test_the_static_view_is_shown(ip: InteractiveShell) -> None:
    _, outputs, printed = shown(ip, "net x")
    assert printed == ""
    (output,) = outputs
    assert set(output.data) == {"text/plain", "text/html"}
    assert "attribution" in output.data["text/plain"]
    assert output.data["text/html"].startswith('<div class="pyig">')


def test_the_text_view_is_printed(ip: InteractiveShell) -> None:
    _, outputs, printed = shown(ip, "net x --view text -k 1")
    assert outputs == []
    assert "2 other features" in printed
    _, outputs, again = shown(ip, "net x --kind text -k 1")
    assert (outputs, again) == ([], printed)


def test_a_picture_can_be_asked_for(ip: InteractiveShell) -> None:
    for kind in ("bars", "convergence"):
        _, (output,), _ = shown(ip, f"net x --kind {kind}")
        assert output.data["image/png"]


@pytest.mark.parametrize("line", ["net x -q", "net x --view none", "net x;", "net x ; "])
def test_nothing_is_shown(ip: InteractiveShell, line: str) -> None:
    _, outputs, printed = shown(ip, line)
    assert (outputs, printed) == ([], "")


def test_a_semicolon_silences_a_cell(ip: InteractiveShell) -> None:
    with capture_output() as captured:
        assert ip.run_cell_magic("ig_explain", "net", "x[:1];") is None
    assert captured.outputs == []
    assert captured.stdout == ""


def test_quiet_with_a_variable_returns_nothing_to_show(ip: InteractiveShell) -> None:
    assert shown(ip, "net x -q -o kept")[0] is None
    assert isinstance(ip.user_ns["kept"], Explanation)
    assert isinstance(shown(ip, "net x -q")[0], Explanation)  # for an assignment


def cell(ip: InteractiveShell, code: str) -> tuple[list[str], str]:
    """Run a cell; return the markup that it displays, and its own output as a terminal prints it."""
    with capture_output() as captured:
        ip.run_cell(code, store_history=True).raise_error()
    return [output.data["text/html"] for output in captured.outputs], captured.stdout


def test_a_cell_shows_the_explanation_once(ip: InteractiveShell) -> None:
    (picture,), own = cell(ip, "%ig_explain net x -o kept")
    assert 'class="pyig"' in picture
    assert own.endswith(": Explanation of linear: 2 samples of 3 features\n")
    pictures, own = cell(ip, "kept")
    assert pictures == []
    assert "completeness gap" in own
    assert ip.user_ns["kept"]._repr_html_() == ip.display_formatter.format(ip.user_ns["kept"])[0]["text/html"]


def test_an_assignment_shows_the_picture_alone(ip: InteractiveShell) -> None:
    (picture,), own = cell(ip, "e = %ig_explain net x")
    assert 'class="pyig"' in picture
    assert own == ""


@pytest.mark.parametrize("ending", ["npz", "html", "csv", "png", "svg", "pdf"])
def test_save_writes_by_ending(ip: InteractiveShell, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"with space.{ending}"
    e, *_ = shown(ip, f"net x -q --save '{path}'")
    content = path.read_bytes()
    assert content
    if ending == "npz":
        assert Explanation.load(path) == e
    if ending == "html":
        assert content.startswith(b"<!DOCTYPE html>")
    if ending == "csv":
        assert content.decode().splitlines()[0] == "sample,target,feature,value,baseline,attribution"


# --- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "expected %ig_explain MODEL INPUT; got neither"),
        ("net", "expected %ig_explain MODEL INPUT; got net"),
        ("net x[0, 1]", r"got net x\[0, 1\]. Quote expressions with spaces"),
        ("nett x", "MODEL: name 'nett' is not defined. Did you mean 'net'?"),
        ("net xx+1", r"INPUT: name 'xx' is not defined. Did you mean 'x'?"),
        ("net x[", r"INPUT: cannot read 'x\[' as Python"),
        ("net x --taget 3", "unrecognized arguments: --taget 3. Did you mean '--target'?"),
        ("net x --view widgets", r"invalid choice.*static"),
        ("net x -n many", "--steps: expected a whole number or 'auto'; got 'many'"),
        ("net x -n 2.5", "--steps: expected a whole number or 'auto'; got '2.5'"),
        ("net x --tol small", "invalid float value"),
        ("net x -m gauslegendre", "unknown method 'gauslegendre'; did you mean 'gausslegendre'"),
        ("net x -t 7", "7"),
        ("net x -b meen", "meen"),
        ("net x -o 1a", "--out: expected the name of a variable; got '1a'"),
        ("net x --names a,b", "expected 3 feature_names"),
        ("net x --names 3", "--names: expected names with commas between, or a list; got int"),
        ("net x --kind brs", "unknown view 'brs'; did you mean 'bars'"),
        ("net x --kind image", "expected a picture"),
        ("net x -k 0", "expected top to be at least 1"),
        ("net x --save e.doc", "--save: expected a file ending in .npz, .html"),
        ("3 x", "expected a model that can be called; got builtins.int"),
    ],
)
def test_mistakes_of_the_user_are_one_line(ip: InteractiveShell, line: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        shown(ip, line)


def test_a_usage_error_is_printed_without_traceback(ip: InteractiveShell) -> None:
    with capture_output() as captured:
        ip.run_cell("%ig_explain nett x")
    assert (
        captured.stdout + captured.stderr
    ).strip() == "UsageError: MODEL: name 'nett' is not defined. Did you mean 'net'?"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("y = 1\n", "expected the last line of the cell to be an expression"),
        ("y = (\n", "cell body: cannot read line 1 as Python"),
        ("# nothing\n", "expected the last line of the cell to be an expression"),
    ],
)
def test_a_cell_without_input(ip: InteractiveShell, body: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ip.run_cell_magic("ig_explain", "net", body)


def test_a_cell_with_two_inputs(ip: InteractiveShell) -> None:
    with pytest.raises(UsageError, match="expected %%ig_explain MODEL, with the input as the cell's body; got net x"):
        ip.run_cell_magic("ig_explain", "net x", "x")


def test_errors_of_the_model_keep_their_traceback(ip: InteractiveShell) -> None:
    ip.run_cell("def broken(rows):\n    raise RuntimeError('inside the model')\nbroken.gradient = broken").raise_error()
    with pytest.raises(RuntimeError, match="inside the model") as caught:
        shown(ip, "broken x")
    assert any(frame.name == "broken" for frame in caught.traceback)


def test_the_first_error_stands_when_a_batch_axis_does_not_help(ip: InteractiveShell) -> None:
    with pytest.raises(RuntimeError, match="the model wants rows"):
        shown(ip, "net np.ones((2,2,3))")


def test_errors_inside_the_input_expression_keep_their_traceback(ip: InteractiveShell) -> None:
    ip.run_cell("def load():\n    return undefined_name").raise_error()
    with pytest.raises(NameError, match="undefined_name"):
        shown(ip, "net load()")
    with pytest.raises(IndexError):
        shown(ip, "net x[9]")


def test_errors_in_a_cell_body_show_the_line(ip: InteractiveShell) -> None:
    with capture_output() as captured:
        ip.run_cell("%%ig_explain net\ny = 1\n1 / 0\n")
    assert "1 / 0" in captured.stdout + captured.stderr
