"""Texts in the live view: the widget shows words, and asks with a text, not with an array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pyig.errors import InputError
from pyig.explanation import Explanation
from pyig.explanation.cumulative import CumulativeAttributions
from pyig.jupyter.display import display_live
from pyig.jupyter.origin import FLOAT64, GIVEN, METHODS, Edit, Origin, layer_names, remember
from pyig.jupyter.widget import ExplanationWidget
from pyig.quadrature import rule_names
from pyig.text import TextExplanation
from pyig.text.along import along
from pyig.text.baselines import KINDS, ZERO
from pyig.text.request import Request

_OF_A_CALL = ("progress", "cancel")  # the widget has its own


class Asked:
    """What the widget asks in place of an `IntegratedGradients`: texts in, words out."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.model = request.explainer.model

    def in_float64(self) -> Asked:
        """Ask a copy of the model in float64."""
        return Asked(replace(self.request, explainer=self.request.explainer.in_float64()))

    def explain(self, texts: Sequence[str], **options: Any) -> Explanation:
        """Explain texts as the request does, with other options."""
        names = options.pop("output_names", None)
        options.pop("feature_names", None)  # the words name themselves
        own = {
            "target": options.pop("target", None),
            "baseline": options.pop("baselines", None),
            "layer": options.pop("layer", None) or self.request.layer,
        }
        found = self._asked(options, own).explain(list(texts)).pieces()
        return found if names is None else replace(found, output_names=tuple(names))

    def along(
        self,
        explanation: Explanation,
        i: int,
        k: int,
        *,
        x: Sequence[str],
        top: int,
        nodes: int | None,
        function: Any = None,
        baselines: Any = None,
        layer: Any = None,
        **options: Any,
    ) -> CumulativeAttributions:
        """Show how the words of one text build up; see `TextExplanation.along`."""
        known = [name for name in ("batch_size", "progress", "cancel") if name in options]
        of_call: dict[str, Any] = {name: options.pop(name) for name in known}
        own = {"target": function, "baseline": baselines, "layer": layer or self.request.layer}
        return along(self._asked(options, own), explanation, x[i], i, k, top, nodes, of_call)

    def _asked(self, options: dict[str, Any], own: dict[str, Any]) -> Request:
        return replace(self.request, options=options, **own)


@dataclass(frozen=True)
class TextOrigin(Origin):
    """An `Origin` whose input is a list of texts."""

    def of_sample(self, i: int, samples: int) -> TextOrigin:
        """Keep one text, with its target."""
        options = dict(self.options)
        if isinstance(options.get("target"), list):
            options["target"] = [options["target"][i]]
        if isinstance(options.get("baselines"), list):
            options["baselines"] = [options["baselines"][i]]
        return replace(self, x=[self.x[i]], options=options)

    def edited(self, edits: Sequence[Edit]) -> TextOrigin:
        """Refuse to change a single word as if it were a number."""
        if edits:
            raise InputError("expected a text to explain instead; words are not edited one by one")
        return self

    def code(self) -> str:
        """Return the Python that gives this result."""
        text = self.x[0] if len(self.x) == 1 else list(self.x)
        given = {"baseline" if name == "baselines" else name: value for name, value in self.options.items()}
        wide, model = given.pop(FLOAT64, False), self.words.get("model", "model")
        parts = [f"{name}={value!r}" for name, value in given.items() if isinstance(value, (str, int, float, list))]
        asked = f"copy.deepcopy({model}).double()" if wide else model
        return f"pyig.explain_text({', '.join([asked, repr(text), 'tokenizer', *parts])})"

    def shown(self) -> dict[str, str | None]:
        """Return the options as controls show them."""
        baseline = self.options.get("baselines")
        known = "pad" if baseline is None else baseline if isinstance(baseline, str) else GIVEN
        return super().shown() | {"baselines": known}

    def choices(self, output_names: Sequence[str] | None) -> dict[str, list[str]]:
        """Return what the controls offer."""
        return {
            "targets": ["predicted", *(output_names or ())],
            "baselines": [*KINDS, ZERO],
            "methods": [*METHODS, *rule_names()],
            "layers": layer_names(self.explainer.model),
        }


def pieces_of(explained: TextExplanation, words: Mapping[str, str] | None = None) -> Explanation:
    """Return the words as an Explanation that knows how to be asked again, where the model is at hand."""
    found = explained.pieces()
    request = explained.request
    if request is not None:
        options = {"target": request.target, "baselines": request.baseline, **request.options}
        given = {name: value for name, value in options.items() if value is not None and name not in _OF_A_CALL}
        asked: Any = Asked(request)
        origin = TextOrigin(asked, list(explained.texts), given, words or {}, lambda x, leaf, text: [text])
        remember(found, origin)
    return found


def widget(explained: TextExplanation) -> ExplanationWidget:
    """See `TextExplanation.widget`."""
    from pyig.jupyter.origin import origin_of

    found = pieces_of(explained)
    return ExplanationWidget(found, origin_of(found))


def show(explained: TextExplanation) -> Any:
    """Show the static copy and the live view."""
    return display_live(pieces_of(explained))
