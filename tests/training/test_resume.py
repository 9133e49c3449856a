"""Resumed = uninterrupted, bit for bit: weights, history, metrics, whatever the method and wherever it stopped."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from benchmarks.training import execute as execute_module
from benchmarks.training import machine
from benchmarks.training.checkpoint import Checkpoint
from benchmarks.training.execute import execute
from benchmarks.training.interrupt import Interrupted
from benchmarks.training.loggers import Loggers, make_loggers
from benchmarks.training.randomness import seed_everything
from benchmarks.training.run import Run
from tests.helpers.toy_task import BATCHES, StopAt, make_loop, run_to_next_stop, settings, without_time

EVERYTHING = {"clip_norm": 0.5, "weight_decay": 1e-3}
CONFIGS = {
    "epochs, plateau": settings(epochs=4, schedule="plateau", schedule_steps=0, schedule_factor=0.5, **EVERYTHING),
    "epochs, evaluated every other": settings(epochs=4, eval_every=2, **EVERYTHING),
    "steps, noam": settings(epochs=None, steps=23, eval_every=5, schedule="noam", schedule_steps=6, **EVERYTHING),
    "steps, exponential": settings(None, 23, 5, schedule="exponential", schedule_steps=6, schedule_factor=0.5),
}
STOPS = (1, BATCHES - 1, BATCHES, BATCHES + 2, 2 * BATCHES, 20)  # mid-epoch, at an epoch's last batch, just after


def outcome(loop):
    """Everything a run leaves behind but the time it took: plain values, and tensors by name."""
    plain = dataclasses.asdict(loop.progress) | {"schedule": loop.schedule.state_dict()}
    plain["history"] = without_time(plain["history"])
    for clock in ("train_seconds", "eval_seconds", "alignment_seconds"):
        del plain[clock]
    last = {f"last {name}": value.clone() for name, value in loop.task.model.state_dict().items()}
    best = {f"best {name}": value for name, value in loop.best_weights.items()}
    plain["test"] = loop.test()
    return plain, last | best


def assert_equal(a, b):
    assert a[0] == b[0]
    torch.testing.assert_close(a[1], b[1], rtol=0, atol=0)


def uninterrupted(method, config):
    loop = make_loop(method, config)
    assert not run_to_next_stop(loop)
    return outcome(loop)


def interrupted(method, config, stops, path):
    """Stop at each of ``stops``, and continue in a new loop from the file each time."""
    while True:
        stop = StopAt(*stops)
        loop = make_loop(method, config, stop_requested=stop)
        checkpoint = Checkpoint(path)
        checkpoint.restore(loop)
        stop.steps = {step for step in stops if step > loop.progress.step}
        stop.loop = loop
        if not run_to_next_stop(loop):
            return outcome(loop)
        checkpoint.save(loop)
        seed_everything(12345)  # another process would not have these generators either


@pytest.mark.parametrize("method", ["bp", "dfa", "shallow"])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_resumed_is_uninterrupted(method, config, tmp_path):
    """A generator, moment, schedule or running sum left out of the checkpoint would change results unnoticed."""
    assert_equal(uninterrupted(method, config), interrupted(method, config, STOPS, tmp_path / "run.pt"))


def test_the_toy_can_tell(tmp_path):
    """The comparison above is worth nothing if another dropout mask or order went unnoticed."""
    reference = uninterrupted("dfa", CONFIGS["epochs, plateau"])
    loop = make_loop("dfa", CONFIGS["epochs, plateau"])
    torch.rand(1)
    loop.run()
    with pytest.raises(AssertionError):
        assert_equal(reference, outcome(loop))


def test_a_batch_is_seen_once(tmp_path):
    """A resumed epoch starts where it stopped: no batch twice, none left out."""
    stop = StopAt(BATCHES + 2)
    loop = make_loop("dfa", settings(epochs=3), stop_requested=stop)
    stop.loop = loop
    assert run_to_next_stop(loop)
    Checkpoint(tmp_path / "run.pt").save(loop)
    again = make_loop("dfa", settings(epochs=3))
    assert Checkpoint(tmp_path / "run.pt").restore(again)
    again.run()
    assert loop.task.served + again.task.served == [(e, b) for e in range(3) for b in range(BATCHES)]


@pytest.mark.parametrize(
    "damage",
    [
        *("truncated", "empty", "a flipped bit", "other code", "other libraries", "other run", "other network"),
        "no checkpoint at all",
    ],
)
def test_a_checkpoint_that_does_not_fit_is_not_used(damage, tmp_path, caplog, monkeypatch):
    """Training again is always right; a half-restored state or a traceback never is."""
    path = tmp_path / "run.pt"
    config = settings(epochs=2)
    stop = StopAt(4)
    loop = make_loop("dfa", config, stop_requested=stop)
    stop.loop = loop
    run_to_next_stop(loop)
    Checkpoint(path).save(loop)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "a flipped bit":  # of a weight: it would be trained on, and nobody would know
        content, weight = path.read_bytes(), next(iter(loop.task.model.state_dict().values())).numpy().tobytes()
        place = content.index(weight)
        path.write_bytes(content[:place] + bytes([content[place] ^ 64]) + content[place + 1 :])
    elif damage == "other libraries":
        monkeypatch.setattr(machine, "versions", lambda: {"torch": "1.0"})
    elif damage == "other code":
        monkeypatch.setattr(machine, "source_hash", lambda: "another")
    elif damage == "other run":  # renamed: another seed's weights would be continued, for example
        Checkpoint(path, "smoke/toy/dfa/seed1-0123456789ab").save(loop)
    elif damage == "other network":
        state = torch.load(path, weights_only=True)
        del state["loop"]["optimizer"]["state"][0]["exp_avg"], state["loop"]["progress"]["samples"]
        state["loop"]["progress"]["nonsense"] = 1
        torch.save(state, path)
    else:
        path.write_text("hello")
    fresh = make_loop("dfa", config)
    assert not Checkpoint(path).restore(fresh)
    assert "starting from the beginning" in caplog.text and str(path) in caplog.text
    assert len(caplog.records) == 1 and "\n" not in caplog.records[0].getMessage()
    assert not path.exists()
    fresh.run()
    assert_equal(uninterrupted("dfa", config), outcome(fresh))


@pytest.mark.parametrize("method", ["bp", "dfa", "shallow"])
def test_a_real_run_resumes_bit_for_bit(method, folder):
    """The same through `execute`: record, history file and checkpoint of a run on a graph, stopped three times."""
    overrides = ["task=citation/gcn_cora", "profile=smoke", f"method={method}", "task.epochs=9"]
    reference = execute(Run.plan([*overrides, "results=once"]))
    polls = iter(range(1000))
    record = None
    for stop_at in (2, 5, 6, None):
        run = Run.plan([*overrides, "results=parts"])
        try:
            record = execute(run, lambda at=stop_at: at is not None and next(polls) >= at)
        except Interrupted:
            assert list((folder / "parts/work/checkpoints").rglob("*.pt"))
    assert record is not None and record.metrics == reference.metrics and record.alignment == reference.alignment
    assert record.budget == reference.budget == {"epochs": 9, "steps": 9}
    assert not list((folder / "parts/work/checkpoints").rglob("*.pt"))  # done with
    rows = [path.read_text().splitlines() for path in sorted(folder.rglob("*.csv"))]
    once, parts = ([line.rpartition(",")[0] for line in lines] for lines in rows)  # the last column is the clock
    assert once == parts and len(once) == 1 + 9


class Closed:
    """A logger whose output is closed after some rows."""

    def __init__(self, rows):
        self.rows = rows

    def start(self, record, history):
        pass

    def log(self, row):
        self.rows -= 1
        if self.rows < 0:
            raise BrokenPipeError

    def finish(self, record):
        pass


@pytest.mark.parametrize("rows", [0, 4, 8], ids=["the first row", "a row", "the last row"])
@pytest.mark.parametrize("length", [["task.epochs=9"], ["task.epochs=null", "task.steps=9", "task.eval_every=1"]])
def test_a_closed_output_costs_nothing_that_was_trained(rows, length, folder, monkeypatch):
    """`| head -2` ended a run of hours without a checkpoint."""
    overrides = ["task=citation/gcn_cora", "profile=smoke", "method=dfa", *length]
    reference = execute(Run.plan([*overrides, "results=once"]))
    run, made = Run.plan([*overrides, "results=closed"]), []

    def closed(*arguments):
        made.append(make_loggers(*arguments))
        return Loggers([Closed(rows), *made[-1]._loggers])

    with monkeypatch.context() as patched:
        patched.setattr(execute_module, "make_loggers", closed)
        with pytest.raises(BrokenPipeError):
            execute(run)
    (path,) = (folder / "closed/work/checkpoints").rglob("*.pt")
    steps = torch.load(path, weights_only=True)["loop"]["progress"]["step"]
    assert steps >= rows + 1 and not list((folder / "closed/records").rglob("*.json"))
    record = execute(run)
    assert record.metrics == reference.metrics and record.budget == reference.budget
    (table,) = (folder / "closed/records").rglob("*.csv")
    assert len(table.read_text().splitlines()) == 1 + 9


def test_another_configuration_has_another_checkpoint(folder):
    """The path holds the hash, so settings that differ cannot continue each other's training."""
    base = ["task=citation/gcn_cora", "profile=smoke", "results=out"]
    for extra in ([], ["task.optim.lr=0.02"]):
        polls = iter(range(1000))
        with pytest.raises(Interrupted):
            execute(Run.plan([*base, *extra]), lambda p=polls: next(p) >= 3)
    assert len(list((folder / "out/work/checkpoints").rglob("*.pt"))) == 2


@pytest.mark.parametrize("room", [0, 1000, 4000])
def test_a_full_disk_is_told_as_one(tmp_path, room):
    """PyTorch's own words for it, "unexpected pos 64 vs 0", would be the end of a run, and in a traceback."""
    resource = pytest.importorskip("resource")  # a limit to the size of files stands for the disk's
    checkpoint, loop = Checkpoint(tmp_path / "run.pt"), make_loop("dfa", settings(epochs=1))
    checkpoint.save(loop)
    before, limits = checkpoint.path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as full:
            checkpoint.save(loop)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert full.value.filename == str(checkpoint.path)
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"] and checkpoint.path.read_bytes() == before
