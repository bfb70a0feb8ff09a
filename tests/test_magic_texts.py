"""`%ig_explain --text`: the cell's body as it stands, a text on a line, and what cannot be."""

from __future__ import annotations

import pytest
import torch
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from shells import ip as ip


class Reader(torch.nn.Module):
    """Words in, one number out."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words = torch.nn.Embedding(10, 4)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.words(ids).tanh().sum((1, 2))


@pytest.fixture
def reading(ip: InteractiveShell) -> InteractiveShell:
    def tokens(text: str) -> list[int]:
        return [len(word) % 10 for word in text.split()]

    ip.user_ns |= {"reader": Reader(), "tokens": tokens, "said": "to be fair"}
    return ip


def test_a_text_in_a_cell(reading: InteractiveShell) -> None:
    line = "reader --text --tokenizer tokens -o found -b 1"
    shown = reading.run_cell_magic("ig_explain", line, "not <b>bad</b>\n")
    found = reading.user_ns["found"]
    assert shown is found
    assert found.texts == ("not <b>bad</b>",)
    assert found.total() == pytest.approx(found.values[0] - found.baseline_values[0], abs=1e-2)
    assert "&lt;b&gt;bad" in found._repr_mimebundle_()["text/html"]


def test_texts_are_compared(reading: InteractiveShell) -> None:
    for name, text in (("one", "not bad"), ("two", "not very bad")):
        reading.run_cell_magic("ig_explain", f"reader --text --tokenizer tokens -b 1 -q -o {name}", text)
    with capture_output() as captured:
        reading.run_line_magic("ig_compare", "one two")
    assert ["very" in output.data["text/html"] for output in captured.outputs] == [False, True]


def test_a_text_on_a_line(reading: InteractiveShell) -> None:
    found = reading.run_line_magic("ig_explain", "reader said --text --tokenizer tokens -b 1")
    assert found.texts == ("to be fair",)


@pytest.mark.parametrize(("view", "kind"), [("static", "text/html"), ("text", None), ("none", None)])
def test_another_view_of_a_text(reading: InteractiveShell, view: str, kind: str | None) -> None:
    with capture_output() as seen:
        line = f"reader said --text --tokenizer tokens -b 1 --view {view} -o found"
        assert reading.run_line_magic("ig_explain", line) is None
    assert reading.user_ns["found"].texts == ("to be fair",)
    assert [kind in output.data for output in seen.outputs] == ([True] if kind else [])
    assert ("fair" in seen.stdout) == (view == "text")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("reader said --text", "expected --tokenizer EXPR"),
        ("reader said --text --tokenizer tokens -b padd", "did you mean"),
    ],
)
def test_texts_that_cannot_be(reading: InteractiveShell, line: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        reading.run_line_magic("ig_explain", line)
