"""What is known about torch's operations: which are affine, which act entry by entry, where the kinks are.

A table of names, looked up in `torch`, `torch.Tensor` and `torch.nn.functional`; what is not in it is taken as neither.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any

import torch
from torch.nn import functional

from pyig.structure.torch_costs import functions
from pyig.structure.torch_recording import Recording, Step


def _table(names: str) -> set[Any]:
    """Return the operations with these names, and their in-place forms."""
    every = " ".join(f"{name} {name}_" for name in names.split())
    return {f for owner in (torch, torch.Tensor, functional) for f in functions(owner, every)}


# Affine in all their tensors together.
_SUMS = _table("add sub subtract rsub cat concat concatenate stack column_stack __radd__ __rsub__ __add__ __sub__") | {
    *functions(torch.Tensor, "__iadd__ __isub__"),
}
# Affine in the first argument.
_MAPS = _table(
    "neg negative positive clone contiguous to type_as float double half bfloat16 sum mean cumsum diff trace alias "
    "reshape reshape_as view view_as flatten unflatten ravel permute transpose t T mT swapaxes swapdims movedim "
    "moveaxis squeeze unsqueeze expand expand_as broadcast_to repeat repeat_interleave tile flip fliplr flipud rot90 "
    "roll narrow select index_select gather take_along_dim chunk split tensor_split unbind unfold fold masked_fill "
    "tril triu diagonal diag_embed pad pixel_shuffle pixel_unshuffle channel_shuffle interpolate upsample avg_pool1d "
    "avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d dropout dropout1d dropout2d "
    "dropout3d alpha_dropout feature_alpha_dropout batch_norm __getitem__ __neg__ __pos__"
)
# Affine in one argument while the others stay.
_PRODUCTS = _table(
    "mul multiply matmul mm bmm mv dot inner outer einsum tensordot linear bilinear addmm baddbmm addbmm conv1d conv2d "
    "conv3d conv_transpose1d conv_transpose2d conv_transpose3d __mul__ __rmul__ __matmul__ __rmatmul__"
) | {*functions(torch.Tensor, "__imul__")}
_QUOTIENTS = _table("div divide true_divide __truediv__") | {*functions(torch.Tensor, "__itruediv__")}
_CHOICES = {torch.where}

# Continuous functions of one number. A jump would be missed by a difference of values and by the gradient alike, but
# not in the same way, so rounding, comparisons and hard thresholds are not here. Across a pole the difference is finite
# and the integral is not, so neither are reciprocals.
_CURVES = _table(
    "relu relu6 leaky_relu prelu rrelu elu selu celu gelu silu mish softplus softsign tanh sigmoid logsigmoid hardtanh "
    "hardsigmoid hardswish softshrink tanhshrink exp expm1 exp2 log log1p log2 log10 sqrt square abs "
    "absolute clamp clip clamp_min clamp_max sin cos sinh cosh asinh atan arctan erf erfc sinc logit pow __pow__ "
    "__rpow__ __abs__"
)
_ARITHMETIC = _CURVES | {
    f
    for f in _SUMS | _PRODUCTS | _QUOTIENTS | _MAPS
    if f
    in _table(
        "add sub subtract rsub mul multiply div divide true_divide neg negative positive clone contiguous __add__ "
        "__radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __neg__ __pos__"
    )
}
_POWERS = _table("pow __pow__")
_TRAINED = _table("dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout")
_NORMS, _DIVIDES, _RANDOM_SLOPES = _table("batch_norm"), _table("div divide true_divide"), _table("rrelu")


def is_affine(recording: Recording, step: Step, known: Set[int]) -> bool:
    """Tell whether the outputs of a step are affine functions of the `known` tensors among its arguments."""
    moving = recording.moving(step)
    if not moving or not known >= set(moving):
        return False
    if not all(recording.values[v].dtype.is_floating_point for v in step.outputs):
        return False
    func = step.func
    if func in _SUMS:
        return True
    if func in _MAPS:
        return step.first.issuperset(moving) and _is_still(step)
    if func in _PRODUCTS:
        return len(moving) == 1
    if func in _QUOTIENTS:
        rounded = func in _DIVIDES and step.kwargs.get("rounding_mode") is not None
        return len(moving) == 1 and step.first.issuperset(moving) and not rounded
    return func in _CHOICES and not step.first.intersection(moving)


def is_entrywise(recording: Recording, step: Step) -> bool:
    """Tell whether each entry of the output is a continuous function of the same entries of the moving arguments."""
    if step.func not in _ARITHMETIC or (step.func in _RANDOM_SLOPES and step.argument(3, "training", False)):
        return False
    if step.func in _QUOTIENTS and not step.first.issuperset(recording.moving(step)):
        return False
    if step.func in _POWERS and not _is_positive(step.argument(1, "exponent", None)):
        return False
    shape = recording.values[step.outputs[0]].shape
    return all(recording.values[v].shape == shape for v in recording.moving(step))


def _is_positive(exponent: object) -> bool:
    return isinstance(exponent, (int, float)) and exponent > 0


def _is_still(step: Step) -> bool:
    """Tell whether a layer that trains with statistics or noise of the batch runs without them."""
    if step.func in _NORMS:
        return not step.argument(5, "training", False) and step.argument(1, "running_mean", None) is not None
    return not (step.func in _TRAINED and step.argument(2, "training", True))


# --- piecewise linear ----------------------------------------------------------------------------------------------
Kinks = tuple[float, ...]
Maximum = Callable[[Step, torch.Tensor], torch.Tensor]


def kinks(recording: Recording, step: Step) -> Kinks | None:
    """Return the points where an entrywise piecewise-linear function changes its slope; None for any other step."""
    find = _KINKS.get(step.func)
    if find is None or len(recording.moving(step)) != 1 or not step.first.issuperset(recording.moving(step)):
        return None
    return find(step)


def maximum(recording: Recording, step: Step) -> Maximum | None:
    """Return the function that finds the winners of a pooling step; None for any other step.

    The function takes the step and its input (R, ...), and returns int64 (R, outputs): which entry of the flattened row
    each output is.
    """
    find = _MAXIMA.get(step.func)
    if find is None or len(recording.moving(step)) != 1 or not step.first.issuperset(recording.moving(step)):
        return None
    alone = len(step.outputs) == 1 if find is _pooled else isinstance(step.argument(1, "dim", None), int)
    return find if alone else None


def _zero(step: Step) -> Kinks | None:
    return None if step.func in _RANDOM_SLOPES and step.argument(3, "training", False) else (0.0,)


def _limits(step: Step) -> Kinks | None:
    low, high = step.argument(1, "min", None), step.argument(2, "max", None)
    found = [limit for limit in (low, high) if limit is not None]
    return tuple(map(float, found)) if found and all(isinstance(limit, (int, float)) for limit in found) else None


def _one_limit(step: Step) -> Kinks | None:
    limit = step.argument(1, "min", step.kwargs.get("max"))
    return (float(limit),) if isinstance(limit, (int, float)) else None


def _hard_tanh(step: Step) -> Kinks:
    return float(step.argument(1, "min_val", -1.0)), float(step.argument(2, "max_val", 1.0))


def _soft_shrink(step: Step) -> Kinks:
    width = float(step.argument(1, "lambd", 0.5))
    return -width, width


_KINKS: dict[Any, Callable[[Step], Kinks | None]] = {
    **dict.fromkeys(_table("relu leaky_relu prelu rrelu abs absolute __abs__"), _zero),
    **dict.fromkeys(_table("relu6"), lambda step: (0.0, 6.0)),
    **dict.fromkeys(_table("hardsigmoid"), lambda step: (-3.0, 3.0)),
    **dict.fromkeys(_table("hardtanh"), _hard_tanh),
    **dict.fromkeys(_table("clamp clip"), _limits),
    **dict.fromkeys(_table("clamp_min clamp_max"), _one_limit),
    **dict.fromkeys(_table("softshrink"), _soft_shrink),
}


def _pooled(step: Step, values: torch.Tensor) -> torch.Tensor:
    place = 2 if "adaptive" in step.func.__name__ else 6
    _, index = step.func(values, *step.args[1:place], **{**step.kwargs, "return_indices": True})
    return _flat(values, index, 1 if "1d" in step.func.__name__ else 2)


def _largest(step: Step, values: torch.Tensor) -> torch.Tensor:
    axis = step.argument(1, "dim", None) % values.ndim
    index = values.argmax(axis, keepdim=True)
    numbers = torch.arange(values[0].numel(), device=values.device).view(1, *values.shape[1:])
    return numbers.expand(values.shape).gather(axis, index).flatten(1)


def _flat(values: torch.Tensor, index: torch.Tensor, axes: int) -> torch.Tensor:
    """Turn places within a plane into places within a row."""
    rows = len(values)
    numbers = torch.arange(values[0].numel(), device=values.device).view(*values.shape[1:])
    planes = numbers.flatten(-axes).unsqueeze(0).expand(rows, *[-1] * (numbers.ndim - axes + 1))
    return planes.gather(-1, index.flatten(-axes)).flatten(1)


_MAXIMA: dict[Any, Maximum] = {
    **dict.fromkeys(
        [functional.max_pool1d, functional.max_pool2d, functional.adaptive_max_pool1d, functional.adaptive_max_pool2d],
        _pooled,
    ),
    **dict.fromkeys([torch.max, torch.Tensor.max, torch.amax, torch.Tensor.amax], _largest),
}
