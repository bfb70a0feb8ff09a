"""Use an installed pyig as a user without any framework does; end with a count, as a test run does.

Run it from another folder and with ``python -I``, so that the installed package is what is imported.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

HEAVY = ("torch", "tensorflow", "keras", "jax", "matplotlib", "IPython", "pandas")
FRONT_END = 60_000  # bytes of the notebook's module and style in a wheel


def main() -> int:
    """Run the checks and return how many there were."""
    import numpy as np

    import pyig
    import pyig.jupyter.esm

    home = Path(pyig.__file__).parent
    weights = np.array([1.0, -2.0, 0.5])
    explainer = pyig.IntegratedGradients(lambda x: (x**2) @ weights, gradient=lambda x: 2 * x * weights)
    inputs = np.array([[1.0, 2.0, 3.0], [0.5, -1.0, 0.0]])
    explained = explainer.explain(inputs, n_steps=8)
    with tempfile.TemporaryDirectory() as folder:
        explained.save(Path(folder) / "e.npz")
        loaded = type(explained).load(Path(folder) / "e.npz")
    front = {path.name: path.stat().st_size for path in (home / "jupyter" / "static").iterdir()}
    checks = {
        "only the installed package is on the path": "site-packages" in home.parts,
        "versions agree": pyig.__version__ == version("pyig-explain") == pyig._core.__version__,
        "data and types are shipped": all(
            (home / name).exists() for name in ("data/heart_disease.csv", "py.typed", "_core.pyi")
        ),
        "no C++ source is shipped": not list(home.rglob("*.cpp")),
        "the widget is one small file and its style": sorted(front) == ["widget.css", "widget.js.gz"]
        and sum(front.values()) <= FRONT_END
        and pyig.jupyter.esm.source().endswith("export default widget;\n"),
        "attributions are exact": np.allclose(explained.attributions, inputs**2 * weights, rtol=1e-13),
        "gaps are zero": bool(np.all(np.abs(explained.deltas) < 1e-12)),
        "a saved explanation comes back": loaded == explained,
        "the text tells the gap": bool(repr(explained)),
        "no heavy package is installed": not [name for name in HEAVY if importlib.util.find_spec(name)],
        "no heavy package is loaded": not [name for name in HEAVY if name in sys.modules],
    }
    for sentence, holds in checks.items():
        print(f"{'ok    ' if holds else 'FAILED'} {sentence}")
    failed = sum(not holds for holds in checks.values())
    print(f"{len(checks) - failed} passed, {failed} failed in 0s")
    return failed


if __name__ == "__main__":
    sys.exit(min(main(), 1))
