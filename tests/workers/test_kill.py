"""Killed and interrupted processes: nothing finished is lost or repeated, and the results are those of a quiet run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import run as run_command
from benchmarks.training.execute import execute
from benchmarks.training.run import Run
from benchmarks.workers.plan import Selection, plan
from tests.helpers.sweeps import contents, differences, done, group_members, kill_group, rows, start, wait_until

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="watches processes through /proc")
SWEEP = ("profile=smoke", "tasks=citation/gcn_cora", "methods=bp,dfa", "seeds=1", "task.epochs=200")


def test_ctrl_c_costs_at_most_the_step_in_progress(command, folder):
    """The same command continues where it stopped, and its record is that of a run nobody interrupted."""
    arguments = ("task=citation/gcn_cora", "profile=smoke", "method=dfa", "task.epochs=400")
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.run", *arguments, "results=stopped"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_rows(Path("stopped"), process, 20)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130 and err == "interrupted; the same command continues where it stopped\n"
    before = rows(Path("stopped"))
    assert 20 < before < 400 and done(Path("stopped")) == {}

    execute(Run.plan([*arguments, "results=quiet"]))
    continued = command(run_command.main)(*arguments, "results=stopped")
    assert continued.code == 0 and f"continuing after step {before - 1}" in continued.out
    assert list(differences(Path("quiet"), Path("stopped"))) == []


def wait_for_rows(results, process, count):
    """Until so many lines of history are written; the process must still run then."""
    wait_until(lambda: rows(results) > count or process.poll() is not None)
    assert process.poll() is None, process.communicate()


def orphans_end(sweep):
    """Kill the sweep alone; its workers stop by themselves, with a checkpoint."""
    os.kill(sweep.pid, signal.SIGKILL)
    sweep.communicate()
    wait_until(lambda: not group_members(sweep.pid), 30)


def ctrl_c(sweep):
    """To the whole group, as a terminal sends it."""
    os.killpg(sweep.pid, signal.SIGINT)
    out, err = sweep.communicate(timeout=120)
    assert sweep.returncode == 130
    assert "interrupted; the same command continues where it stopped" in out and "Traceback" not in out + err


def test_a_sweep_killed_again_and_again_ends_like_a_quiet_one(folder):
    """kill -9 of the sweep alone, kill -9 of the group, then two sweeps at once of which one gets Ctrl-C."""
    for run in plan(Selection("smoke", ["citation/gcn_cora"], ["bp", "dfa"], [0], ["task.epochs=200"])):
        execute(Run.plan([*run.overrides, "results=quiet"]))
    victim, seen = Path("victim"), {}
    for stop in (orphans_end, kill_group):
        sweep = start(victim, *SWEEP, "jobs=1")
        wait_for_rows(victim, sweep, rows(victim) + 100)
        stop(sweep)
        seen |= done(victim)
    first, second = (start(victim, *SWEEP, "jobs=1") for _ in range(2))
    wait_for_rows(victim, first, rows(victim) + 20)
    ctrl_c(first)
    output = second.communicate(timeout=120)
    assert second.returncode == 0, output

    final = done(victim)
    assert {name: final[name] for name in seen} == seen  # what was finished is neither lost nor done again
    assert len(contents(victim)) == 2 and list(differences(Path("quiet"), victim)) == []
    assert not list((victim / "work" / "checkpoints").rglob("*.pt"))
    assert "\x1b" not in output[0] and "[2/2] citation/gcn_cora" in output[0]  # plain lines: a pipe is no terminal
