"""alibi beside today's numpy and Keras: its packages as empty modules, so that only what the peer needs is imported.

``alibi/__init__`` imports all its explainers, and with them spaCy and shap; Integrated Gradients needs dill and attrs.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any


@cache
def peer() -> Any:
    """Return the peer's module with `IntegratedGradients` in it."""
    spec = importlib.util.find_spec("alibi")
    if spec is None or spec.origin is None:
        raise ImportError("alibi is not installed: pip install --no-deps alibi==0.9.6, and dill and attrs")
    root = Path(spec.origin).parent
    for name in ("alibi", "alibi.explainers", "alibi.utils"):
        if name not in sys.modules:
            module = types.ModuleType(name)
            module.__spec__ = ModuleSpec(name, None, origin=spec.origin, is_package=True)
            module.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
            sys.modules[name] = module
    import alibi.explainers.integrated_gradients as found

    return found
