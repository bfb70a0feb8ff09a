"""What docs/artifacts.md says of Keras and TensorFlow files runs, and names every option."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("keras")
pytest.importorskip("pandas")

from pyig.artifacts import keras_file, saved_model

PAGE = Path(__file__).parents[1] / "docs" / "artifacts.md"


def section() -> str:
    text = PAGE.read_text(encoding="utf-8")
    return text.partition("## Keras and TensorFlow files\n")[2].partition("\n## ")[0]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # how Keras 3 writes its weights
def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = "".join(re.findall(r"^```python\n(.*?)^```", section(), re.DOTALL | re.MULTILINE))
    assert code.count("explain(") == 3
    exec(compile(code, str(PAGE), "exec"), {"__name__": "__main__"})


def test_every_option_is_named() -> None:
    rows = re.findall(r"^\| (`.*?) \|", section(), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == {*keras_file.OPTIONS, *saved_model.OPTIONS, "trust"}
