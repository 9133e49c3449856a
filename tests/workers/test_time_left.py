"""The time that a sweep is said to have left: near the truth after a minute, on any machine; on a made-up clock."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.workers import measured
from benchmarks.workers.heartbeat import Pulse
from benchmarks.workers.outcome import Outcome
from benchmarks.workers.plan import QueuedRun
from benchmarks.workers.time_left import STARTUP, InProgress, TimeLeft, makespan
from tests.helpers.simulated_sweep import SimulatedSweep

#: Seconds of all runs of profile quick, measured while others used the same two cores.
MEASURED = Path(__file__).with_name("quick_durations.csv")
_LONGER_THEN = {"wikitext2/macro": 3}  # epochs of what was measured, where one was shipped later
_LAST_SECONDS = 20  # in which a factor says little


def planned(seconds: float, name: str = "run") -> QueuedRun:
    return QueuedRun("task", "bp", 0, (), name, seconds, False)


def shipped_seconds() -> dict[tuple[str, str], float]:
    """The shipped measurements of profile quick, by task and method."""
    kind = ("quick", "stand-in")
    found = {task: methods for (profile, task, data), methods in measured.shipped().items() if (profile, data) == kind}
    return {(task, method): each.seconds for task, methods in found.items() for method, each in methods.items()}


def sweep(expected: dict[tuple[str, str], float], truth: dict[tuple[str, str], float]) -> SimulatedSweep:
    """On two workers, each of which takes eight seconds to start."""
    runs = [QueuedRun(task, method, 0, (), f"{task} {method}", s, False) for (task, method), s in expected.items()]
    return SimulatedSweep(runs, {" ".join(key): seconds for key, seconds in truth.items()}, jobs=2, startup=8.0)


def factors(simulated: SimulatedSweep) -> Iterator[float]:
    """What is said to be left relative to the truth, every five seconds after the first minute."""
    for now in range(60, int(simulated.end) - _LAST_SECONDS, 5):
        yield simulated.said(now) / (simulated.end - now)


@pytest.mark.parametrize("slowness", [0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("draw", range(6))
def test_after_a_minute_the_truth_is_near(slowness: float, draw: int) -> None:
    """Without it "1:04:43 left" would be said of twelve minutes: the runs that come first are not like the others.

    The estimates are off by up to 30% a run, at random, and the machine is slower or faster than the one that was
    measured.
    """
    noise = random.Random(draw)
    shipped = shipped_seconds()
    expected = {key: seconds * noise.uniform(0.7, 1.3) for key, seconds in shipped.items()}
    simulated = sweep(expected, {key: slowness * seconds for key, seconds in shipped.items()})
    assert simulated.end > 150 and simulated.busy_share > 0.92
    assert all(1 / 1.5 < factor < 1.5 for factor in factors(simulated))


def test_a_replay_of_a_measured_sweep() -> None:
    """Without it the estimate could be good for made-up times alone. Other programs took a fifth to a half
    of the cores' time, so runs are slower than shipped, and unevenly.
    """
    with MEASURED.open(newline="") as file:
        truth = {(row["task"], row["method"]): float(row["seconds"]) for row in csv.DictReader(file)}
    shipped = shipped_seconds()
    expected = {key: shipped.get(key, 0.1) * _LONGER_THEN.get(key[0], 1) for key in truth}
    simulated = sweep(expected, truth)
    assert simulated.busy_share > 0.98 and len(truth) == 81
    assert all(1 / 1.5 < factor < 1.5 for factor in factors(simulated))
    assert 1 / 1.5 < simulated.said(0.0) / simulated.end < 1.5  # before anything is known of this machine


def test_one_long_run_keeps_the_others_waiting() -> None:
    """Without it the last run's two minutes would be halved because two workers are there ("0:03 left")."""
    assert makespan([0.0, 0.0], [10.0, 4.0, 3.0, 2.0]) == 10.0
    assert makespan([7.0, 0.0], [5.0, 5.0]) == 10.0
    assert TimeLeft(2).left([], [InProgress(planned(100.0))]) == pytest.approx(100.0)
    assert TimeLeft(2).left([planned(100.0)], [InProgress(planned(10.0))]) == pytest.approx(100.0)
    assert TimeLeft(2).left([], []) == 0.0


def test_a_worker_that_starts_takes_its_time() -> None:
    """Without it a sweep of short runs would be said to end before its workers have imported PyTorch."""
    starting = InProgress(planned(3.0), seconds=1.0, is_first=True)
    assert TimeLeft(1).left([], [starting]) == pytest.approx(STARTUP - 1.0 + 3.0)
    assert TimeLeft(1).left([], [InProgress(planned(3.0), seconds=1.0)]) == pytest.approx(2.0)
    assert TimeLeft(1).left([], [InProgress(planned(3.0), seconds=9.0)]) == 0.0


def test_a_short_run_does_not_swing_the_estimate() -> None:
    """Without it a first run of a second that happened to take three would triple the hour that is left."""
    short, long = TimeLeft(1), TimeLeft(1)
    short.finished(planned(1.0), Outcome("ok", 3.0, pulse=Pulse(2.8, 1.0)))
    long.finished(planned(100.0), Outcome("ok", 300.0, pulse=Pulse(290.0, 1.0)))
    rest = [planned(1000.0)]
    assert short.left(rest, []) < 1400 and 2800 < long.left(rest, []) < 3000


def test_a_run_in_progress_teaches_by_its_share() -> None:
    """Without it nothing would be learned until the longest runs, which come first, are over."""
    half = InProgress(planned(100.0), seconds=101.0, pulse=Pulse(100.0, 0.5))
    assert TimeLeft(1).left([planned(100.0)], [half]) == pytest.approx(100 + 200, rel=0.1)


def test_what_a_checkpoint_holds_is_not_pace() -> None:
    """Without it a run that goes on at 90% would seem to have done 91% in a second, and all others as fast."""
    resumed = InProgress(planned(100.0), seconds=3.0, pulse=Pulse(2.0, 0.92, 0.90))
    assert TimeLeft(1).left([planned(100.0)], [resumed]) == pytest.approx(108.0)


@pytest.mark.parametrize("status", ["ok", "failed", "skipped", "diverged"])
def test_what_was_not_trained_teaches_nothing(status: str) -> None:
    """Without it a run that was recorded meanwhile, or failed at once, would make the others look like seconds."""
    left = TimeLeft(1)
    left.finished(planned(100.0), Outcome(status, 0.1))
    assert left.left([planned(60.0)], []) == pytest.approx(60.0)


def test_a_run_that_ended_early_counts_as_far_as_it_came() -> None:
    """Without it a run that diverged at a tenth of its budget would make the machine look ten times faster."""
    left = TimeLeft(1)
    left.finished(planned(100.0), Outcome("diverged", 11.0, pulse=Pulse(10.0, 0.1)))
    assert left.left([planned(60.0)], []) == pytest.approx(60.0)
