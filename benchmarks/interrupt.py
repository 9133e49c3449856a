"""Stopping in good order: Ctrl-C, SIGTERM and SIGHUP ask for it, and it happens between two steps."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: Signals that end a process, besides Ctrl-C: what `kill` and a terminal that is closed send.
ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))  # Windows has one
#: All that ask for a stop. A terminal, and what runs a job, send them to every process of a sweep.
STOPPING = (signal.SIGINT, *ENDING)


class Interrupted(Exception):
    """The run was asked to stop; a checkpoint holds everything up to the last finished step."""


def is_ignored(number: int) -> bool:
    """Whether the process was started to ignore the signal, as `nohup` does with SIGHUP."""
    return signal.getsignal(number) == signal.SIG_IGN


@contextmanager
def stop_signal() -> Iterator[StopSignal]:
    """Within the block, Ctrl-C and `ENDING` ask for a stop after the current step; a second Ctrl-C stops at once."""
    stop = StopSignal()
    heard = [number for number in STOPPING if number == signal.SIGINT or not is_ignored(number)]
    previous = {number: signal.signal(number, stop) for number in heard}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class StopSignal:
    """A signal handler that remembers."""

    def __init__(self) -> None:
        self.number: int | None = None  #: of the first signal

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = self.number or number

    @property
    def requested(self) -> bool:
        """Whether a signal came."""
        return self.number is not None

    @property
    def exit_code(self) -> int:
        """That of a process which the signal ended: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
        return 128 + (self.number or signal.SIGINT)
