"""Explanation metadata: read, write, check, build. `pyig.artifacts.load` explains with it.

Examples
--------
>>> celsius = Input(name="celsius", input_tensor_name="x", input_baselines=(0.0,))
>>> made = Metadata(framework="tensorflow2", inputs=(celsius,), outputs=(Output(name="f", output_tensor_name="y"),))
>>> parse(to_json(made)) == made
True
"""

from pyig.artifacts.metadata_build import build as build
from pyig.artifacts.metadata_json import MetadataWarning as MetadataWarning
from pyig.artifacts.metadata_read import from_dict as from_dict
from pyig.artifacts.metadata_read import parse as parse
from pyig.artifacts.metadata_read import read as read
from pyig.artifacts.metadata_rules import broken as broken
from pyig.artifacts.metadata_rules import unexplainable as unexplainable
from pyig.artifacts.metadata_schema import EMBEDDED as EMBEDDED
from pyig.artifacts.metadata_schema import ENCODINGS as ENCODINGS
from pyig.artifacts.metadata_schema import FILE_NAME as FILE_NAME
from pyig.artifacts.metadata_schema import MODALITIES as MODALITIES
from pyig.artifacts.metadata_schema import NAMED as NAMED
from pyig.artifacts.metadata_schema import Embedding as Embedding
from pyig.artifacts.metadata_schema import Input as Input
from pyig.artifacts.metadata_schema import Metadata as Metadata
from pyig.artifacts.metadata_schema import Output as Output
from pyig.artifacts.metadata_schema import SigdefInput as SigdefInput
from pyig.artifacts.metadata_write import to_dict as to_dict
from pyig.artifacts.metadata_write import to_json as to_json
from pyig.artifacts.metadata_write import write as write
