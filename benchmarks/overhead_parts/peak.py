"""One call in a fresh process: prints the peak of the process in bytes, and by how much the call raised it.

``python peak.py WHO CASE STEPS quick|full THREADS``
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from common import peak_memory

from overhead_parts.bare import bare
from overhead_parts.models import cases
from overhead_parts.ours import ours
from overhead_parts.peers import captum


def main(who: str, short: str, steps: str, size: str, threads: str) -> None:
    torch.set_num_threads(int(threads))
    case, n = cases(size == "quick")[short], int(steps)
    bare(case, 1, 1)  # what torch loads at the first forward and backward is nobody's
    ours(case, 1)()
    calls = {"pyig": ours, "captum": captum, "bare": lambda case, n: lambda: bare(case, n, n)}
    call = calls[who](case, n)
    before = peak_memory()
    call()
    print(peak_memory(), peak_memory() - before)


if __name__ == "__main__":
    main(*sys.argv[1:])
