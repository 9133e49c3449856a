"""How far a worker is with its run: three numbers in memory that it shares with its sweep."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from typing import NamedTuple


class Pulse(NamedTuple):
    """A worker's last message about its run. All 0 until training begins."""

    seconds: float = 0.0  #: since training began in this process
    done: float = 0.0  #: share of the training budget that is done, at most 1
    resumed: float = 0.0  #: the share that was done before, by a checkpoint

    @property
    def trained(self) -> float:
        """The share that was done in these seconds."""
        return max(self.done - self.resumed, 0.0)


#: Before training begins.
SILENT = Pulse()


class Heartbeat:
    """Written by a worker after each step, read by its sweep at any time.

    There is no lock: a worker that is killed while it holds one would stop the sweep. A reader may see numbers of two
    steps, which an estimate can bear.
    """

    def __init__(self) -> None:
        self._cells = multiprocessing.get_context("spawn").RawArray("d", 3)

    def clear(self) -> None:
        """Forget the last run; for the sweep, before it hands out another."""
        self._cells[:] = [0.0, 0.0, 0.0]

    def read(self) -> Pulse:
        """The worker's last message."""
        return Pulse(*self._cells)

    def beats(self) -> Callable[[float], None]:
        """A function for one run, to be called with the share that is done: before the first step and after each."""
        began: float | None = None
        resumed = 0.0

        def beat(done: float) -> None:
            nonlocal began, resumed
            now = time.perf_counter()
            if began is None:
                began, resumed = now, done
            self._cells[:] = [now - began, done, resumed]

        return beat
