"""Python threads call the core at once, the core starts threads of its own, and a forked child may do both."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from core_rows import case

from pyig import _core

pytestmark = pytest.mark.core

LARGE = {"rows": 16, "columns": 100_003, "levels": 2}  # enough for three threads of the core


def at_once(count: int, work: Callable[[int], None]) -> list[BaseException]:
    """Run work(0), work(1), ... in threads; what they raised."""
    raised: list[BaseException] = []
    ready = threading.Barrier(count)

    def body(index: int) -> None:
        try:
            ready.wait()
            work(index)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=body, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_the_helper_reports_what_threads_raise() -> None:
    def fail(index: int) -> None:
        if index == 1:
            raise KeyError(index)

    assert [type(error) for error in at_once(3, fail)] == [KeyError]


def test_several_python_threads_call_at_once(threads: None) -> None:
    _core._set_thread_limit(3)
    common = case(**LARGE)
    expected = copy.deepcopy(common).everything()

    def work(index: int) -> None:
        args = copy.copy(common)  # shared inputs, outputs of its own
        for _ in range(3):
            args.acc, args.slopes, args.out = common.acc.copy(), np.empty(16), np.empty_like(common.out)
            assert args.everything() == expected
            with pytest.raises(ValueError, match="odd"):
                _core.rule("simpson", 2 * index + 4)
            assert _core.rule("gausslegendre", 64 + index)[2] == 2 * (64 + index) - 1

    assert at_once(4, work) == []


def test_changing_the_instruction_set_meanwhile_harms_nobody() -> None:
    before = _core.isa()
    rows = np.ones((64, 1000))

    def work(index: int) -> None:
        for turn in range(50):
            if index == 0:
                _core._set_isa(_core.isas()[turn % len(_core.isas())])
            assert (_core.l1(rows) == 1000).all()

    try:
        assert at_once(3, work) == []
    finally:
        _core._set_isa(before)


@pytest.mark.parametrize("limit", [1, 2])
def test_other_python_threads_run_during_a_call(threads: None, limit: int) -> None:
    _core._set_thread_limit(limit)
    ticks = []
    stop = threading.Event()

    def tick() -> None:
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(1e-4)

    ticker = threading.Thread(target=tick)
    ticker.start()
    many = np.broadcast_to(np.ones(2**15, np.float32), (2**16, 2**15))
    begin = time.perf_counter()
    _core.l1(many)
    end = time.perf_counter()
    stop.set()
    ticker.join()
    quarter = (end - begin) / 4
    assert any(begin + quarter < at < end - quarter for at in ticks), "the call held the interpreter lock"


FORK = """
import os
import numpy as np
from pyig import _core

_core._set_thread_limit(3)
rows = np.ones((16, 100_003), np.float32)
assert (_core.l1(rows) == 100_003).all()
_core.rule("gausslegendre", 77)
child = os.fork()
if child == 0:
    same = (_core.l1(rows) == 100_003).all() and len(_core.rule("gausslegendre", 78)[0]) == 78
    os._exit(3 if same else 4)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_calls_the_core() -> None:
    command = [sys.executable, "-W", "error", "-c", FORK]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.stdout, done.stderr) == ("3\n", "")


NO_THREADS = """
import resource, threading
import numpy as np
from pyig import _core

_core._set_thread_limit(3)
rows = np.ones((16, 100_003), np.float32)
_core.l1(rows[:1])  # too little for threads
pages = int(open("/proc/self/statm").read().split()[0])
enough = pages * resource.getpagesize() + 2**21  # for small things, not for the stack of a thread
resource.setrlimit(resource.RLIMIT_AS, (enough, enough))
try:
    threading.Thread(target=print).start()
except RuntimeError as error:
    print(error)
print((_core.l1(rows) == 100_003).all())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited in Linux's way")
def test_without_threads_to_be_had_the_caller_does_the_work() -> None:
    done = subprocess.run([sys.executable, "-c", NO_THREADS], capture_output=True, text=True, check=False, timeout=120)
    assert (done.stdout, done.stderr) == ("can't start new thread\nTrue\n", "")
