"""The compiled core is tested on every instruction set of this machine, and alone: nothing here imports a framework."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from core_rows import using

from pyig import _core


@pytest.fixture(params=_core.isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    with using(request.param):
        yield request.param


@pytest.fixture
def threads() -> Iterator[None]:
    """Leave the number of threads as it was."""
    yield
    _core._set_thread_limit(0)
