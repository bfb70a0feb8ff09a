"""pyig: Integrated Gradients of any differentiable model, with accuracy you can check."""

from __future__ import annotations

from typing import Any

from pyig._core import __version__ as __version__
from pyig.baselines import several as several
from pyig.calling import static as static
from pyig.errors import InputError as InputError
from pyig.errors import PyigError as PyigError
from pyig.explainer import IntegratedGradients as IntegratedGradients
from pyig.explanation import Explanation as Explanation
from pyig.sampling import NoiseTunnel as NoiseTunnel

load = Explanation.load


def load_ipython_extension(shell: Any) -> None:
    """Add ``%ig_explain`` to a notebook: ``%load_ext pyig``."""
    from pyig import jupyter

    jupyter.load_ipython_extension(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take the magics away again."""
    from pyig import jupyter

    jupyter.unload_ipython_extension(shell)
