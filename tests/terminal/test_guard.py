"""Around every command: a fault of the machine or the user is one line and an exit code, a bug is a traceback."""

from __future__ import annotations

import errno
import importlib
import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.terminal import guard
from benchmarks.terminal.console import make_console
from benchmarks.training.interrupt import stop_signal
from tests import REPOSITORY

FULL = OSError(errno.ENOSPC, "No space left on device")
FAULTS = [
    (FULL, 2, "error: [Errno 28] No space left on device"),
    (OSError(errno.EROFS, "Read-only file system", "results"), 2, "error: [Errno 30] Read-only file system: 'results'"),
    (PermissionError(errno.EACCES, "Permission denied", "a\nb"), 2, "error: [Errno 13] Permission denied: 'a\\nb'"),
    (BrokenPipeError(), 2, "error: the output was closed"),
    (MemoryError(), 2, "error: out of memory"),
    (torch.OutOfMemoryError("CUDA out of memory.\nTried"), 2, "error: out of memory (CUDA out of memory.)"),
    (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"), 2, "error: out of memory"),
    (RecursionError("maximum recursion depth exceeded"), 2, "error: something is nested too deeply"),
    (KeyboardInterrupt(), 130, "interrupted"),
]
COMMANDS = sorted(
    path.relative_to(REPOSITORY).with_suffix("").as_posix().replace("/", ".")
    for path in (REPOSITORY / "benchmarks").rglob("*.py")
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
)


@guard.command
def raising(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(("error", "code", "said"), FAULTS, ids=lambda value: type(value).__name__)
def test_a_fault_is_one_line_and_an_exit_code(error, code, said, capfd):
    """A traceback through the inside of a command says nothing to someone whose disk is full."""
    with pytest.raises(SystemExit) as stopped:
        raising(error)
    err = capfd.readouterr().err
    assert stopped.value.code == code and err.startswith(said) and err.count("\n") == 1


@pytest.mark.parametrize("error", [ValueError("x"), TypeError("x"), RuntimeError("x"), KeyError("x"), AssertionError()])
def test_a_bug_stays_a_bug(error):
    """A net that catches everything would report a wrong index as bad input, and nobody would ever look for it."""
    with pytest.raises(type(error)) as raised:
        raising(error)
    assert raised.value is error


@pytest.mark.parametrize("module", COMMANDS)
def test_every_command_is_guarded(module):
    """One that is not would be the one that meets the full disk. New commands are found here too."""
    main = importlib.import_module(module).main
    assert main.__wrapped__ and main.__code__.co_filename == guard.__file__


def test_there_are_commands():
    """Otherwise the test above could look at nothing."""
    names = ("run", "sweep", "data", "evidence", "baseline", "tune.__main__", "speed.__main__", "speed.methods")
    assert {f"benchmarks.{name}" for name in names} <= set(COMMANDS) and len(COMMANDS) >= 20


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_unwinds_the_command(name, code, tmp_path, capfd):
    """Killed at once, a command would leave its half-written file beside the whole one."""
    number, file = getattr(signal, name), tmp_path / "half"

    @guard.command
    def main() -> None:
        file.write_text("half")
        try:
            os.kill(os.getpid(), number)
            signal.sigtimedwait([], 5)  # the handler runs as soon as Python looks
        finally:
            file.unlink()

    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == code and capfd.readouterr().err == f"ended by {name}\n" and not file.exists()
    assert signal.getsignal(number) == signal.SIG_DFL


def test_nohup_is_respected():
    """A command that was told to outlive its terminal must not end with it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        guard.command(lambda: os.kill(os.getpid(), signal.SIGHUP))()
        with stop_signal() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
        assert not stop.requested
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_run_is_asked_to_stop_by_any_of_them(name, code):
    """A terminal that is closed would kill a run of hours without a checkpoint."""
    with stop_signal() as stop:
        os.kill(os.getpid(), getattr(signal, name))
        os.kill(os.getpid(), signal.SIGTERM)  # what comes after the first changes nothing
        assert stop.requested and stop.exit_code == code


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_output_fits_any_encoding(encoding, monkeypatch):
    """LANG=C, PYTHONIOENCODING=ascii, a file name that is not UTF-8: ± and – would end the command in the middle."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    guard.command(lambda: make_console(file=sys.stdout).print("80.3 ± 0.6 – \udcff"))()
    assert b"80.3" in raw.getvalue() and b"\\udcff" in raw.getvalue()


@pytest.mark.parametrize("columns", ["0", "", "-5", "wide"])
def test_a_width_that_is_none_is_not_taken(columns, monkeypatch):
    """Rich would print a table of no width: nothing."""
    monkeypatch.setenv("COLUMNS", columns)
    assert make_console(file=io.StringIO()).width == 140


class Broken(io.StringIO):
    """A pipe that nobody reads."""

    def write(self, text: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise BrokenPipeError


def test_tables_into_a_closed_pipe(monkeypatch, capfd):
    """Rich ends the program itself, with exit code 1 and no word: a script would take it for failed runs."""
    monkeypatch.setattr(sys, "stdout", Broken())
    with pytest.raises(SystemExit) as stopped:
        guard.command(lambda: make_console().print("text"))()
    assert stopped.value.code == 2 and capfd.readouterr().err.startswith("error: the output was closed")


def test_what_waits_in_the_buffer_is_written_inside_the_guard(monkeypatch, capfd):
    """Python flushes at its very end, where an error is five lines and exit code 120."""
    monkeypatch.setattr(sys, "stdout", Broken())
    for main in (lambda: 0, lambda: sys.exit(0)):
        with pytest.raises(SystemExit) as stopped:
            guard.command(main)()
        assert stopped.value.code == 2 and capfd.readouterr().err.count("\n") == 1


SHELL = {
    "closed": ("{} >&-", 2, r"error: standard output is closed; send it to /dev/null instead\n"),
    "full": ("{} >/dev/full", 2, r"error: \[Errno 28\] No space left on device\n"),
    "unread": ("{{ {}; echo $? >&2; }} | true", 0, r"error: the output was closed [a-z ]*\n2\n"),
    "ascii": ("PYTHONIOENCODING=ascii {} >/dev/null", 0, ""),
}


@pytest.mark.parametrize("case", SHELL)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_as_a_shell_closes_it(case, folder):
    """What Python itself does with its streams, before and after the command, shows in a process of its own only."""
    text, code, said = SHELL[case]
    line = text.format(f"{sys.executable} -m benchmarks.data status")
    if case == "unread":
        line = f"trap '' PIPE; {line}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code and re.fullmatch(said, done.stderr), done.stderr
