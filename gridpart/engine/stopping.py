"""The word in `control` that ends a search early: who writes it, and when it is taken back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from gridpart.engine.kernels import Ints

__all__ = ["SPENT", "STOPPED", "stopping"]

STOPPED, SPENT = 1, 2  # the limit of the whole; the seconds of one search, which were meant to end


@contextmanager
def stopping(control: Ints, word: int, seconds: float | None) -> Iterator[None]:
    """Tell the kernels to stop after so many seconds."""
    if seconds is None:
        yield
        return

    def stop() -> None:
        if not control[0]:
            control[0] = word

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if word == SPENT and control[0] == SPENT:
            control[0] = 0  # what follows a search that has spent its seconds goes on
