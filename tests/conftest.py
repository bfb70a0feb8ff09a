"""What every test shares: quiet frameworks, one Hypothesis profile, and the `backend` fixture.

``PYIG_TEST_BACKENDS=torch,tensorflow`` names the backends whose absence is a failure; any other absent one is skipped.
"""

from __future__ import annotations

import importlib.util
import os

import pytest

# Read by TensorFlow when it is imported, which only a test does.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("MPLBACKEND", "agg")

if importlib.util.find_spec("hypothesis"):
    from hypothesis import settings

    settings.register_profile("pyig", deadline=None)  # a busy machine is slow, not wrong
    settings.load_profile("pyig")


def required_backends() -> list[str]:
    """Names in PYIG_TEST_BACKENDS."""
    return [name for name in os.environ.get("PYIG_TEST_BACKENDS", "").split(",") if name]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every test that asks for `backend` one case per row of the backend table, and per required name."""
    if "backend" in metafunc.fixturenames:
        from pyig.backends import BACKENDS

        names = list(dict.fromkeys([*BACKENDS, *required_backends()]))
        metafunc.parametrize("backend", names, indirect=True)


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> str:
    """Name of a backend whose framework is installed."""
    from pyig.backends import BACKENDS

    name: str = request.param
    try:
        BACKENDS[name]
    except ImportError as error:
        if name in required_backends():
            pytest.fail(f"PYIG_TEST_BACKENDS names {name!r}, which cannot be imported: {error}")
        pytest.skip(f"backend {name!r} needs a package that is not installed: {error}")
    return name
