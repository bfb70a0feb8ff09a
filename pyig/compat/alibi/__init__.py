"""alibi's Integrated Gradients for Keras, on pyig's engine: change one import, keep the code.

Old imports of `alibi.explainers`, `alibi.saving`, `alibi.api.interfaces` and `alibi.api.defaults` all come from here.
"""

from pyig.compat.alibi.core import IntegratedGradients as IntegratedGradients
from pyig.compat.alibi.defaults import DEFAULT_DATA_INTGRAD as DEFAULT_DATA_INTGRAD
from pyig.compat.alibi.defaults import DEFAULT_META_INTGRAD as DEFAULT_META_INTGRAD
from pyig.compat.alibi.defaults import LayerState as LayerState
from pyig.compat.alibi.failures import SerializationError as SerializationError
from pyig.compat.alibi.record import Explanation as Explanation
from pyig.compat.alibi.saving import load_explainer as load_explainer
from pyig.compat.alibi.saving import save_explainer as save_explainer
