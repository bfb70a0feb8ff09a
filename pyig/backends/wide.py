"""The same model in float64, where its framework allows that; the user's own model stays as it is."""

from __future__ import annotations

from typing import Any

from pyig.registry import Registry

WIDE = Registry(
    "backend that has float64", {"torch": "pyig.backends.torch_wide:TorchWide", "callable": f"{__name__}:AsItIs"}
)

REFUSED = {
    "tensorflow": "layers keep the dtype they were made with. Make the model with "
    "keras.config.set_dtype_policy('float64') and load its weights",
    "jax": "JAX has float64 only where jax_enable_x64 is set when it starts. Set it, and pass weights and x in float64",
}


class AsItIs:
    """A numpy function: it works in the dtype of what it is given."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def leaf(self, value: Any) -> Any:
        """Return a leaf that is no numpy array as it is."""
        return value

    def layer(self, layer: Any) -> Any:
        """Return the layer."""
        return layer
