"""Where an explanation came from: the model, the input and the options, so that it can be asked again."""

from __future__ import annotations

import ast
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pyig import tree
from pyig.baselines import BASELINES
from pyig.errors import InputError
from pyig.explainer import IntegratedGradients
from pyig.explainer.again import option_of_sample, sample_of
from pyig.explanation import Explanation
from pyig.explanation.cumulative import CumulativeAttributions
from pyig.quadrature import rule_names

METHODS = ("auto", "adaptive", "exact", "expected")
MOST_LAYERS = 300
GIVEN = "as given"  # a baseline that is an array or a function
_FOR_THE_REPORT = ("feature_names", "output_names")
FLOAT64 = "float64"  # an option of an origin alone: which explainer is asked
Edit = tuple[int, Any]  # a scalar feature of a sample, and its new value


@dataclass(frozen=True)
class Origin:
    """Everything that one explanation was made from.

    Parameters
    ----------
    explainer : IntegratedGradients
        Holds the model.
    x : structure of arrays
        The input, batch axis first.
    options : dict
        Keyword arguments of `explain`, as they were given; ``float64`` besides, which asks a copy of the model.
    words : dict of str to str
        How the user wrote ``"model"``, ``"input"`` and options, for "copy as Python".
    edit_text : callable, optional
        ``edit_text(x, leaf, text)`` returns an input of one sample with another text in it; where there is a tokenizer.
    """

    explainer: IntegratedGradients
    x: Any
    options: Mapping[str, Any] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    edit_text: Callable[[Any, str, str], Any] | None = None

    def explain(self, **more: Any) -> Explanation:
        """Explain again."""
        options = {**self.options, **more}
        explainer = self.explainer.in_float64() if options.pop(FLOAT64, False) else self.explainer
        return explainer.explain(self.x, **options)

    def along(self, explanation: Explanation, i: int, k: int, **more: Any) -> CumulativeAttributions:
        """Return how the attributions of one sample and target of what was explained build up along the path."""
        options = {name: value for name, value in self.options.items() if name not in _FOR_THE_REPORT}
        explainer = self.explainer.in_float64() if options.pop(FLOAT64, False) else self.explainer
        target = options.pop("target", None)
        function = target if callable(target) else None
        return explainer.along(explanation, i, k, x=self.x, function=function, **{**options, **more})

    def with_options(self, changes: Mapping[str, Any], output_names: Sequence[str] | None = None) -> Origin:
        """Change options by what was typed or chosen; None and empty words leave an option out."""
        options, words = dict(self.options), dict(self.words)
        for name, word in changes.items():
            if name == "baselines" and word == GIVEN:
                continue
            value = read(name, word, output_names)
            words.pop(name, None)
            options.pop(name, None)
            if value is not None:
                options[name] = value
        # What goes together: a number of steps needs a fixed rule, and most rules a number of steps.
        if options.get("method") in ("adaptive", "exact"):
            options.pop("n_steps", None)
        return replace(self, options=options, words=words)

    def of_sample(self, i: int, samples: int) -> Origin:
        """Keep one sample, with what of the options belongs to it."""
        if samples == 1:
            return self
        options = {
            name: option_of_sample(value, i, samples)
            for name, value in self.options.items()
            if name != "forward_kwargs"
        }
        if self.options.get("forward_kwargs"):
            raise InputError(
                "expected one sample where the model takes forward_kwargs; explain that sample alone first"
            )
        words = {**self.words, "input": f"{self.words.get('input', 'x')}[{i}:{i + 1}]"}
        return replace(self, x=sample_of(self.x, i), options=options, words=words)

    def edited(self, edits: Sequence[Edit]) -> Origin:
        """Change scalar features of the one sample, counted over all leaves; the input itself stays as it is."""
        if not edits:
            return self
        leaves, spec = tree.flatten(self.x)
        frame = tree.is_frame(self.x)
        backend = self.explainer.backend_for(self.x)
        arrays = [np.array(leaf if isinstance(leaf, np.ndarray) else backend.to_numpy(leaf)) for leaf in leaves]
        sizes = [int(np.prod(array.shape[1:])) for array in arrays]
        touched = set()
        for place, value in edits:
            leaf, within = _locate(sizes, int(place))
            flat = arrays[leaf].reshape(1, -1)
            flat[0, within] = value
            arrays[leaf] = flat.reshape(arrays[leaf].shape)
            touched.add(leaf)
        if frame:
            return replace(self, x=tree.unflatten(spec, arrays))
        rebuilt = [
            backend.from_numpy(arrays[n], leaf) if n in touched and not isinstance(leaf, np.ndarray) else
            arrays[n] if n in touched else leaf
            for n, leaf in enumerate(leaves)
        ]  # fmt: skip
        return replace(self, x=tree.unflatten(spec, rebuilt))

    def code(self) -> str:
        """Return the Python that gives this result, as far as it can be written."""
        parts = [self.words.get("input", "x")]
        wide = ".in_float64()" if self.options.get(FLOAT64) else ""
        for name, value in self.options.items():
            if name == FLOAT64:
                continue
            word = self.words.get(name)
            parts.append(f"{name}={word if word is not None else _literal(value, name)}")
        return f"pyig.IntegratedGradients({self.words.get('model', 'model')}){wide}.explain({', '.join(parts)})"

    def shown(self) -> dict[str, str | None]:
        """Return the options as controls show them."""
        options = self.options
        baseline = options.get("baselines")
        return {
            "target": _label(options.get("target")),
            "contrast": _label(options.get("contrast")),
            "baselines": "zero" if baseline is None else baseline if isinstance(baseline, str) else GIVEN,
            "method": str(options.get("method") or "auto"),
            "n_steps": _label(options.get("n_steps")),
            "rtol": _label(options.get("rtol")),
            "layer": _label(options.get("layer")),
            FLOAT64: "on" if options.get(FLOAT64) else None,
        }

    def choices(self, output_names: Sequence[str] | None) -> dict[str, list[str]]:
        """Return what the controls offer."""
        return {
            "targets": ["predicted", *(output_names or ())],
            "baselines": [*BASELINES],
            "methods": [*METHODS, *rule_names()],
            "layers": layer_names(self.explainer.model),
        }


