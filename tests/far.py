"""A device that is far away, on the CPU: tensors that will not mix with host tensors, and a log of what is copied home.

The tensors say that they live on ``meta`` and hold their data in a plain tensor inside. Every operation on them runs
in `Far.__torch_dispatch__` of the mode, which refuses what a real device would refuse.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

FAR = torch.device("meta")


class FarTensor(torch.Tensor):
    """Looks like a tensor on the far device; `inner` holds the numbers."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> FarTensor:
        return torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), dtype=inner.dtype, device=FAR
        )  # type: ignore[attr-defined]

    def __init__(self, inner: torch.Tensor) -> None:
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{func} ran outside the far device")


class Far(TorchDispatchMode):
    """The far device: active inside ``with Far() as far``; `far.home` lists the sizes of the copies to the host."""

    def __init__(self) -> None:
        super().__init__()
        self.home: list[int] = []
        self.ops = 0

    def tensor(self, host: torch.Tensor) -> torch.Tensor:
        return FarTensor(host.clone())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        leaves = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        far = [leaf for leaf in leaves if isinstance(leaf, FarTensor)]
        target = torch.device(kwargs["device"]) if kwargs.get("device") is not None else None
        if not far and target != FAR:
            return func(*args, **kwargs)
        self.ops += 1
        copies = func._schema.name in ("aten::_to_copy", "aten::copy_")
        strangers = [leaf for leaf in leaves if not isinstance(leaf, FarTensor) and leaf.ndim > 0]
        if strangers and far and not copies:
            raise RuntimeError(f"{func}: Expected all tensors to be on the same device, but found host and far")
        if target == FAR:
            kwargs["device"] = torch.device("cpu")
        inner_args, inner_kwargs = pytree.tree_map_only(FarTensor, lambda t: t.inner, (args, kwargs))
        out = func(*inner_args, **inner_kwargs)
        if far and target is not None and target.type == "cpu":
            self.home.append(out.numel())
            return out.clone()
        if func._schema.name.endswith("_") and isinstance(args[0], FarTensor):
            return args[0]
        return pytree.tree_map_only(torch.Tensor, FarTensor, out)
