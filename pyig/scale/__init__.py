"""Many rows: a file in, a file of attributions out, a chunk at a time; a job that was killed goes on where it was."""

from pyig.scale.job import Job as Job
from pyig.scale.rows import Rows as Rows
