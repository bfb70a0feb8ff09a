"""Columns of a table as the inputs of a model."""

from __future__ import annotations

import pytest

from pyig.artifacts.signatures import Tensor
from pyig.artifacts.table_inputs import TableInputs
from pyig.errors import InputError

IMAGE = TableInputs({"image": Tensor("image", "image:0", "string", (None,))})


def test_bytes_keep_the_zeros_at_their_end() -> None:
    """The last bytes of an image or of a protocol message, which numpy's own bytes would drop."""
    arrays, _ = IMAGE.arrays({"image": [b"\x00\x01\x00\x00", b"\x02\x00"]})
    assert arrays["image"].tolist() == [b"\x00\x01\x00\x00", b"\x02\x00"]


def test_cells_of_several_lengths_are_refused() -> None:
    with pytest.raises(InputError, match="cells of one shape in column 'image'; got lengths"):
        IMAGE.arrays({"image": [[b"a"], [b"a", b"b"]]})
