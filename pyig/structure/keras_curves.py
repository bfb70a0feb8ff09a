"""Which calls of Keras layers and operations act entry by entry, and how to run them in the dtype of what they get.

A jump would be missed by a difference of values and by the gradient alike, but not in the same way, so rounding and
hard thresholds are not here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from pyig.structure.keras_graph import Call
from pyig.structure.keras_rules import names, own_name

Curve = Callable[[Sequence[Any]], list[Any]]

_FUNCTIONS = names(
    "celu elu exponential gelu hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear log_sigmoid mish relu "
    "relu6 selu sigmoid silu soft_shrink softplus softsign sparse_plus squareplus swish tanh tanh_shrink"
)
_LAYERS = names("ELU LeakyReLU Add Subtract Multiply Average Maximum Minimum")
# No quotients: across a pole the difference of two values is finite and the integral is not.
_OPERATIONS = names(
    "Absolute Abs Arcsinh Arctan Celu Clip Cos Cosh Elu Erf Exp Expm1 Gelu HardSigmoid HardSilu HardTanh "
    "LeakyRelu Log Log1p LogSigmoid Mish Negative Power Relu Relu6 Selu Sigmoid Silu Sin Sinh SoftShrink "
    "Softplus Softsign SparsePlus Sqrt Square Squareplus Tanh TanhShrink"
)


def curve_of(call: Call, moving: Sequence[bool]) -> Curve | None:
    """Return the call without its layer's cast if it is a continuous function of single entries, else None.

    Parameters
    ----------
    call : Call
        Of a layer or an operation.
    moving : sequence of bool
        Which of its inputs depend on the path. One that differs from row to row and stays is no part of a curve.
    """
    if not moving or not all(moving) or len(call.outputs) != 1:
        return None
    (output,) = call.outputs
    if any(tuple(symbol.shape) != tuple(output.shape) or symbol.dtype != output.dtype for symbol in call.inputs):
        return None
    layer, name = call.operation, own_name(call.operation)
    if name == "PReLU":
        return lambda tensors: [_parametric(tensors[0], layer)]
    if name == "Activation":
        return activation_curve(layer)
    if name == "Power" and not (len(call.args) == 2 and isinstance(call.args[1], (int, float)) and call.args[1] > 0):
        return None
    if name in _LAYERS or name in _OPERATIONS or (name == "ReLU" and not layer.threshold):
        return call.bare
    return None


def activation_curve(layer: Any) -> Curve | None:
    """Return the activation of a layer, whatever it will be by then; None if what it is now does not act on entries."""
    if not _is_known(layer.activation):
        return None
    # A layer would cast what it gets to its own dtype.
    return lambda tensors: [getattr(layer.activation, "call", layer.activation)(tensors[0])]


def _is_known(activation: Any) -> bool:
    if hasattr(activation, "call"):
        name = own_name(activation)
        return name in ("ELU", "LeakyReLU") or (name == "ReLU" and not activation.threshold)
    name, module = getattr(activation, "__name__", ""), getattr(activation, "__module__", "") or ""
    written = module.partition(".")[0] in ("keras", "tf_keras", "tensorflow")
    return written and name in _FUNCTIONS and getattr(sys.modules.get(module), name, None) is activation


def _parametric(tensor: Any, layer: Any) -> Any:
    """Return PReLU; its own call multiplies by slopes of the layer's dtype."""
    return tf.nn.relu(tensor) - tf.cast(tf.convert_to_tensor(layer.alpha), tensor.dtype) * tf.nn.relu(-tensor)
