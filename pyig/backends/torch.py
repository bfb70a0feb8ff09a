"""PyTorch: modules and plain functions of tensors, on any device."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyig.backends.torch_guard import frozen, guarded
from pyig.contracts import Forward, Head, Ints
from pyig.errors import InputTypeError, ModelError
from pyig.held import modules_of

_HOST_DTYPES = (torch.float32, torch.float64)
_DTYPES = (
    "expected the input in the dtype of the model's weights. Cast it (x.float()), or cast the model (model.double())"
)
_DEVICES = "expected the input on the device of the model. Move it (x.to(device)), or pass numpy"
_HINTS = {  # what torch says of inputs that do not fit, and what to do about it
    "argument #1 'indices'": "expected token ids as whole numbers, which are looked up; got floats. "
    "Pass integers (x.long()): the path then runs behind the embedding that takes them, or behind layer=",
    "index out of range in self": "expected ids below the number of rows of the embedding that takes them; one is not, "
    "as when they come from another model's tokenizer",
    "must have the same dtype": _DTYPES,
    "should be the same": _DTYPES,
    "more than 1 value per channel": "expected a model in evaluation mode: batch statistics need more than one row. "
    "Call model.eval() first",
    "on the same device": _DEVICES,
    "not on the expected device": _DEVICES,
}


class TorchBackend:
    """A `torch.nn.Module` (also a Keras 3 model on the torch backend), or any function of torch tensors."""

    name = "torch"

    def __init__(self, model: Any) -> None:
        self._model = model
        candidates = (model, getattr(model, "__self__", None))
        self._module = next((m for m in candidates if isinstance(m, torch.nn.Module)), None)
        self.modules = modules_of(model)
        weight = next((p for p in self._tensors() if p.is_floating_point()), None)
        self._device = weight.device if weight is not None else None
        self._dtype = weight.dtype if weight is not None else None

    @staticmethod
    def owns(model: object, leaves: Sequence[object]) -> bool:
        """Modules, methods of modules, and any callable whose input holds torch tensors."""
        if isinstance(model, torch.nn.Module) or isinstance(getattr(model, "__self__", None), torch.nn.Module):
            return True
        return callable(model) and any(isinstance(leaf, torch.Tensor) for leaf in leaves)

    # --- the model -------------------------------------------------------------------------------------------------
    @contextmanager
    def session(self) -> Iterator[None]:
        """Freeze parameters (autograd then saves no activations for them), guard buffers, leave inference mode."""
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(False))
            for module in self.modules:
                stack.enter_context(frozen(module))
                stack.enter_context(guarded(module))
            yield

    def call(self, x: Any, kwargs: dict[str, Any]) -> Any:
        """Call the model: a dict as keywords, a list or tuple as positions; a Keras model takes its structure whole."""
        try:
            if hasattr(self._model, "compute_output_shape"):  # Keras' mark: its models take one structured argument
                return self._model(x, **kwargs)
            if isinstance(x, dict):
                return self._model(**x, **kwargs)
            return self._model(*x, **kwargs) if isinstance(x, (list, tuple)) else self._model(x, **kwargs)
        except (RuntimeError, ValueError, IndexError) as error:
            hint = next((hint for sign, hint in _HINTS.items() if sign in str(error)), None)
            if hint is None:
                raise
            raise ModelError(f"{hint}. Torch said: {str(error).splitlines()[0]}") from error

    def is_tensor(self, value: object) -> bool:
        """Torch tensors."""
        return isinstance(value, torch.Tensor)

    def gives_probabilities(self) -> bool | None:
        """Look at the last module of a Sequential; of other modules the order of the calls is not known."""
        last = self._module
        while isinstance(last, torch.nn.Sequential) and len(last):
            last = last[-1]
        if last is self._module:
            return None
        if isinstance(last, (torch.nn.Softmax, torch.nn.Sigmoid)):
            return True
        return False if isinstance(last, torch.nn.Linear) else None

    def value(self, forward: Forward, points: Sequence[torch.Tensor], fixed: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the outputs without a graph."""
        with torch.no_grad():
            # The copies are for models whose first operation works in place on its input.
            outputs: torch.Tensor = forward([point.clone() for point in points], fixed)
            return outputs

    def value_and_grad(
        self,
        forward: Forward,
        points: Sequence[torch.Tensor],
        fixed: Sequence[torch.Tensor],
        head: Head,
        index: Sequence[torch.Tensor],
    ) -> tuple[torch.Tensor, list[torch.Tensor | None]]:
        """Return F (R,) and dF/d(points) by one VJP with the head's cotangent."""
        return self.values_and_grads(forward, points, fixed, head, [index])[0]

    def values_and_grads(
        self,
        forward: Forward,
        points: Sequence[torch.Tensor],
        fixed: Sequence[torch.Tensor],
        head: Head,
        indices: Sequence[Sequence[torch.Tensor]],
    ) -> list[tuple[torch.Tensor, list[torch.Tensor | None]]]:
        """Return the same for several targets: one forward, and one VJP each."""
        leaves = [point.detach().requires_grad_() for point in points]
        with torch.enable_grad():
            # A clone is no leaf, so an in-place first operation is allowed, and the point buffer stays as it is.
            outputs = forward([leaf.clone() for leaf in leaves], fixed)
            if not outputs.requires_grad:
                raise ModelError(
                    f"expected outputs that depend on the input by differentiable operations; got outputs of shape "
                    f"{tuple(outputs.shape)} and dtype {outputs.dtype} without a gradient. Look for no_grad, detach, "
                    "argmax, rounding or a way through numpy in the model"
                )
            found: list[tuple[torch.Tensor, list[torch.Tensor | None]]] = []
            for left, index in zip(reversed(range(len(indices))), indices, strict=True):
                values, cotangent = head(self, outputs.detach(), index)
                grads = torch.autograd.grad(
                    outputs, leaves, grad_outputs=cotangent, allow_unused=True, retain_graph=left > 0
                )
                found.append((values, list(grads)))
        return found

    def is_out_of_memory(self, error: BaseException) -> bool:
        """CUDA's own class, and the CPU allocator's RuntimeError."""
        if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
            return True
        return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)

    def release_memory(self) -> None:
        """Give cached blocks back to the device."""
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    # --- tensors ---------------------------------------------------------------------------------------------------
    def asarray(self, x: Any) -> torch.Tensor:
        """Detach a tensor; move numpy to the model's device, floats in the model's dtype."""
        if isinstance(x, torch.Tensor):
            if x.layout != torch.strided:
                raise InputTypeError(f"expected a dense tensor; got layout {x.layout}. Pass x.to_dense()")
            known: torch.Tensor = x.detach()
            return known.contiguous() if self.on_host(known) else known  # once here, not once per block of samples
        array = np.asarray(x, order="C")  # not ascontiguousarray, which gives a lone number an axis
        if array.dtype.kind not in "fiub":
            raise InputTypeError(f"expected numbers for a torch model; got an array of dtype {array.dtype}")
        tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
        if tensor.is_floating_point():
            tensor = tensor.to(self._dtype)
        return tensor.to(self._device)

    def to_numpy(self, tensor: torch.Tensor) -> NDArray[Any]:
        """Return numpy; bfloat16 and float16 as float32."""
        tensor = tensor.detach()
        if tensor.dtype in (torch.bfloat16, torch.float16):
            tensor = tensor.float()
        out: NDArray[Any] = tensor.cpu().numpy()
        return out

    def from_numpy(self, array: NDArray[Any], like: torch.Tensor) -> torch.Tensor:
        """Share host memory; copy to another device."""
        return torch.from_numpy(array).to(like.device)

    def on_host(self, tensor: torch.Tensor) -> bool:
        """True for plain float32 and float64 tensors of the CPU; a subclass may carry meaning numpy would lose."""
        plain = type(tensor) in (torch.Tensor, torch.nn.Parameter) and tensor.layout == torch.strided
        return plain and tensor.device.type == "cpu" and tensor.dtype in _HOST_DTYPES

    def is_floating(self, tensor: torch.Tensor) -> bool:
        """True for real floating dtypes."""
        return tensor.is_floating_point()

    def take(self, tensor: torch.Tensor, rows: Ints) -> torch.Tensor:
        """Return the given rows."""
        return tensor.index_select(0, self.from_numpy(rows, tensor))

    def device_label(self, tensor: torch.Tensor) -> str:
        """Return the device's own name."""
        return str(tensor.device)

    # --- operations for heads ----------------------------------------------------------------------------------------
    def flat(self, outputs: torch.Tensor) -> torch.Tensor:
        """Reshape to (R, C)."""
        return outputs.reshape(outputs.shape[0] if outputs.ndim else 1, -1)

    def reshape_like(self, flat: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        """Undo `flat`."""
        return flat.reshape(outputs.shape)

    def pick(self, flat: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """Return ``flat[r, index[r]]``."""
        return flat.gather(1, index[:, None])[:, 0]

    def one_hot(self, index: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """Return zeros with a one at ``[r, index[r]]``."""
        return torch.zeros_like(like).scatter_(1, index[:, None], 1)

    def softmax(self, flat: torch.Tensor) -> torch.Tensor:
        """Softmax over the last axis."""
        return flat.softmax(-1)

    def logsumexp(self, flat: torch.Tensor) -> torch.Tensor:
        """Log-sum-exp over the last axis."""
        return flat.logsumexp(-1)

    def with_zero_column(self, flat: torch.Tensor) -> torch.Tensor:
        """Return ``[0, z]``."""
        return torch.cat([torch.zeros_like(flat), flat], dim=1)

    def log(self, tensor: torch.Tensor) -> torch.Tensor:
        """Natural logarithm."""
        return tensor.log()

    def custom_head(
        self, function: Callable[[torch.Tensor], torch.Tensor], outputs: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ``function(outputs)`` (R,) and its gradient."""
        if not outputs.is_floating_point():
            raise ModelError(f"expected floating outputs for the target function; got dtype {outputs.dtype}")
        with torch.enable_grad():
            leaf = outputs.detach().requires_grad_()
            values = function(leaf)
            rows = outputs.shape[0] if outputs.ndim else 1
            if not isinstance(values, torch.Tensor) or values.numel() != rows:
                got = tuple(values.shape) if isinstance(values, torch.Tensor) else type(values).__qualname__
                raise ModelError(f"expected the target function to return one number per row ({rows}); got {got}")
            if not values.requires_grad:
                raise ModelError(
                    "expected a target function of differentiable operations; got values without a gradient. Look for "
                    "detach, argmax, comparisons or a way through numpy in it"
                )
            (cotangent,) = torch.autograd.grad(values.sum(), leaf)
        return values.detach().reshape(-1), cotangent

    # --- operations for device rows ----------------------------------------------------------------------------------
    def wide_zeros(self, shape: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
        """Return zeros in float64; in float32 where the device has no wider float (mps)."""
        return torch.zeros(shape, dtype=_widest(like), device=like.device)

    def scatter_add(self, total: torch.Tensor, slots: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Add rows to their slots in place."""
        return total.index_add_(0, slots, rows.to(total.dtype))

    def put(self, total: torch.Tensor, slots: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Set rows in place."""
        return total.index_copy_(0, slots, rows.to(total.dtype))

    def concat(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Join along the first axis."""
        return torch.cat(list(tensors))

    def reshape(self, tensor: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        """Return the tensor in another shape."""
        return tensor.reshape(shape)

    def row_sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Sum over all axes but the first."""
        return tensor.reshape(tensor.shape[0], -1).sum(1, dtype=_widest(tensor))

    def cast_like(self, tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """Return the tensor in the dtype of `like`."""
        return tensor.to(like.dtype)

    def _tensors(self) -> Iterator[torch.Tensor]:
        if self._module is not None:
            yield from self._module.parameters()
            yield from self._module.buffers()


def _widest(tensor: torch.Tensor) -> torch.dtype:
    return torch.float32 if tensor.device.type == "mps" else torch.float64
