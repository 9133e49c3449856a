"""A submission that is stopped stops the command at work in good order."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from benchmarks.submit.__main__ import _run
from benchmarks.terminal import guard

CHILD = """
import pathlib, signal, sys, time
def end(*_):
    pathlib.Path("in_order").touch()
    sys.exit(143)
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, signal.SIG_IGN)
pathlib.Path("started").touch()
time.sleep(60)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_command_at_work_ends_in_good_order(number, code, folder, capsys):
    """Its sweep was killed, and with it what its runs had done since their last checkpoint."""
    Path("at_work.py").write_text(CHILD)

    def stop() -> None:
        while not Path("started").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    threading.Thread(target=stop, daemon=True).start()
    with pytest.raises(SystemExit) as ended, guard._ending_signals_raise():
        _run("at_work")
    assert ended.value.code == code and Path("in_order").exists()
    assert capsys.readouterr().err == "interrupted; the same command continues where it stopped\n"


def test_the_status_of_a_command_is_passed_on(folder):
    Path("at_work.py").write_text("raise SystemExit(3)")
    assert _run("at_work") == 3
