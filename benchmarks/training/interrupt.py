"""Stopping in good order: Ctrl-C, SIGTERM and SIGHUP ask for it, and it happens between two steps."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from benchmarks.terminal.signals import STOPPING, is_ignored

#: What a command says that was stopped and can go on.
CONTINUES = "interrupted; the same command continues where it stopped"


class Interrupted(Exception):
    """The run was asked to stop; a checkpoint holds everything up to the last finished step."""


@contextmanager
def stop_signal() -> Iterator[StopSignal]:
    """Let Ctrl-C, SIGTERM and SIGHUP ask for a stop after the current step; a second Ctrl-C stops at once."""
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
        """The exit code of a process that the signal ended: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
        return 128 + (self.number or signal.SIGINT)
