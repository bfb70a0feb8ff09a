"""A lost backend cannot hide: what PYIG_TEST_BACKENDS names fails when it is missing, the rest is skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LOST = """
import pytest
from pyig.backends import BACKENDS

rows = BACKENDS._table()
del rows["torch"], rows["tensorflow"]
rows["lost"] = "no_such_package:Backend"


def test_uses(backend):
    assert backend in BACKENDS
"""


@pytest.mark.parametrize(
    ("named", "outcome", "status"),
    [
        ("", "1 skipped", 0),
        ("callable", "1 skipped", 0),
        ("lost", "PYIG_TEST_BACKENDS names 'lost'", 1),
        ("misspelt", "unknown backend 'misspelt'", 1),
    ],
)
def test_a_named_backend_must_be_there(named: str, outcome: str, status: int, tmp_path: Path) -> None:
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_lost.py").write_text(LOST, encoding="utf-8")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            str(tmp_path),
        ],
        cwd=tmp_path,
        env=os.environ | {"PYIG_TEST_BACKENDS": named},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == status, done.stdout
    assert outcome in done.stdout
