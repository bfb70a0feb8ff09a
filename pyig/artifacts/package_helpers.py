"""Projections that the second generation of packages calls by name: of tables, and of one text through its tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pyig.artifacts.package_gem import GEMContainer, GEMSimple, GEMText

Rows = Any


class IGTabularAttributions:
    """Attributions of input layers, shared out to the columns behind each.

    Parameters
    ----------
    input_df : DataFrame
        One row.
    output_cols : sequence of str
        Names of the outputs.
    """

    def __init__(self, input_df: Rows, output_cols: Sequence[str]) -> None:
        self.input_df, self.output_cols = input_df, output_cols

    def get_project_attribution(
        self, attributions: Sequence[Mapping[str, Any]], attr_input_names_mapping: Mapping[str, Sequence[str]]
    ) -> dict[str, Any]:
        """Return a container for each output; a column that no layer has gets 0."""
        if not attr_input_names_mapping:
            raise ValueError("expected attr_input_names_mapping= from layers to columns; got none")
        found = {}
        for name, by_layer in zip(self.output_cols, attributions, strict=False):
            shares: dict[str, float] = {}
            for layer, values in by_layer.items():
                if layer not in attr_input_names_mapping:
                    raise ValueError(f"expected attr_input_names_mapping= to have the layer {layer!r}; it does not")
                for column, value in zip(attr_input_names_mapping[layer], values, strict=False):
                    shares[column] = shares.get(column, 0.0) + float(np.sum(value))
            found[name] = self._container(shares)
        return found

    def _container(self, shares: Mapping[str, float]) -> dict[str, Any]:
        columns = [*shares, *(column for column in self.input_df.columns if column not in shares)]
        nodes = []
        for column in columns:
            value = self.input_df[column].iloc[0] if column in self.input_df.columns else None
            known = value is None or value == value  # NaN is not
            nodes.append(
                GEMSimple(feature_name=column, value=value if known else None, attribution=shares.get(column, 0.0))
            )
        return GEMContainer(contents=nodes).render()


class IGTextAttributionsTF2Keras:
    """Attributions of an embedding, shared out to the words of the one text.

    Parameters
    ----------
    input_df : DataFrame
        One row.
    output_cols : sequence of str
        Names of the outputs.
    """

    def __init__(self, input_df: Rows, output_cols: Sequence[str]) -> None:
        self.input_df, self.output_cols = input_df, output_cols

    def text_to_tokens_keras(self, tokenizer: Any, max_seq_length: int, feature_label: str) -> list[str]:
        """Return the tokens of the text, padded and cut at the end as the model's input is."""
        ids = list(tokenizer.texts_to_sequences([self.input_df[feature_label].iloc[0]])[0])[:max_seq_length]
        padded = [*ids, *[0] * (max_seq_length - len(ids))]
        tokens: list[str] = tokenizer.sequences_to_texts([[number] for number in padded])
        return tokens

    def get_project_attribution(
        self,
        attributions: Sequence[Mapping[str, Any]],
        tokenizer: Any,
        word_tokens: Sequence[str],
        embedding_name: Any,
        feature_label: Any,
    ) -> dict[str, Any]:
        """Return a container with the text for each output."""
        layer, feature = _only("embedding", embedding_name), _only("feature", feature_label)
        found = {}
        for name, by_layer in zip(self.output_cols, attributions, strict=False):
            shares = np.sum(by_layer[layer][-len(word_tokens) :], axis=1)
            segments, parts = self.text_attributions(tokenizer, word_tokens, shares, feature)
            text = GEMText(feature_name=feature, text_segments=segments, text_attributions=parts)
            found[name] = GEMContainer(contents=[text]).render()
        return found

    def text_attributions(
        self, tokenizer: Any, word_tokens: Sequence[str], word_attributions: Sequence[float], feature_label: str
    ) -> tuple[list[str], list[float]]:
        """Walk through the text; a segment that is the next token takes its share, any other none."""
        text = self.input_df[feature_label].iloc[0]
        segments = [part for part in re.split(f"([ {re.escape(tokenizer.filters)}])", text) if part]
        shares, position = [], 0
        for segment in segments:
            hit = position < len(word_tokens) and segment.lower() == word_tokens[position]
            shares.append(float(word_attributions[position]) if hit else 0.0)
            position += hit
        return segments, shares


def _only(what: str, given: Any) -> str:
    if isinstance(given, (list, tuple)):
        if len(given) != 1:
            raise ValueError(f"expected one {what}; got {len(given)}. Write project_attributions for several")
        return str(given[0])
    return str(given)
