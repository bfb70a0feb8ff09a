"""One thread per widget that explains again: the newest request wins, and a running one can be cancelled.

Callbacks of a notebook arrive on its main thread and would block it; work belongs elsewhere. Frameworks keep global
state for gradients, so only one widget computes at a time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

ONE_AT_A_TIME = threading.Lock()
EVERY = 0.1  # seconds between two reports of progress


class Job(Protocol):
    """What is to be done: asked now and then through `progress`, told to stop through `cancel`."""

    def __call__(self, *, progress: Callable[[int, int], None], cancel: threading.Event) -> Any:
        """Do it, and return the result."""
        ...


class Worker:
    """Runs jobs one after the other in a thread of its own, which ends when there is nothing left to do.

    Parameters
    ----------
    report : callable
        ``report(running, done, total, calls, seconds)``; called from the thread.
    finish : callable
        ``finish(result, error, job)``; one of the first two is None. Not called for a job that a newer one replaced.
    """

    def __init__(self, report: Callable[[bool, int, int, int, float], None], finish: Callable[..., None]) -> None:
        self._report = report
        self._finish = finish
        self._lock = threading.Lock()
        self._next: Job | None = None
        self._cancel = threading.Event()
        self._thread: threading.Thread | None = None

    def submit(self, job: Job) -> None:
        """Ask for a job in place of all that are running or waiting."""
        with self._lock:
            self._next = job
            self._cancel.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="pyig-widget", daemon=True)
                self._thread.start()

    def cancel(self) -> None:
        """Stop the running job; what it has found so far is its result."""
        with self._lock:
            self._next = None
            self._cancel.set()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until there is nothing left to do; tell whether that came true."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return thread is None or not thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._lock:
                job, self._next = self._next, None
                if job is None:
                    self._thread = None
                    return
                self._cancel = cancel = threading.Event()
            result, error = self._do(job, cancel)
            with self._lock:
                replaced = self._next is not None
            if not replaced:
                self._finish(result, error, job)

    def _do(self, job: Job, cancel: threading.Event) -> tuple[Any, BaseException | None]:
        started, last, calls = time.monotonic(), 0.0, 0

        def progress(done: int, total: int) -> None:
            nonlocal last, calls
            calls += 1
            now = time.monotonic()
            if now - last >= EVERY:
                last = now
                self._report(True, done, total, calls, now - started)

        self._report(True, 0, 0, 0, 0.0)
        try:
            with ONE_AT_A_TIME:
                return job(progress=progress, cancel=cancel), None
        except Exception as error:
            return None, error
        finally:
            self._report(False, 0, 0, calls, time.monotonic() - started)
