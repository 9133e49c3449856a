"""A sweep goes on whatever happens to single runs and workers, does nothing twice, and tells what failed."""

from __future__ import annotations

import functools
import io
import multiprocessing
import os
import signal
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import sweep
from benchmarks.records.record import Record, iterate_records
from benchmarks.training.execute import execute
from benchmarks.training.run import Run, claimed
from benchmarks.workers import pool, worker, workload
from benchmarks.workers.display import Display
from benchmarks.workers.heartbeat import Heartbeat
from benchmarks.workers.outcome import Outcome
from benchmarks.workers.plan import QueuedRun, Selection, plan
from benchmarks.workers.pool import Queue, Worker
from benchmarks.workers.request import parse
from benchmarks.workers.time_left import InProgress
from tests.helpers.trials import Inline

TROUBLE = '''
"""dfa, but on the graph autoencoder it raises and on the Chebyshev network it kills its process, until calmed."""
import os, signal
from pathlib import Path
from dfa_core import DFA, register

@register("trouble")
class Trouble(DFA):
    def __init__(self, model, *, feedback_seed: int = 0):
        super().__init__(model, feedback_seed=feedback_seed)
        self.kind = type(model).__name__ if not Path("calm").exists() else ""

    def signals(self, forward_pass):
        if self.kind == "GAE":
            raise RuntimeError("boom\\nand more")
        if self.kind == "Cheb":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().signals(forward_pass)
'''


def selection(method="bp", seeds=(0,)):
    return Selection("smoke", ["citation/gcn_cora"], [method], seeds, ["task.epochs=2"])


def test_failed_and_killed_runs_do_not_stop_the_others(command, own_methods, monkeypatch):
    """They are recorded as failed with the reason, the exit code says so, and the next sweep tries just them again."""
    Path("trouble.py").write_text(TROUBLE)
    arguments = ("profile=smoke", "tasks=citation/gcn_cora,citation/gae_cora,citation/cheb_cora", "methods=trouble",
                 "plugins=trouble.py", "jobs=1", "results=out", "task.epochs=2")  # fmt: skip
    first = command(sweep.main)(*arguments)
    records = {record.architecture: record for record in iterate_records(Path("out/records"))}
    assert first.code == 1 and {k: r.status for k, r in records.items()} == {
        "gcn": "ok", "gae": "failed", "cheb": "failed",
    }  # fmt: skip
    assert records["gae"].reason == "RuntimeError: boom"
    assert "worker process ended with exit code -9" in records["cheb"].reason
    (trace,) = Path("out/work/failures").rglob("*.txt")
    assert "trouble.py" in trace.read_text() and "gae" in str(trace)
    assert "2 run(s) failed" in first.out and "failed (RuntimeError: boom)" in first.out
    assert str(Path("out/work/failures")) in first.out and first.err == ""

    ok = next(path for path in Path("out/records").rglob("*.json") if "gcn" in str(path))
    before = ok.read_bytes()
    Path("calm").touch()
    monkeypatch.setattr(workload, "Pool", Inline)
    Inline.done = []
    second = command(sweep.main)(*arguments)
    assert second.code == 0 and "1 of 3 runs are recorded already" in second.out
    assert {r.status for r in iterate_records(Path("out/records"))} == {"ok"} and ok.read_bytes() == before


class Script:
    """In place of the pool: hands back the outcomes of a script, run by run."""

    def __init__(self, outcomes, jobs, plugins):
        self.outcomes, self.busy, self.order = outcomes, [], []

    def hand_out(self, queue):
        if not self.busy and (run := queue.take()) is not None:
            self.busy.append(InProgress(run))

    def collect(self):
        collected = [(each.run, self.outcomes.pop(0)) for each in self.busy]
        self.order += [(run.seed, outcome.status) for run, outcome in collected]
        self.busy.clear()
        return collected

    def stop(self):
        self.stopped = True


def test_a_run_that_was_not_done_is_asked_for_again(folder, monkeypatch):
    """Another sweep has it, or somebody stopped its worker: dropped, it would be missing and the exit code 0."""
    record = execute(Run.plan(["task=citation/gcn_cora", "profile=smoke", "task.epochs=2", "results=other"]))
    statuses = ["busy", "interrupted", "ok", "failed", "ok", "ok"]
    outcomes = [Outcome(s, 1.0, record if s == "ok" else None) for s in statuses]
    scripts = []
    monkeypatch.setattr(workload, "Pool", lambda *a: scripts.append(Script(outcomes, *a)) or scripts[0])
    monkeypatch.setattr(workload, "Queue", functools.partial(Queue, pause=0.0))
    runs = plan(selection("dfa", seeds=(0, 1, 2, 3)))
    out = io.StringIO()
    tally = sweep.sweep(runs, parse(["profile=smoke"]), Console(file=out, width=200))
    assert scripts[0].order == [(0, "busy"), (1, "interrupted"), (2, "ok"), (3, "failed"), (0, "ok"), (1, "ok")]
    assert scripts[0].stopped and len(tally.failed) == 1 and "seed3" in tally.failed[0] and tally.stopped_by is None
    assert "[4/4]" in out.getvalue() and "\x1b" not in out.getvalue()


