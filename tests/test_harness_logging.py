"""The history file and Weights & Biases: every row once, every column, and the record's numbers at the end."""

from __future__ import annotations

import csv
import json
import socket
import sys

import pytest
from harness_wandb import read_run

from benchmarks import run as run_command
from benchmarks.execute import execute
from benchmarks.interrupt import Interrupted
from benchmarks.loggers import CsvLogger
from benchmarks.records import read_record
from benchmarks.runs import Run

GCN = ("task=citation/gcn_cora", "profile=smoke", "task.epochs=4", "results=out")


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_later_row_may_have_more_or_fewer_columns(tmp_path):
    """A metric that is measured now and then would otherwise be dropped, or shift the columns of its row."""
    logger = CsvLogger(tmp_path / "deep" / "run.csv")
    logger.start(None, [])
    logger.log({"step": 1, "valid_accuracy": 50})
    logger.log({"step": 2, "valid_accuracy": 60, "extra": 0.125})
    logger.log({"step": 3})
    logger.log({"extra": float("nan"), "step": 4})
    logger.finish(None)
    assert table(tmp_path / "deep" / "run.csv") == [
        {"step": "1", "valid_accuracy": "50", "extra": ""},
        {"step": "2", "valid_accuracy": "60", "extra": "0.125"},
        {"step": "3", "valid_accuracy": "", "extra": ""},
        {"step": "4", "valid_accuracy": "", "extra": "nan"},
    ]


def test_every_row_is_in_the_file_at_once(tmp_path):
    """A killed run leaves its rows, and somebody can follow a long one."""
    logger = CsvLogger(tmp_path / "run.csv")
    logger.start(None, [])
    logger.log({"step": 1})
    assert table(tmp_path / "run.csv") == [{"step": "1"}]


def test_a_continued_history_repeats_no_row(tmp_path):
    """Rows after the last checkpoint were written by the killed process; they are written anew, not twice."""
    path = tmp_path / "run.csv"
    killed = CsvLogger(path)
    killed.start(None, [])
    for step in range(1, 6):
        killed.log({"step": step, "valid_loss": 1 / step})
    continued = CsvLogger(path)
    continued.start(None, [{"step": step, "valid_loss": 1 / step} for step in (1, 2, 3)])
    assert [row["step"] for row in table(path)] == ["1", "2", "3"]
    continued.log({"step": 4, "valid_loss": 0.25, "lr": 0.1})
    assert [row["step"] for row in table(path)] == ["1", "2", "3", "4"]
    assert list(table(path)[0]) == ["step", "valid_loss", "lr"]


@pytest.fixture
def no_network(monkeypatch):
    """Any connection that leaves this machine fails the test."""
    connect = socket.socket.connect

    def guarded(self, address):
        is_local = self.family == getattr(socket, "AF_UNIX", None) or address[0] in ("127.0.0.1", "::1", "localhost")
        assert is_local, f"connects to {address}"
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


def test_wandb_offline_holds_what_the_record_holds(folder, no_network, monkeypatch):
    """Read back from wandb's own file: rows, settings, hash, final metrics and status, grouping."""
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    run = Run.plan([*GCN, "method=dfa", "seed=2", "logger=wandb", "logger.project=mine"])
    record = execute(run)
    found = read_run(folder / "out" / "work" / "wandb")
    rows = table(run.records / f"{run.id}.csv")
    assert [row["_step"] for row in found["history"]] == [1, 2, 3, 4] and len(rows) == 4
    for row, written in zip(found["history"], rows, strict=True):
        assert {key: f"{row[key]:.6g}" for key in written} == written
    assert found["config"]["config_hash"] == record.config_hash == run.config_hash
    assert found["config"]["task"]["epochs"] == 4 and found["config"]["seed"] == 2
    assert found["group"] == "citation/gcn_cora/dfa" and found["name"] == "citation/gcn_cora/dfa/seed2"
    assert found["project"] == "mine" and set(found["tags"]) == {"smoke", "stand-in"}
    assert found["summary"]["status"] == "ok" and found["exit"] == 0
    assert record.metrics.items() <= found["summary"].items()


def test_wandb_does_not_change_the_run(folder, no_network):
    """A logger is not a setting of the experiment: same hash, same numbers. An interrupted run ends there too."""
    with_wandb = Run.plan([*GCN, "results=one", "logger=wandb"])
    polls = iter(range(10))
    with pytest.raises(Interrupted):
        execute(with_wandb, lambda: next(polls) >= 1)
    assert read_run(folder / "one" / "work" / "wandb")["exit"] == 1
    without = execute(Run.plan([*GCN[:3], "results=two"]))
    assert execute(with_wandb).metrics == without.metrics and with_wandb.config_hash == without.config_hash


def test_wandb_not_installed_is_one_line(command, monkeypatch):
    """wandb is optional in spirit: without it the remedy is named, before anything is trained."""
    monkeypatch.setitem(sys.modules, "wandb", None)
    done = command(run_command.main)(*GCN, "logger=wandb")
    assert done.code == 2 and done.err.count("\n") == 1
    assert "wandb is not installed; pip install wandb, or use logger=none" in done.err


def test_wandb_not_logged_in_is_one_line(command, monkeypatch):
    """`logger.mode=online` without an account must not end in wandb's traceback."""
    import wandb

    def refuse(**settings):
        raise wandb.errors.UsageError("api_key not configured")

    monkeypatch.setattr(wandb, "init", refuse)
    done = command(run_command.main)(*GCN, "logger=wandb", "logger.mode=online")
    assert done.code == 2 and done.err.count("\n") == 1
    assert "api_key not configured (logger.mode=offline needs no account)" in done.err


@pytest.mark.parametrize(
    ("overrides", "tested"),
    [
        (["task=citation/gcn_cora"], True),  # the first evaluation was finite: those weights are tested
        (["task=citation/gcn_cora", "task.eval_every=2"], False),  # accuracy would look fine: argmax of no numbers
        (["task=citation/gae_cora"], False),
    ],
)
def test_a_run_that_diverges_is_recorded_as_such(overrides, tested, command):
    """No metric of a network that is not a number, no NaN that other JSON readers refuse, and no second try."""
    arguments = (*overrides, *GCN[1:], "method=dfa", "task.optim.lr=1e30")
    done = command(run_command.main)(*arguments)
    (path,) = Run.plan(list(arguments)).records.rglob("*.json")
    record = read_record(path)
    assert done.code == 0 and record.status == "diverged" and "not finite" in record.reason
    json.loads(path.read_text(), parse_constant=pytest.fail)
    assert record.alignment == {} and record.budget["epochs"] < 4
    assert ("accuracy" in record.metrics) == tested and (record.metrics == {}) != tested
    assert "recorded before (diverged)" in command(run_command.main)(*arguments).out
