"""What docs/jax.md says runs."""

from __future__ import annotations

import re
from pathlib import Path

import jax
import pytest

PAGE = Path(__file__).parents[1] / "docs" / "jax.md"


def test_the_examples_run() -> None:
    code = "".join(re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE))
    assert code.count("explain(") == 2
    exec(compile(code, str(PAGE), "exec"), {"__name__": "__main__"})
    assert not jax.config.jax_enable_x64


@pytest.mark.parametrize("option", [{"layer": "dense"}, {"method": "exact"}])
def test_what_is_not_looked_for_says_so(option: dict[str, str]) -> None:
    import jax.numpy as jnp

    import pyig
    from pyig.errors import PyigError

    with pytest.raises(PyigError, match="jax"):
        pyig.IntegratedGradients(lambda x: jnp.tanh(x).sum(1)).explain(jnp.ones((2, 3)), **option)