def read(name: str, word: Any, output_names: Sequence[str] | None = None) -> Any:
    """Turn what was typed into an option's value.

    Examples
    --------
    >>> read("target", "3"), read("target", "cat", ["ant", "cat"]), read("n_steps", ""), read("rtol", "1e-3")
    (3, 1, None, 0.001)
    """
    if not isinstance(word, str):
        return word
    text = word.strip()
    if text == "" or (text == "auto" and name == "n_steps"):
        return None
    if name in ("target", "contrast") and output_names is not None and text in output_names:
        return list(output_names).index(text)
    if name in ("target", "contrast", "n_steps", "rtol", "max_evals"):
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return text
    return text


def layer_names(model: Any) -> list[str]:
    """List the layers of a torch module or a Keras model by name; empty for anything else."""
    named = getattr(model, "named_modules", None)
    if callable(named):
        return [name for name, _ in named() if name][:MOST_LAYERS]
    layers = getattr(model, "layers", None)
    return (
        [str(layer.name) for layer in layers if hasattr(layer, "name")][:MOST_LAYERS]
        if isinstance(layers, list)
        else []
    )


def _locate(sizes: Sequence[int], place: int) -> tuple[int, int]:
    for leaf, size in enumerate(sizes):
        if 0 <= place < size:
            return leaf, place
        place -= size
    raise InputError(f"expected a feature below {sum(sizes)}; got one beyond")


def _label(value: Any) -> str | None:
    if value is None or isinstance(value, (str, int, float, tuple, np.integer, np.floating)):
        return None if value is None else str(value)
    return getattr(value, "name", None) or type(value).__name__


def _literal(value: Any, name: str) -> str:
    plain = value.item() if isinstance(value, np.generic) else value
    return repr(plain) if isinstance(plain, (str, int, float, bool, tuple, list, type(None))) else name


_KNOWN: list[tuple[weakref.ref[Explanation], Origin]] = []


def remember(explanation: Explanation, origin: Origin) -> None:
    """Keep the origin for as long as the explanation lives."""
    _KNOWN[:] = [(ref, one) for ref, one in _KNOWN if ref() is not None and ref() is not explanation]
    _KNOWN.append((weakref.ref(explanation), origin))


def origin_of(explanation: Explanation) -> Origin | None:
    """Return what `remember` was told of an explanation."""
    return next((origin for ref, origin in _KNOWN if ref() is explanation), None)
