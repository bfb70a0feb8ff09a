"""What is explained of a model that was cut, and of a SavedModel."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig.artifacts.saved_model import SavedModel
from pyig.artifacts.saved_model_cut import Cut
from pyig.artifacts.signatures import Tensor
from pyig.errors import InputError
from pyig.explainer import IntegratedGradients

_BLOCK = 1024  # rows of one forward


class CutPart:
    """The second part of a cut, explained: the face of `pyig.artifacts.named.Part`."""

    def __init__(self, cut: Cut) -> None:
        self.cut = cut
        self.encoded: Mapping[str, Tensor] = cut.encoded
        self.behind = frozenset(name for name, tensor in cut.encoded.items() if tensor != cut.inputs[name])
        self.notes = cut.notes
        self.output_kind = cut.output_kind
        self._explainer = IntegratedGradients(cut.model())

    def explainer(self) -> IntegratedGradients:
        """Return the explainer; it keeps what it compiled."""
        return self._explainer

    def ends(self, arrays: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Return the encoded tensors, and what else the second part needs."""
        return self.cut.encode(arrays), self.cut.still(arrays)

    def arranged(self, values: Mapping[str, Any]) -> Any:
        """Return the values as they are."""
        return dict(values)

    def encode_one(self, name: str, value: Any) -> Any:
        """Return a user's value of one input as a value of the tensor that stands for it."""
        if not hasattr(value, "shape") and isinstance(value, (str, int, float)) and name not in self.behind:
            return value
        return self.cut.encode_one(name, np.asarray(value)) if name in self.behind else np.asarray(value)

    def leaf(self, name: str) -> str:
        """Return the name of the tensor in the report."""
        return name


class SavedModelSource:
    """A SavedModel with a signature, or with tensor names: the face of `pyig.artifacts.named.Source`.

    Parameters
    ----------
    model : SavedModel
    encoded, output, inputs
        As for `SavedModel.cut`.
    """

    def __init__(
        self,
        model: SavedModel,
        encoded: Mapping[str, str] | None = None,
        output: str | None = None,
        inputs: Mapping[str, str] | None = None,
    ) -> None:
        self.model = model
        self._asked: dict[str, Any] = {"encoded": encoded, "output": output, "inputs": inputs}
        if inputs is None:
            signature = model.signature()
            self.inputs, self.defaults = dict(signature.inputs), dict(signature.defaults)
        else:
            self.inputs, self.defaults = dict(self._whole.inputs), dict(self._whole.defaults)

    @cached_property
    def _whole(self) -> Cut:
        return self.model.cut(output=self._asked["output"], inputs=self._asked["inputs"], gradient=False)

    @cached_property
    def _part(self) -> CutPart:
        return CutPart(self.model.cut(**self._asked))

    @property
    def output_shape(self) -> tuple[int | None, ...] | None:
        """Shape of the output that is explained; None while several could be."""
        return self._whole.output.shape if self._decided else None

    @property
    def output_name(self) -> str:
        """Name of the output that is explained; of all while several could be."""
        return self._whole.output.name if self._decided else ", ".join(self.model.signature().outputs)

    @property
    def _decided(self) -> bool:
        if self._asked["output"] is not None or not self.model.signatures:
            return True
        outputs = self.model.signature().outputs.values()
        return len(outputs) == 1 or sum(tensor.floating for tensor in outputs) == 1

    def predict(self, arrays: Mapping[str, Any]) -> NDArray[Any]:
        """Return the output that is explained, some rows at a time."""
        if any(np.ndim(values) == 0 for values in arrays.values()):
            return self._whole.predict(arrays)
        rows = max(len(values) for values in arrays.values())
        starts = range(0, rows, _BLOCK)
        parts = [self._whole.predict({n: v[first : first + _BLOCK] for n, v in arrays.items()}) for first in starts]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def part(self) -> CutPart:
        """Return what is explained."""
        return self._part

    def describe(self) -> dict[str, Any]:
        """Return signatures, tensors, and what is differentiable."""
        model, about = self.model, dict[str, Any]()
        about["format"] = "TF1 graph" if model.description.flat else "TF2 functions"
        about["tags"] = list(model.description.tags)
        about["signatures"] = {key: signature.data() for key, signature in model.signatures.items()}
        about["signature"] = None if self._asked["inputs"] is not None else model.signature().key
        about["inputs"] = {name: tensor.data() for name, tensor in self.inputs.items()}
        if model.signatures:
            about["differentiable"] = [tensor.data() for tensor in model.tensors()]
        try:
            part = self.part()
        except (InputError, RuntimeError) as error:
            about["explained"] = None
            about["notes"] = [str(error)]
        else:
            about |= explained(part.cut)
        return about


def explained(cut: Cut) -> dict[str, Any]:
    """Return where gradients are taken, and of what, as JSON data."""
    return {
        "explained": {name: tensor.data() for name, tensor in cut.encoded.items()},
        "fixed": [name for name in cut.inputs if name not in cut.encoded],
        "output": {"name": cut.output.name, **cut.output.data()},
        "notes": list(cut.notes),
    }
