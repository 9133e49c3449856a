"""Stopping in good order: Ctrl-C and SIGTERM ask for it, and it happens between two steps."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(Exception):
    """The run was asked to stop; a checkpoint holds everything up to the last finished step."""


@contextmanager
def stop_signal() -> Iterator[StopSignal]:
    """Within the block, Ctrl-C and SIGTERM ask for a stop after the current step; a second Ctrl-C stops at once."""
    stop = StopSignal()
    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class StopSignal:
    """A signal handler that remembers."""

    def __init__(self) -> None:
        self.requested = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True
