"""pyig: Integrated Gradients of any differentiable model, with accuracy you can check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyig._core import __version__ as __version__
from pyig.baselines import at_layer as at_layer
from pyig.baselines import several as several
from pyig.calling import static as static
from pyig.errors import InputError as InputError
from pyig.errors import PyigError as PyigError
from pyig.explainer import IntegratedGradients as IntegratedGradients
from pyig.explanation import Explanation as Explanation
from pyig.registry import Registry as _Registry
from pyig.sampling import NoiseTunnel as NoiseTunnel

if TYPE_CHECKING:
    from pyig.text import TextExplanation as TextExplanation
    from pyig.text import explain_text as explain_text
    from pyig.text.language import explain_generation as explain_generation
    from pyig.text.language import explain_next as explain_next
    from pyig.text.language import explain_similarity as explain_similarity
    from pyig.text.language import explain_span as explain_span
    from pyig.text.layers import text_layers as text_layers

load = Explanation.load

_LATER = _Registry(  # rooms that not every user enters are imported at the first use of their names
    "public name",
    {
        "TextExplanation": "pyig.text:TextExplanation",
        "explain_text": "pyig.text:explain_text",
        "explain_generation": "pyig.text.language:explain_generation",
        "explain_next": "pyig.text.language:explain_next",
        "explain_similarity": "pyig.text.language:explain_similarity",
        "explain_span": "pyig.text.language:explain_span",
        "text_layers": "pyig.text.layers:text_layers",
    },
)


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return _LATER[name]
    raise AttributeError(f"module 'pyig' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LATER])


def load_ipython_extension(shell: Any) -> None:
    """Add ``%ig_explain`` to a notebook: ``%load_ext pyig``."""
    from pyig import jupyter

    jupyter.load_ipython_extension(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take the magics away again."""
    from pyig import jupyter

    jupyter.unload_ipython_extension(shell)
