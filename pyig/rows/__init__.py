"""Where the points and the gradient rows of the open paths live, and how they are combined.

Two forms of each protocol: on the host the compiled core reads the framework's memory once; on a device the framework's
own operations do it. `HostRows` and `DeviceRows` add rows with the known weights of a fixed rule as they come;
`HostCells` and `DeviceCells` keep the rows of open cells until the adaptive planner knows their weights. `HoistedRows`
bring what was summed up behind a model's affine prefix back to its inputs.
An open path owns a slot; slots are used again, so memory does not grow with the number of samples.
"""

from __future__ import annotations

from pyig.contracts import Backend, Rows
from pyig.rows.device import DeviceRows as DeviceRows
from pyig.rows.device_cells import DeviceCells as DeviceCells
from pyig.rows.hoisted import HoistedRows as HoistedRows
from pyig.rows.hoisted import Pullback as Pullback
from pyig.rows.hoisted import joined as joined
from pyig.rows.host import HostRows as HostRows
from pyig.rows.host_cells import HostCells as HostCells
from pyig.rows.paths import Ends as Ends
from pyig.rows.paths import Slots as Slots
from pyig.rows.paths import row_floats as row_floats
from pyig.rows.results import Results as Results


def rows_for(backend: Backend, ends: Ends, weight_rows: int, pullback: Pullback | None = None) -> Rows:
    """Choose the rows of a fixed rule by where the input lives, and whether the path runs behind a prefix."""
    rows = (HostRows if _on_host(backend, ends) else DeviceRows)(backend, ends, weight_rows)
    return rows if pullback is None else HoistedRows(rows, pullback, weight_rows)


def cells_for(backend: Backend, ends: Ends, most_rows: int) -> HostCells | DeviceCells:
    """Choose the rows of the adaptive scheme by where the input lives; the planner hands out at most so many slots."""
    return (HostCells if _on_host(backend, ends) else DeviceCells)(backend, ends, most_rows)


def _on_host(backend: Backend, ends: Ends) -> bool:
    return all(backend.on_host(leaf) for leaf in (*ends.start, *ends.stop))
