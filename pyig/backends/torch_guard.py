"""What a torch model must find unchanged after a call: parameters, buffers, random state, and torch's own switches."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from pyig.errors import ModelError

_lock = threading.Lock()
_freezes: dict[int, int] = {}
_slow: list[bool] = []  # what the switch of the fast path was, once for every call under way


@contextmanager
def frozen(module: torch.nn.Module) -> Iterator[None]:
    """Switch `requires_grad` off; counted per parameter, so that threads which share a model restore it once."""
    if any(p.is_inference() for p in module.parameters()):
        raise ModelError(
            "expected weights that a gradient can go past; got some that were made in inference mode. Make or load the "
            "model outside of torch.inference_mode()"
        )
    with _lock:
        mine = [p for p in module.parameters() if p.requires_grad or id(p) in _freezes]
        for parameter in mine:
            _freezes[id(parameter)] = _freezes.get(id(parameter), 0) + 1
            parameter.requires_grad_(False)
    try:
        yield
    finally:
        with _lock:
            for parameter in mine:
                _freezes[id(parameter)] -= 1
                if not _freezes[id(parameter)]:
                    del _freezes[id(parameter)]
                    parameter.requires_grad_(True)


@contextmanager
def guarded(module: torch.nn.Module) -> Iterator[None]:
    """Restore buffers and random state of a model in training mode; let cuDNN's recurrent layers run backward."""
    recurrent = any(isinstance(m, torch.nn.RNNBase) and not m.training for m in module.modules())
    with ExitStack() as stack:
        if any(isinstance(m, _WITH_FAST_PATH) for m in module.modules()):
            stack.enter_context(layer_by_layer())
        if recurrent:  # cuDNN runs its backward in training mode only; the native kernels have no such limit
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        if not any(m.training for m in module.modules()):
            yield
            return
        if any(m.training and _depends_on_training(m) for m in module.modules()):
            warnings.warn(
                "the model is in training mode: dropout or batch statistics make its outputs depend on chance and on "
                "the batch. Call model.eval() first",
                UserWarning,
                stacklevel=2,
            )
        saved = [(buffer, buffer.detach().clone()) for buffer in module.buffers()]
        stack.enter_context(torch.random.fork_rng())
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, copy in saved:
                    buffer.copy_(copy)


_WITH_FAST_PATH = (torch.nn.TransformerEncoder, torch.nn.TransformerEncoderLayer, torch.nn.MultiheadAttention)


@contextmanager
def layer_by_layer() -> Iterator[None]:
    """Have torch's transformers call their layers also where no gradient is taken.

    Their fast path runs a block as one operation and packs padded rows, so that a layer inside is never met.
    """
    switch = torch.backends.mha
    with _lock:
        _slow.append(switch.get_fastpath_enabled())
        switch.set_fastpath_enabled(False)
    try:
        yield
    finally:
        with _lock:
            # The first call that is under way saw what the user had set; the last one to end puts it back.
            first = _slow[0]
            _slow.pop()
            if not _slow:
                switch.set_fastpath_enabled(first)


def _depends_on_training(module: torch.nn.Module) -> bool:
    dropout = getattr(module, "p", 0.0) if "Dropout" in type(module).__name__ else getattr(module, "dropout", 0.0)
    return bool(getattr(module, "track_running_stats", False)) or (isinstance(dropout, float) and dropout > 0)
