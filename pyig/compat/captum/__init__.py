"""Captum's classes over pyig's engine: ``from pyig.compat.captum import IntegratedGradients``.

Arguments, defaults, shapes and deltas are those of Captum 0.9; what is different is listed in ``docs/migration.md``.
What else `captum.attr` has, such as ``DeepLift`` or ``TokenReferenceBase``, comes from there, where it is installed:
old code imports many names in one line.
"""

from typing import Any

from pyig.errors import MissingPackageError, missing

try:
    import torch as _torch  # noqa: F401 - asked for before anything else fails for the lack of it
except ImportError as error:
    raise missing("torch", "pyig.compat.captum", "torch") from error

from pyig.compat.captum.attribution import Attribution as Attribution
from pyig.compat.captum.attribution import GradientAttribution as GradientAttribution
from pyig.compat.captum.attribution import LayerAttribution as LayerAttribution
from pyig.compat.captum.gradient_shap import GradientShap as GradientShap
from pyig.compat.captum.gradient_shap import LayerGradientShap as LayerGradientShap
from pyig.compat.captum.gradients import InputXGradient as InputXGradient
from pyig.compat.captum.gradients import Saliency as Saliency
from pyig.compat.captum.integrated_gradients import IntegratedGradients as IntegratedGradients
from pyig.compat.captum.layer_integrated_gradients import LayerIntegratedGradients as LayerIntegratedGradients
from pyig.compat.captum.layer_paths import InternalInfluence as InternalInfluence
from pyig.compat.captum.layer_paths import LayerConductance as LayerConductance
from pyig.compat.captum.metrics import infidelity as infidelity
from pyig.compat.captum.metrics import infidelity_perturb_func_decorator as infidelity_perturb_func_decorator
from pyig.compat.captum.metrics import sensitivity_max as sensitivity_max
from pyig.compat.captum.neuron_integrated_gradients import NeuronIntegratedGradients as NeuronIntegratedGradients
from pyig.compat.captum.noise_tunnel import NoiseTunnel as NoiseTunnel
from pyig.compat.captum.visualization import VisualizationDataRecord as VisualizationDataRecord
from pyig.compat.captum.visualization import visualize_image_attr as visualize_image_attr
from pyig.compat.captum.visualization import visualize_image_attr_multiple as visualize_image_attr_multiple
from pyig.compat.captum.visualization import visualize_text as visualize_text
from pyig.compat.captum.visualization import visualize_timeseries_attr as visualize_timeseries_attr


def __getattr__(name: str) -> Any:
    """Return one of Captum's own names."""
    if not name.startswith("_"):
        try:
            import captum.attr
        except ImportError as error:
            raise MissingPackageError(
                f"pyig.compat.captum has no {name} of its own, and Captum, which may have one, is not installed: "
                "pip install captum"
            ) from error
        if hasattr(captum.attr, name):
            return getattr(captum.attr, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}, and neither has captum.attr")
