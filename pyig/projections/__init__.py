"""Projections: attributions of encoded tensors become those of the user's features, and keep their sum.

A projection is given one encoded tensor and returns features; `project` gives every tensor its projection.
"""

from pyig.projections.apply import project as project
from pyig.projections.columns import BagOfFeatures as BagOfFeatures
from pyig.projections.columns import Identity as Identity
from pyig.projections.columns import MultiHot as MultiHot
from pyig.projections.columns import OneHot as OneHot
from pyig.projections.combiner import LinearCombiner as LinearCombiner
from pyig.projections.contract import Encoded as Encoded
from pyig.projections.contract import Feature as Feature
from pyig.projections.contract import Projection as Projection
from pyig.projections.function import Function as Function
from pyig.projections.groups import grouped as grouped
from pyig.projections.tokens import Embedding as Embedding
from pyig.projections.tokens import Tokens as Tokens
