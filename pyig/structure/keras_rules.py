"""Which calls of Keras layers and operations are affine in inference, by their class.

Layers that Keras did not write are not affine here, whatever they do, nor is one of its own that somebody changed.
"""

from __future__ import annotations

import copy
import sys
from typing import Any

from pyig.structure.keras_graph import Call


def names(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


# Affine in all their tensors together: layers, random ones in inference, operations.
_MAPS = (
    names("Add Subtract Average Concatenate Flatten Reshape Permute RepeatVector Identity Cropping1D Cropping2D")
    | names("Cropping3D CenterCrop Resizing ZeroPadding1D ZeroPadding2D ZeroPadding3D AveragePooling1D")
    | names("AveragePooling2D AveragePooling3D GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D")
    | names("AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D UpSampling1D UpSampling2D")
    | names("UpSampling3D Rescaling Normalization BatchNormalization")
    | names("Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D AlphaDropout GaussianDropout GaussianNoise")
    | names("RandomFlip RandomRotation RandomTranslation RandomZoom RandomContrast RandomBrightness")
    | names("Cast ExpandDims Flip GetItem Mean Moveaxis Negative Pad Ravel Repeat Roll Slice Split")
    | names("Squeeze Stack Sum Swapaxes Tile Transpose")
)
# Affine but for an activation at their end.
_ACTIVATED = names(
    "Dense EinsumDense Conv1D Conv2D Conv3D Conv1DTranspose Conv2DTranspose Conv3DTranspose DepthwiseConv1D"
) | names("DepthwiseConv2D SeparableConv1D SeparableConv2D LocallyConnected1D LocallyConnected2D")
_PRODUCTS = names("Multiply Dot Matmul Einsum")  # affine in each of their tensors
_QUOTIENTS = names("Divide TrueDivide")  # affine in the first
_FUNCTIONS = {  # in tf-keras an operation is a layer around a function of TensorFlow
    "math.add": "Add",
    "__operators__.add": "Add",
    "math.subtract": "Subtract",
    "math.multiply": "Multiply",
    "math.truediv": "TrueDivide",
    "math.divide": "TrueDivide",
    "math.negative": "Negative",
    "math.reduce_mean": "Mean",
    "math.reduce_sum": "Sum",
    "__operators__.getitem": "GetItem",
    "linalg.matmul": "Matmul",
    "math.abs": "Abs",
    "math.exp": "Exp",
    "math.sigmoid": "Sigmoid",
    "math.softplus": "Softplus",
    "math.square": "Square",
    "math.tanh": "Tanh",
    "nn.elu": "Elu",
    "nn.gelu": "Gelu",
    "nn.relu": "Relu",
    "nn.silu": "Silu",
    "concat": "Concatenate",
    "expand_dims": "ExpandDims",
    "reshape": "Reshape",
    "squeeze": "Squeeze",
    "transpose": "Transpose",
}


def is_affine(call: Call, moving: list[bool]) -> bool:
    """Tell whether a call is affine in those of its inputs that move, with what `linear_part` leaves of its layer."""
    name = own_name(call.operation)
    if not all("float" in str(symbol.dtype) for symbol in call.outputs):
        return False
    if name == "TimeDistributed":  # calls its layer step by step
        inner = own_name(call.operation.layer)
        return inner in _MAPS or (inner in _ACTIVATED and _is_linear(call.operation.layer))
    if name in _ACTIVATED or (name == "Activation" and _is_linear(call.operation)):
        return True
    if name == "Dot" and getattr(call.operation, "normalize", False):
        return False
    if name in _PRODUCTS:
        return sum(moving) == 1
    if name in _QUOTIENTS:
        return sum(moving) == 1 and moving[0] and hasattr(call.args[0], "_keras_history")
    return name in _MAPS


def linear_part(layer: Any) -> Any:
    """Return the layer without its activation, a twin with the same weights; None where it has no activation."""
    if own_name(layer) not in _ACTIVATED or _is_linear(layer):
        return None
    # Not copy.copy: Keras pickles by saving the layer, weights and all. Nothing that the twin does reaches the layer.
    twin = object.__new__(type(layer))
    twin.__dict__.update(layer.__dict__, activation=None)
    return twin


def with_operation(call: Call, operation: Any) -> Call:
    """Return the same call of another layer."""
    other = copy.copy(call)
    other.operation = operation
    return other


def own_name(operation: Any) -> str:
    """Return the class name of a layer or operation that Keras wrote and nobody changed; else an empty string."""
    kind = type(operation)
    if kind.__module__.partition(".")[0] not in ("keras", "tf_keras"):
        return ""
    name: str = kind.__name__
    if getattr(sys.modules.get(kind.__module__), name, None) is not kind:  # a class may call itself anything
        return ""
    if name in ("TFOpLambda", "SlicingOpLambda"):
        return _FUNCTIONS.get(str(operation.symbol), "")
    odd = ("activity_regularizer", "quantization_mode")  # adds to the losses; rounds its inputs
    if "call" in vars(operation) or any(getattr(operation, key, None) is not None for key in odd):
        return ""
    return name


def _is_linear(layer: Any) -> bool:
    activation = getattr(layer, "activation", None)
    return activation is None or (
        getattr(activation, "__name__", "") == "linear"
        and getattr(activation, "__module__", "").partition(".")[0] in ("keras", "tf_keras")
    )
