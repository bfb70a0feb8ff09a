"""The result of an explanation: frozen data, its verdict in words, its table, its file."""

from pyig.explanation.cumulative import CumulativeAttributions as CumulativeAttributions
from pyig.explanation.record import Explanation as Explanation
from pyig.explanation.record import Path as Path
