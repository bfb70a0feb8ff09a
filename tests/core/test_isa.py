"""The instruction set is chosen when the core is imported: the best one, or what PYIG_ISA names."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from pyig import _core

pytestmark = pytest.mark.core

PROGRAM = """
import numpy as np
from pyig import _core
print(_core.isa(), float(_core.l1(np.arange(-20, 21, dtype="float32")[None])[0]))
"""


def run(**environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name != "PYIG_ISA"}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_this_machine_runs_the_plain_build_and_the_default_is_the_best() -> None:
    assert _core.isas()[0] == "baseline"
    assert run().stdout.split()[0] == _core.isas()[-1]


def test_the_process_runs_what_was_asked_for() -> None:
    assert os.environ.get("PYIG_ISA", _core.isas()[-1]) == _core.isa()


@pytest.mark.parametrize("name", _core.isas())
def test_the_environment_chooses(name: str) -> None:
    assert run(PYIG_ISA=name).stdout.split() == [name, "420.0"]


def test_an_empty_variable_chooses_nothing() -> None:
    assert run(PYIG_ISA="").stdout.split()[0] == _core.isas()[-1]


OTHERS = {"baseline", "avx2", "avx512", "neon"} - set(_core.isas())


@pytest.mark.parametrize("name", ["sse9", "AVX2", *sorted(OTHERS)])
def test_an_unknown_or_unavailable_name_is_refused_at_import(name: str) -> None:
    done = run(PYIG_ISA=name)
    assert done.returncode == 1
    known = ", ".join(_core.isas())
    assert done.stderr.strip().splitlines()[-1] == (
        f"ImportError: PYIG_ISA: expected one of {known} on this machine; got '{name}'"
    )


def test_every_architecture_has_its_own_names() -> None:
    arm = platform.machine().lower() in ("arm64", "aarch64")
    assert ("neon" in _core.isas()) == arm
    assert not (arm and "avx2" in _core.isas())


def test_the_setter_chooses_and_refuses(isa: str) -> None:
    assert _core.isa() == isa
    with pytest.raises(ValueError, match=r"_set_isa: expected one of baseline.*; got 'x87'"):
        _core._set_isa("x87")
    assert _core.isa() == isa
    assert _core.l1(np.array([[-1.0, 2.0]])) == [3.0]
