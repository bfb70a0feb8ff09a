"""Captum's pictures: ``from pyig.compat.captum import visualization as viz``.

Signatures are Captum's. `pyig.views` has views of its own, which also say what the numbers mean.
"""

from pyig.compat.captum.visualization.images import visualize_image_attr as visualize_image_attr
from pyig.compat.captum.visualization.images import visualize_image_attr_multiple as visualize_image_attr_multiple
from pyig.compat.captum.visualization.series import visualize_timeseries_attr as visualize_timeseries_attr
from pyig.compat.captum.visualization.words import VisualizationDataRecord as VisualizationDataRecord
from pyig.compat.captum.visualization.words import visualize_text as visualize_text
