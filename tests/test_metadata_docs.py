"""What docs/artifacts.md says of metadata runs, and names every key and encoding."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pyig.artifacts import metadata as md
from pyig.artifacts.metadata_spelling import KNOWN

PAGE = Path(__file__).parents[1] / "docs" / "artifacts.md"


def section() -> str:
    text = PAGE.read_text(encoding="utf-8")
    return text.partition("## explanation_metadata.json\n")[2].partition("\n## ")[0]


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = "".join(re.findall(r"^```python\n(.*?)^```", section(), re.DOTALL | re.MULTILINE))
    assert "explain(" in code
    exec(compile(code, str(PAGE), "exec"), {"__name__": "__main__"})


def test_every_encoding_and_key_is_named() -> None:
    named = set(re.findall(r"`(\w+)`", section()))
    assert set(md.ENCODINGS) <= named
    keys = {key for key in KNOWN["inputs"] if not key.endswith(("_dtype", "_dtypes")) and key != "is_sequential"}
    assert keys | set(KNOWN["outputs"]) - {"output_tensor_dtype"} <= named
