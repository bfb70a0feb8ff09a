"""Multiply-adds of the operations that hold nearly all of them.

Torch's own counter (`torch.utils.flop_counter`) works below autograd through a dispatch mode, whose first use imports
the compiler: 3.5 s. Shapes are enough here, where the question is which part of a model is the large one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

Formula = Callable[[Sequence[torch.Tensor], torch.Tensor], float]


def functions(owner: Any, names: str) -> list[Any]:
    """Return the functions of an owner with these names, and the readers of its properties, as a mode sees them."""
    found = [getattr(owner, name, None) for name in names.split()]
    return [item.__get__ if hasattr(item, "__set__") else item for item in found if item is not None]


def multiply_adds(func: Any, tensors: Sequence[torch.Tensor], out: torch.Tensor) -> float:
    """Return the multiply-adds of one call.

    Parameters
    ----------
    func : callable
        The operation, as a `TorchFunctionMode` sees it.
    tensors : sequence of tensor
        The tensors among its arguments, in order.
    out : tensor
        The first tensor of its result.
    """
    formula = _FORMULAS.get(func)
    return 0.0 if formula is None else formula(tensors, out)


def _linear(tensors: Sequence[torch.Tensor], out: torch.Tensor) -> float:
    return float(out.numel() * tensors[0].shape[-1])


def _added(tensors: Sequence[torch.Tensor], out: torch.Tensor) -> float:
    return float(out.numel() * tensors[1].shape[-1])


def _reversed(tensors: Sequence[torch.Tensor], out: torch.Tensor) -> float:
    return float(out.numel() * tensors[0].shape[-2 if tensors[0].ndim > 1 else -1])


def _bilinear(tensors: Sequence[torch.Tensor], out: torch.Tensor) -> float:
    return float(out.numel() * tensors[2][0].numel())


def _einsum(tensors: Sequence[torch.Tensor], out: torch.Tensor) -> float:
    """Exact for a plain product of two matrices: (MK * KN * MN) ** 0.5 = MNK."""
    if len(tensors) < 2:
        return 0.0
    return math.sqrt(tensors[0].numel() * tensors[1].numel() * out.numel())


def _convolution(tensors: Sequence[torch.Tensor], out: torch.Tensor) -> float:
    return float(out.numel() * tensors[1][0].numel())


def _transposed(tensors: Sequence[torch.Tensor], out: torch.Tensor) -> float:
    return float(tensors[0].numel() * tensors[1][0].numel())


def _attention(tensors: Sequence[torch.Tensor], out: torch.Tensor) -> float:
    return float((tensors[0].numel() + out.numel()) * tensors[1].shape[-2])


def _heads(tensors: Sequence[torch.Tensor], out: torch.Tensor) -> float:
    length, width = tensors[1].shape[0], tensors[0].shape[-1]
    return float(tensors[0].numel() * (4 * width + 2 * length))


def _recurrent(tensors: Sequence[torch.Tensor], out: torch.Tensor) -> float:
    weights = sum(t.numel() for t in tensors[1:] if t.ndim == 2)
    return float(out.numel() // max(1, out.shape[-1]) * weights)


_FORMULAS: dict[Any, Formula] = {
    **dict.fromkeys(functions(functional, "linear"), _linear),
    **dict.fromkeys(functions(torch, "matmul mm bmm mv inner"), _linear),
    **dict.fromkeys(functions(torch.Tensor, "matmul __matmul__ mm bmm mv inner"), _linear),
    **dict.fromkeys(functions(torch.Tensor, "__rmatmul__"), _reversed),
    **dict.fromkeys(functions(torch, "addmm baddbmm"), _added),
    **dict.fromkeys(functions(torch.Tensor, "addmm baddbmm"), _added),
    **dict.fromkeys(functions(functional, "bilinear"), _bilinear),
    **dict.fromkeys(functions(torch, "einsum tensordot"), _einsum),
    **dict.fromkeys(functions(torch, "conv1d conv2d conv3d"), _convolution),
    **dict.fromkeys(functions(torch, "conv_transpose1d conv_transpose2d conv_transpose3d"), _transposed),
    **dict.fromkeys(functions(functional, "scaled_dot_product_attention"), _attention),
    **dict.fromkeys(functions(functional, "multi_head_attention_forward"), _heads),
    **dict.fromkeys(functions(torch, "lstm gru rnn_tanh rnn_relu"), _recurrent),
}
