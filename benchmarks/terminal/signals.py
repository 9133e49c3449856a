"""The signals that ask a process to stop."""

from __future__ import annotations

import signal

#: Signals that end a process, besides Ctrl-C: what `kill` and a terminal that is closed send.
ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))  # Windows has one

#: All that ask for a stop. A terminal, and what runs a job, send them to every process of a sweep.
STOPPING = (signal.SIGINT, *ENDING)


def is_ignored(number: int) -> bool:
    """Whether the process was started to ignore the signal, as `nohup` does with SIGHUP."""
    return signal.getsignal(number) == signal.SIG_IGN
