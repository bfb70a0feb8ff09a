"""Attributions as the second generation of packages writes them: simple features, texts, and containers of both.

The names of classes and keys are those that packages use.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np


class GEMBase:
    """One node."""

    kind = "base"

    def __init__(self, display_name: str | None = None, feature_name: str | None = None, **fields: Any) -> None:
        self.fields: dict[str, Any] = {"type": self.kind}
        names = {"display-name": display_name, "feature-name": feature_name}
        self.fields |= {key: value for key, value in (names | fields).items() if value is not None}

    def render(self) -> dict[str, Any]:
        """Return the node as JSON data."""
        return {key: _plain(value) for key, value in self.fields.items()}

    def to_json(self) -> str:
        """Return the node as text."""
        return json.dumps(self.render())


class GEMSimple(GEMBase):
    """A feature with one value and one attribution."""

    kind = "simple"

    def __init__(
        self,
        display_name: str | None = None,
        feature_name: str | None = None,
        value: Any = None,
        attribution: Any = None,
        attribution_uncertainty: Any = None,
    ) -> None:
        _named(display_name, feature_name)
        super().__init__(display_name, feature_name, value=value, attribution=attribution)
        if attribution_uncertainty is not None:
            self.set_attribution_uncertainty(attribution_uncertainty)

    def set_attribution_uncertainty(self, attribution_uncertainty: Any) -> None:
        """Say how far the attribution may be off."""
        self.fields["attribution-uncertainty"] = attribution_uncertainty


class GEMText(GEMBase):
    """A text in segments, with an attribution for each."""

    kind = "text"

    def __init__(
        self,
        display_name: str | None = None,
        feature_name: str | None = None,
        text_segments: Sequence[str] | None = None,
        text_attributions: Sequence[float] | None = None,
    ) -> None:
        _named(display_name, feature_name)
        super().__init__(display_name, feature_name)
        if text_segments is not None and text_attributions is not None:
            self.set_contents(text_segments, text_attributions)

    def set_contents(self, text_segments: Sequence[str], text_attributions: Sequence[float]) -> None:
        """Give the text its segments."""
        if len(text_segments) != len(text_attributions):
            raise ValueError(
                f"expected one attribution per segment; got {len(text_segments)} segments and "
                f"{len(text_attributions)} attributions"
            )
        self.fields["text-segments"] = list(text_segments)
        self.fields["text-attributions"] = list(text_attributions)

    def render(self) -> dict[str, Any]:
        """Return the node as JSON data, with the sum of its attributions."""
        return super().render() | {"attribution": float(np.sum(self.fields.get("text-attributions", [])))}


class GEMContainer(GEMBase):
    """Several nodes together."""

    kind = "container"

    def __init__(self, display_name: str = "", contents: Sequence[GEMBase] = ()) -> None:
        super().__init__(display_name or None)
        self.set_contents(contents)

    def set_contents(self, contents: Sequence[GEMBase]) -> None:
        """Give the container its nodes."""
        for child in contents:
            if not isinstance(child, GEMBase):
                raise ValueError(f"expected GEM nodes in a container; got {type(child).__qualname__}")
        self.contents = list(contents)

    def render(self) -> dict[str, Any]:
        """Return the node as JSON data, with the sum of its attributions."""
        children = [child.render() for child in self.contents]
        total = float(np.sum([child.get("attribution", 0.0) for child in children]))
        return super().render() | {"contents": children, "attribution": total}


def _named(display_name: str | None, feature_name: str | None) -> None:
    if display_name is None and feature_name is None:
        raise ValueError("expected display_name=, feature_name= or both; got neither")


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value
