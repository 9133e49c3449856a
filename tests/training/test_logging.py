"""The history file: every row once, every column; and what is recorded of a run that diverges."""

from __future__ import annotations

import csv
import errno
import json
import os

import pytest

from benchmarks import run as run_command
from benchmarks.records.record import read_record
from benchmarks.training.loggers import CsvLogger, Loggers
from benchmarks.training.run import Run

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


def test_a_logger_that_cannot_write_keeps_none_from_its_end():
    """Behind a console whose pipe was closed, Weights & Biases never got the numbers of the record."""
    ended = []

    class Other:
        def finish(self, record):
            ended.append(record)

    class Closed:
        def finish(self, record):
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        Loggers([Other(), Closed(), Other()]).finish(None)
    assert ended == [None, None]


def test_a_history_that_is_rewritten_is_never_half_there(tmp_path, monkeypatch):
    """A kill or a full disk in between would leave a torn file, and the rows before it would be lost."""
    logger = CsvLogger(tmp_path / "run.csv")
    logger.start(None, [{"step": 1}])
    before = (tmp_path / "run.csv").read_bytes()

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: .*run\.csv"):  # it says where
        logger.log({"step": 2, "lr": 0.1})
    assert (tmp_path / "run.csv").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("overrides", "tested"),
    [
        (["task=citation/gcn_cora"], True),  # the first evaluation was finite: those weights are tested
        (["task=citation/gcn_cora", "task.eval_every=2"], False),  # accuracy would look fine: argmax of no numbers
        (["task=citation/gae_cora", "task.eval_every=1"], False),
    ],
)
def test_a_run_that_diverges_is_recorded_as_such(overrides, tested, command):
    """No metric of a network that is not a number, no NaN that other JSON readers refuse, and no second try."""
    arguments = (*overrides, *GCN[1:], "method=dfa", "task.optim.lr=1e30")
    done = command(run_command.main)(*arguments)
    (path,) = Run.plan(list(arguments)).records.rglob("*.json")
    record = read_record(path)
    assert done.code == 0 and record.status == "diverged" and "not finite" in record.reason
    assert f"diverged ({record.reason}): " in done.out
    json.loads(path.read_text(), parse_constant=pytest.fail)
    assert record.alignment == {} and record.budget["epochs"] < 4
    assert ("accuracy" in record.metrics) == tested and (record.metrics == {}) != tested
    assert "recorded before (diverged)" in command(run_command.main)(*arguments).out