def test_a_terminal_sees_bars_and_a_pipe_plain_lines():
    """Control characters in a log file are noise; a terminal without movement looks hung."""
    shown = {}
    for is_terminal in (True, False):
        out = io.StringIO()
        with Display(Console(file=out, force_terminal=is_terminal, width=150), total=3, recorded=1) as display:
            display.running([planned(1)], 3900.0)
            display.finished(planned(1), Outcome("ok", 2.0, record_of(81.25)), 61.0)
            display.finished(planned(2), Outcome("failed", 1.0), 0.0)
        shown[is_terminal] = out.getvalue()
    assert "\x1b" in shown[True] and "\x1b" not in shown[False]
    assert shown[False].splitlines() == [
        "1 of 3 runs are recorded already",
        "[2/3] task bp seed 1: accuracy 81.2  2.0 s  about 1:01 left",
        "[3/3] task bp seed 2: failed ()  1.0 s  about 0:00 left",
    ]


def record_of(accuracy):
    return Record("task", "citation", "gcn", "cora", "bp", "smoke", 1, {}, "hash", metrics={"accuracy": accuracy},
                  primary_metric="accuracy")  # fmt: skip


def planned(seed):
    return QueuedRun("task", "bp", seed, (), f"id{seed}", 1.0, False)


def test_the_queue_keeps_order_and_lets_busy_runs_wait(monkeypatch):
    """Without a pause a sweep would ask thousands of times a second for a run that another has."""
    clock = [100.0]
    monkeypatch.setattr(pool.time, "monotonic", lambda: clock[0])
    queue = Queue([planned(0), planned(1)], pause=1.0)
    first = queue.take()
    queue.put_back(first)
    assert len(queue) == 2 and [run.seed for run in queue] == [1, 0]
    assert queue.take().seed == 1 and queue.take() is None and len(queue) == 1
    clock[0] += 1.1
    assert queue.take().seed == 0 and len(queue) == 0 and not queue


class Dead:
    """A process that was killed."""

    exitcode = -9

    def join(self):
        pass


def test_a_record_written_just_before_death_stands(folder):
    """Killed between writing the record and reporting it: the result must not be overwritten by `failed`."""
    finished, lost = plan(selection(seeds=(0, 1)))
    record = execute(Run.plan(list(finished.overrides)))
    ends = [multiprocessing.Pipe()[0] for _ in range(3)]
    assert pool._died(Worker(Dead(), ends[0], finished)).record == record
    with claimed(Run.plan(list(lost.overrides))):  # meanwhile another sweep has taken it over
        assert pool._died(Worker(Dead(), ends[1], lost)).status == "busy"
    outcome = pool._died(Worker(Dead(), ends[2], lost))
    assert outcome.status == "failed" and "exit code -9" in outcome.record.reason
    assert {r.seed: r.status for r in iterate_records(Path("results/records"))} == {0: "ok", 1: "failed"}


def served(requests, parent=None):
    """What a worker in this process answers to the requests of a sweep that then goes away."""
    ours, theirs = multiprocessing.Pipe()
    answers: list[Outcome] = []

    def ask():
        with suppress(EOFError, OSError):
            for request in requests:
                ours.send(request)
                answers.append(ours.recv())
        ours.close()

    asking = threading.Thread(target=ask)
    asking.start()
    worker.serve(theirs, Heartbeat(), [], os.getppid() if parent is None else parent)
    theirs.close()
    asking.join()
    return answers


def test_a_worker_does_each_run_once(folder, monkeypatch):
    """Two sweeps plan the same runs: what is recorded meanwhile is not repeated, what is in progress is left alone."""
    first, second = plan(selection(seeds=(0, 1)))
    executed: list[int] = []

    def counted(run, stop_requested, on_step):
        executed.append(run.config.seed)
        return execute(run, stop_requested)

    monkeypatch.setattr(worker, "execute", counted)
    with claimed(Run.plan(list(second.overrides))):
        answers = served([first.overrides, first.overrides, second.overrides])
    assert [answer.status for answer in answers] == ["ok", "ok", "busy"] and executed == [0]
    assert isinstance(answers[1].record, Record) and answers[1].record == answers[0].record


@pytest.mark.parametrize("parents", [[1], [7, 1]], ids=["before", "while it waited"])
def test_an_orphan_starts_nothing(parents, folder, monkeypatch):
    """A worker whose sweep is dead (another process is its parent now) ends without taking up what was handed out."""
    monkeypatch.setattr(worker, "execute", lambda *arguments: pytest.fail("started"))
    monkeypatch.setattr(worker.os, "getppid", lambda: parents.pop(0) if len(parents) > 1 else parents[0])
    (run,) = plan(selection())
    assert served([run.overrides], parent=7) == []


def test_an_orphan_stops_after_the_step_in_progress(folder, monkeypatch):
    """Otherwise a killed sweep's workers would go on for an hour, and keep the runs from the sweep that follows."""
    parents = [7] * 6 + [1]
    monkeypatch.setattr(worker.os, "getppid", lambda: parents.pop(0) if len(parents) > 1 else parents[0])
    (run,) = plan(selection())
    answers = served([(*run.overrides, "task.epochs=50")], parent=7)
    assert answers == [Outcome("interrupted")] and not list(Path("results/records").rglob("*.json"))
    assert len(list(Path("results/work/checkpoints").rglob("*.pt"))) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_is_blocked_only_while_a_worker_starts(number):
    """A worker stopped during its imports would print a traceback, and its run count as failed; one that never hears
    of it would go on."""
    with pool._interrupts_blocked():
        assert number in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert number not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with pool._interrupts_blocked():  # a child inherits the mask, and lifts it itself
        worker.accept_interrupts()
        assert number not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
