"""The command line in a process of its own, with the toy artifact as a third party's entry point."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

TESTS = Path(__file__).parent
CODE = "import sys, pyig.cli; sys.exit(pyig.cli.main(sys.argv[1:]))"


def plugin(folder: Path) -> Path:
    """Make a folder that, on PYTHONPATH, is an installed distribution with an opener for .toy files."""
    info = folder / "plugin" / "toy_artifact-1.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-artifact\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[pyig.artifacts]\ntoy = toy_artifact:Opener\n")
    return info.parent


def environment(folder: Path) -> dict[str, str]:
    paths = [str(plugin(folder)), str(TESTS), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}


def start(arguments: Sequence[str], folder: Path) -> subprocess.Popen[str]:
    # What runs in the background of a shell has Ctrl-C switched off, and hands that on to its children.
    listening = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {CODE}"
    return subprocess.Popen(
        [sys.executable, "-c", listening, *map(str, arguments)],
        cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def pyig(arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    process = start(arguments, folder)
    out, err = process.communicate(timeout=240)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def stop_after(parts: int, process: subprocess.Popen[str], folder: Path, how: signal.Signals) -> tuple[str, str]:
    """Send a signal as soon as so many parts of a job lie in its folder; return what the process said."""
    while len(list(folder.glob("*.npz"))) < parts:
        if process.poll() is not None:
            raise AssertionError(f"the job ended before it could be stopped: {process.communicate()}")
        time.sleep(0.002)
    process.send_signal(how)
    return process.communicate(timeout=120)
