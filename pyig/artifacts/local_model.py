"""The local model of Google's open SDK (explainable_ai_sdk), which itself has none: its call runs through pyig.

Only `pyig.artifacts.register_sdk` imports this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from explainable_ai_sdk.common import attribution as sdk_attribution
from explainable_ai_sdk.common import explain_metadata as sdk_metadata
from explainable_ai_sdk.model import configs as sdk_configs
from explainable_ai_sdk.model import explanation as sdk_explanation
from explainable_ai_sdk.model import model as sdk_model
from explainable_ai_sdk.model import model_factory as sdk_factory
from explainable_ai_sdk.model import utils as sdk_utils

from pyig.artifacts.metadata_model import MetadataModel
from pyig.artifacts.metadata_write import to_json
from pyig.errors import InputError, InputTypeError
from pyig.explanation import Explanation
from pyig.explanation.table import targets_each


def register() -> None:
    """Make ``explainable_ai_sdk.load_model_from_local_path`` return a `LocalModel`."""
    sdk_factory.register_local_model(LocalModel)


class LocalModel(sdk_model.Model):  # type: ignore[misc]
    """A SavedModel directory with metadata, as the SDK sees a model.

    Parameters
    ----------
    model_path : str
        The directory.
    config : IntegratedGradientsConfig
        Its ``step_count`` is the number of Gauss-Legendre nodes, as it was in the service.
    """

    def __init__(self, model_path: str, config: Any) -> None:
        self._config = _checked(config)
        self._artifact = MetadataModel(model_path)
        self._metadata = sdk_metadata.ExplainMetadata.from_json(to_json(self._artifact.metadata))

    def predict(self, instances: Sequence[Any]) -> list[dict[Any, Any]]:
        """Return the explained output of each instance, by its name."""
        name = self._artifact.binding.output.name
        return [{name: row} for row in self._artifact.predict(self._rows(instances)).tolist()]

    def explain(self, instances: Sequence[Any], params: Any = None) -> list[Any]:
        """Explain instances.

        Parameters
        ----------
        instances : list
            Dicts by input, or bare values where the model has one input.
        params : AttributionParameters, optional
            ``label_indices`` or ``top_k`` (default: the label with the highest score), ``baselines`` instead of those
            of the metadata (averaged), ``attribution_config`` instead of the model's.

        Returns
        -------
        list of explainable_ai_sdk.model.explanation.Explanation
        """
        params = params or sdk_configs.AttributionParameters()
        config = _checked(params.attribution_config or self._config)
        rows = self._rows(instances)
        starts = None if params.baselines is None else self._rows(params.baselines)
        found: list[dict[Any, Any]] = [{} for _ in rows]
        shown: list[str] = []
        for target in self._targets(params, rows):
            explained = self._artifact.explain(
                rows, target, baselines=starts, n_steps=config.step_count, progress=False
            )
            shown = list(explained.attributions)
            for i, made in enumerate(found):
                for one in self._attributions(explained, i):
                    made[one.label_index] = one
        names = self._modalities(shown)
        return [
            sdk_explanation.Explanation(
                sdk_attribution.LabelIndexToAttribution(list(made.values())), instance, names, self._metadata
            )
            for made, instance in zip(found, instances, strict=True)
        ]

    def _targets(self, params: Any, rows: Sequence[Any]) -> list[Any]:
        """Return targets as pyig takes them, one for each explanation that is needed."""
        shape = self._artifact.binding.cut.output.shape
        single = shape is not None and (len(shape) < 2 or tuple(shape[1:]) == (1,))
        if params.label_indices is None:
            return [None if single or params.top_k is None else f"top{params.top_k}"]
        given = [item if isinstance(item, list) else None for item in params.label_indices]
        if all(item is None for item in given):
            return list(params.label_indices)
        lengths = {0 if item is None else len(item) for item in given}
        if len(given) != len(rows) or len(lengths) > 1:
            raise InputError(
                f"expected label_indices as one list for all, or {len(rows)} lists of one length; "
                f"got {params.label_indices}"
            )
        return [np.array(column) for column in zip(*params.label_indices, strict=True)]

    def _attributions(self, explained: Explanation, i: int) -> list[Any]:
        count = targets_each(explained)
        return [self._attribution(explained, i, k) for k in range(count)]

    def _attribution(self, explained: Explanation, i: int, k: int) -> Any:
        place: Any = i if explained.values.ndim == 1 else (i, k)
        flat = None if explained.targets is None else int(explained.targets[place])
        shape = self._artifact.binding.cut.output.shape or ()
        index: Any = flat
        if flat is not None and len(shape) > 2 and None not in shape[1:]:
            index = tuple(int(n) for n in np.unravel_index(flat, [int(n or 1) for n in shape[1:]]))
        labels = explained.output_names
        return sdk_attribution.Attribution(
            output_name=self._artifact.binding.output.name,
            baseline_score=float(explained.baseline_values[place]),
            example_score=float(explained.values[place]),
            values_dict={name: values[i] for name, values in explained.inputs.items()},
            attrs_dict={name: np.asarray(values[place]) for name, values in explained.attributions.items()},
            label_index=index,
            approx_error=float(explained.relative_gap[place]),
            label_name=labels[flat] if labels and flat is not None else None,
        )

    def _modalities(self, features: Sequence[str]) -> dict[str, list[str]]:
        """Return the SDK's map from modality to features; a group is tabular.

        Images are among all features, and not by themselves: the SDK would draw them from pictures that the service
        made.
        """
        found: dict[str, list[str]] = dict(sdk_utils.create_modality_inputs_map_from_metadata(self._metadata))
        found["image"] = []
        for name in features:
            if not any(name in names for names in found.values()):
                for modality in ("all", "tabular"):
                    found.setdefault(modality, []).append(name)
        return found

    def _rows(self, instances: Sequence[Any]) -> list[Mapping[str, Any]]:
        if all(isinstance(instance, Mapping) for instance in instances):
            return list(instances)
        columns = [bound.item.name for bound in self._artifact.binding.features]
        if len(columns) != 1:
            raise InputTypeError(f"expected instances as dicts of {', '.join(columns)}; got bare values")
        return [{columns[0]: instance} for instance in instances]


def _checked(config: Any) -> Any:
    if not isinstance(config, sdk_configs.IntegratedGradientsConfig) or isinstance(config, sdk_configs.XraiConfig):
        raise InputTypeError(f"expected an IntegratedGradientsConfig; got {type(config).__qualname__}")
    return config
