"""IntegratedGradients: options, one call, and its result put together."""

from pyig.explainer.core import IntegratedGradients as IntegratedGradients
