"""SavedModel directories of both generations: what is in them, and cuts at any tensor by name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyig.artifacts import saved_model_file
from pyig.artifacts.saved_model_file import Description
from pyig.artifacts.signatures import Signature, Tensor
from pyig.errors import InputError, ModelError, unknown

if TYPE_CHECKING:
    from pyig.artifacts.named import NamedArtifact
    from pyig.artifacts.saved_model_cut import Cut
    from pyig.artifacts.saved_model_graph import FlatGraph

_DEFAULT = "serving_default"
OPTIONS = ("signature", "tags", "encoded", "output", "inputs", "columns", "output_names")
_INLINED = "Func/"  # copies of arguments, which the inliner leaves behind


class SavedModel:
    """A loaded SavedModel. What was loaded lives as long as this, and as long as any cut of it.

    Attributes
    ----------
    path : Path
        The directory.
    signatures : dict of Signature
        The ways to call it.
    key : str, optional
        The signature in use; None where the graph is used by tensor names alone.
    """

    def __init__(self, path: Path, description: Description, loaded: Any, key: str | None) -> None:
        self.path = path
        self.description = description
        self.loaded = loaded
        self.key = key
        self._graphs: dict[str | None, FlatGraph] = {}

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        signature: str | None = None,
        tags: Sequence[str] | None = None,
        *,
        trust: bool = False,
    ) -> SavedModel:
        """Load a directory.

        Parameters
        ----------
        path : path
            A directory with ``saved_model.pb``.
        signature : str, optional
            Key of a signature. Default: ``"serving_default"``, or the only one.
        tags : sequence of str, optional
            Of the meta graph. Default: ``serve``, or the only one.
        trust : bool, default False
            Load also what holds operations that read or write files or run other code.

        Raises
        ------
        InputError
            When the file is damaged, names no such signature or tags, or is not to be trusted.
        """
        place = Path(path)
        description = saved_model_file.read(place, tags)
        if description.outside and not trust:
            raise InputError(
                f"{str(place)!r} holds operations that reach out of the model ({', '.join(description.outside)}), and "
                "so may do anything to this machine. If its origin is trusted as one's own code is, pass trust=True"
            )
        key = _choose(description.signatures, signature)
        return cls(place, description, _load(place, description.tags), key)

    @cached_property
    def signatures(self) -> dict[str, Signature]:
        """The ways to call it, with names that `cut` takes."""
        return {key: self._named(signature) for key, signature in self.description.signatures.items()}

    def signature(self, key: str | None = None) -> Signature:
        """Return a signature by its key; the one in use without a key."""
        chosen = _choose(self.signatures, key if key is not None else self.key)
        if chosen is None:
            cure = "Name tensors of its graph: inputs={...} and output="
            if not self.description.flat:
                cure = "Save it again with tf.saved_model.save(model, path, signatures=function)"
            raise InputError(f"{str(self.path)!r} has no signature. {cure}")
        return self.signatures[chosen]

    def tensors(self, signature: str | None = None) -> list[Tensor]:
        """List the float tensors between the inputs and the outputs that gradients can reach, from front to back."""
        chosen, graph = self.signature(signature), self.graph(signature)
        inputs = [tensor.tensor_name for tensor in chosen.inputs.values()]
        found = {name for out in chosen.outputs.values() for name in graph.between(inputs, out.tensor_name)}
        named = [tensor for tensor in graph.order if tensor.name in found and not tensor.name.startswith(_INLINED)]
        return [_tensor(tensor) for tensor in named]

    def graph(self, signature: str | None = None) -> FlatGraph:
        """Return the graph behind a signature, in one piece."""
        from pyig.artifacts import saved_model_graph

        key = None if self.description.flat else self.signature(signature).key
        if key not in self._graphs:
            if self.description.flat:
                outputs = [
                    out.tensor_name for one in self.description.signatures.values() for out in one.outputs.values()
                ]
                self._graphs[key] = saved_model_graph.from_flat(self.loaded, outputs)
            else:
                self._graphs[key] = saved_model_graph.from_function(self.loaded.signatures[key])
        return self._graphs[key]

    def cut(
        self,
        encoded: Mapping[str, str] | None = None,
        output: str | None = None,
        signature: str | None = None,
        inputs: Mapping[str, str] | None = None,
        gradient: bool = True,
    ) -> Cut:
        """Cut the model between its inputs and an output.

        Parameters
        ----------
        encoded : dict of str, optional
            The float tensor that stands for an input, by the input's name: ``{"ids": "emb"}``. A name may be whole
            (``"model/emb_1/GatherV2:0"``), without ``:0``, its end, or that of a Keras layer. Other float inputs stand
            for themselves; other inputs are fixed.
        output : str, optional
            Key of an output, or a tensor; needed where there are several.
        signature : str, optional
            Another signature than the one in use.
        inputs : dict of str, optional
            Names for tensors that are fed, in place of the signature's inputs: ``{"x": "x:0"}``.
        gradient : bool, default True
            Whether gradients are wanted; False also cuts where none reaches an input.

        Raises
        ------
        InputError
            For a name that is unknown or means several tensors; it lists the near ones.
        ModelError
            When the output does not depend on an encoded tensor, or gradients reach no input at all.
        """
        from pyig.artifacts.saved_model_cutting import Cutting

        chosen = None if inputs is not None and not self.signatures else self.signature(signature)
        cutting = Cutting(self.graph(signature), chosen, inputs, self._aliases(chosen), self.loaded)
        return cutting.cut(encoded or {}, output, gradient)

    def _aliases(self, signature: Signature | None) -> dict[str, str]:
        """Return the keys of a signature, and the names that the file gives its tensors outside the function."""
        if signature is None:
            return {}
        written = self.description.signatures[signature.key]
        aliases: dict[str, str] = {}
        for inside, outside in ((signature.inputs, written.inputs), (signature.outputs, written.outputs)):
            for key, tensor in inside.items():
                aliases |= dict.fromkeys((key, outside[key].tensor_name), tensor.tensor_name)
        return aliases

    def _named(self, signature: Signature) -> Signature:
        """Give the tensors of a TF2 signature the names that they have inside, where they can be found."""
        if self.description.flat:
            return signature
        function = self.loaded.signatures[signature.key]
        inside = dict(zip(function._arg_keywords, function.inputs, strict=False))
        outside = dict(zip(sorted(function.structured_outputs), function.outputs, strict=True))
        return replace(
            signature,
            inputs={k: replace(t, tensor_name=inside[k].name) for k, t in signature.inputs.items()},
            outputs={k: replace(t, tensor_name=outside[k].name) for k, t in signature.outputs.items()},
        )


def _choose(signatures: Mapping[str, Signature], key: str | None) -> str | None:
    if key is not None:
        if key not in signatures:
            raise unknown("signature", key, signatures)
        return key
    if _DEFAULT in signatures or len(signatures) == 1:
        return _DEFAULT if _DEFAULT in signatures else next(iter(signatures))
    if signatures:
        raise InputError(f"expected signature= as one of {', '.join(sorted(signatures))}; there is no {_DEFAULT!r}")
    return None


def _load(path: Path, tags: Sequence[str]) -> Any:
    import tensorflow as tf

    try:
        return tf.saved_model.load(str(path), tags=list(tags))
    except Exception as error:  # TensorFlow raises whatever the missing or damaged piece happens to cause
        said = str(error).strip().partition("\n")[0][:200]
        raise ModelError(
            f"expected a SavedModel that this TensorFlow ({tf.__version__}) can load; {str(path)!r} cannot be: {said}. "
            "Its variables/ or assets/ may be missing or damaged, or it uses operations that are not installed"
        ) from error


def _tensor(tensor: Any) -> Tensor:
    shape = None if tensor.shape.rank is None else tuple(tensor.shape.as_list())
    return Tensor(tensor.name.removesuffix(":0"), tensor.name, tensor.dtype.name, shape)


class SavedModelOpener:
    """Opens SavedModel directories for `pyig.artifacts.load`."""

    options = OPTIONS

    @staticmethod
    def recognises(path: Path) -> bool:
        """Tell whether there is a ``saved_model.pb`` in the directory."""
        return (path / saved_model_file.NAME).is_file()

    @staticmethod
    def open(path: Path, *, trust: bool = False, **options: Any) -> NamedArtifact:
        """Open a directory.

        Parameters
        ----------
        path : Path
        trust : bool
            Load also what holds operations that read or write files or run other code.
        signature, tags, encoded, output, inputs
            As for `SavedModel.load` and `SavedModel.cut`.
        columns, output_names
            As for `NamedArtifact`.
        """
        from pyig.artifacts.cut_part import SavedModelSource
        from pyig.artifacts.named import NamedArtifact

        model = SavedModel.load(path, options.get("signature"), options.get("tags"), trust=trust)
        source = SavedModelSource(model, options.get("encoded"), options.get("output"), options.get("inputs"))
        return NamedArtifact("saved_model", path, source, options.get("columns"), options.get("output_names"))
