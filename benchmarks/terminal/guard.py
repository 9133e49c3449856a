"""The frame of every command: a fault of the machine or of the user ends in one line and an exit code.

    @command
    def main() -> int: ...

Full and read-only disks, unreadable files, closed or broken output, memory that runs out and interrupts are no bugs of
the command. A bug still shows its traceback: nothing is caught here that could be one.
"""

from __future__ import annotations

import functools
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn, ParamSpec, TextIO, TypeVar

from benchmarks.terminal.signals import ENDING, is_ignored

P = ParamSpec("P")
R = TypeVar("R")


class Terminated(BaseException):
    """The process was told to end, and no run was in progress that wants to save a checkpoint."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def command(main: Callable[P, R]) -> Callable[P, R]:
    """Wrap a command's main function, which returns an exit status or nothing."""

    @functools.wraps(main)
    def guarded(*arguments: P.args, **options: P.kwargs) -> R:
        _prepare_output()
        try:
            with _ending_signals_raise():
                try:
                    return main(*arguments, **options)
                finally:
                    _flush_unless_failed()
        except KeyboardInterrupt:
            _end("interrupted", 128 + signal.SIGINT)
        except Terminated as error:
            _end(f"ended by {signal.Signals(error.number).name}", 128 + error.number)
        except BrokenPipeError:
            fail("the output was closed by its reader before all of it was written")
        except OSError as error:
            fail(error)
        except RecursionError:
            fail("something is nested too deeply: look for a file, or a setting that refers to itself")
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            fail(f"out of memory ({_first_line(error) or 'no more is to be had'}); choose smaller sizes")

    return guarded


def fail(error: Exception | str) -> NoReturn:
    """End the program for a fault that is not ours: one line on standard error, exit code 2."""
    _end(f"error: {' '.join(str(error).split())}", 2)


def _end(line: str, code: int) -> NoReturn:
    _silence_if_broken(sys.stdout)
    with suppress(OSError):  # nobody is left to be told
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    _silence_if_broken(sys.stderr)
    raise SystemExit(code) from None


def _prepare_output() -> None:
    """Make sure that there are streams, and that whatever is printed can be encoded.

    Python has no stream where the file was closed (``>&-``). The next file that is opened would get its number, and
    what a library prints would go there.
    """
    if sys.stderr is None:
        sys.stderr = _nowhere()
    if sys.stdout is None:
        sys.stdout = _nowhere()
        fail("standard output is closed; send it to /dev/null instead")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # ASCII, Latin-1; names of files that are not UTF-8
            stream.reconfigure(errors="backslashreplace")


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123  (open to the end)


def _flush_unless_failed() -> None:
    """Write buffered output here, where a full disk can still be reported; keep an error that is being raised."""
    if isinstance(sys.exc_info()[1], SystemExit | None):
        sys.stdout.flush()


def _silence_if_broken(stream: TextIO) -> None:
    """Send a stream that cannot be written to to the null device: Python would flush it again at exit, and fail."""
    try:
        stream.flush()
    except (OSError, ValueError):  # ValueError: it is closed
        with suppress(OSError, ValueError):  # no file, but an object in its place
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


@contextmanager
def _ending_signals_raise() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise `Terminated`, so that temporary files are removed; ignored signals stay ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _terminate) for number in ENDING if not is_ignored(number)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated(number)


def _is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out. PyTorch has a subclass of RuntimeError for it on a GPU, and only a text on the CPU."""
    if isinstance(error, MemoryError):
        return True
    on_gpu = getattr(sys.modules.get("torch"), "OutOfMemoryError", ())
    return isinstance(error, on_gpu) or "DefaultCPUAllocator: " in str(error)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
