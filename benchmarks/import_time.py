"""What `import pyig` costs beyond `import numpy`, in fresh interpreters.

Both imports are timed in the same process, one after the other, so other load hits both. Bytecode goes to a folder of
its own: the first run writes it and is not counted, as after any first import by a user.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile

from common import machine, show_seconds, table

TIMED = """
import time
a = time.perf_counter()
import numpy
b = time.perf_counter()
import pyig
c = time.perf_counter()
print(b - a, c - b)
"""


def python(folder: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a fresh interpreter away from this checkout, with bytecode in `folder`."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=env | {"PYTHONPYCACHEPREFIX": folder},
        capture_output=True,
        text=True,
        check=True,
    )


def slowest(report: str, count: int) -> list[tuple[str, float]]:
    """Read `-X importtime`: the modules with most time of their own after numpy was there, in seconds."""
    rows = re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", report)
    after = [name for _, name in rows].index("numpy") + 1
    own = [(name, int(us) / 1e6) for us, name in rows[after:]]
    return sorted(own, key=lambda row: -row[1])[:count]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 rounds instead of 15")
    rounds = 3 if parser.parse_args().quick else 15
    with tempfile.TemporaryDirectory() as folder:
        runs = [python(folder, "-c", TIMED).stdout.split() for _ in range(rounds + 1)][1:]
        report = python(folder, "-X", "importtime", "-c", "import numpy, pyig").stderr
    numpy, beyond = ([float(run[i]) for run in runs] for i in (0, 1))
    print(machine("numpy", "pyig-explain"))
    cells = [
        [name, *map(show_seconds, (statistics.median(s), min(s), max(s)))]
        for name, s in [("import numpy", numpy), ("import pyig, beyond numpy", beyond)]
    ]
    print(table(["", f"median of {rounds}", "best", "worst"], cells))
    print(
        "\n" + table(["slowest after numpy", "own time"], [[name, show_seconds(s)] for name, s in slowest(report, 8)])
    )


if __name__ == "__main__":
    main()
