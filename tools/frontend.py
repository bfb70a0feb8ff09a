"""Write the widget's modules as one compressed file, which a wheel carries in their place.

The build runs it: ``python tools/frontend.py OUT``. It needs no package, not even pyig itself.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

ESM = Path(__file__).parents[1] / "pyig" / "jupyter" / "esm.py"


def main(out: Path) -> None:
    """Write what `pyig.jupyter.esm.compressed` gives."""
    spec = importlib.util.spec_from_file_location("esm", ESM)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(ESM)
    esm = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(esm)
    out.write_bytes(esm.compressed())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
