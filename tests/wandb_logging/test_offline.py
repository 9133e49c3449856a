"""Weights & Biases itself, offline: what lies in its files, without a connection that leaves this machine."""

from __future__ import annotations

import csv
import json
import logging
import os
import signal
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.tasks.citation.classification import NodeClassification
from benchmarks.training.execute import execute
from benchmarks.training.interrupt import Interrupted
from benchmarks.training.run import Run
from tests.helpers.wandb_runs import read_runs

GCN = ("task=citation/gcn_cora", "profile=smoke", "task.epochs=4", "method=dfa", "seed=2")
WITH = ("results=out", "logger=wandb", "logger.project=mine")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Any connection that leaves this machine fails the test."""
    connect = socket.socket.connect

    def guarded(self, address):
        is_local = self.family == getattr(socket, "AF_UNIX", None) or address[0] in ("127.0.0.1", "::1", "localhost")
        assert is_local, f"connects to {address}"
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")


def warnings(caplog):
    """Ours: what wandb logs goes to files of its own, which pytest looks into."""
    ours = [entry for entry in caplog.records if entry.name.startswith("benchmarks")]
    return [entry.getMessage() for entry in ours if entry.levelno >= logging.WARNING]


def test_the_files_hold_what_the_record_holds(folder, monkeypatch, caplog):
    """Interrupted and continued: one id, and the last file complete. The run is none the worse for it."""
    picture = folder / "picture.png"
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(picture)
    kept = {"sheet.png": picture.read_bytes(), "samples.txt": b"a < b", "weights.pt": b"large"}
    monkeypatch.setattr(NodeClassification, "artefacts", lambda task: kept)
    run = Run.plan([*GCN, *WITH])
    polls = iter(range(10))
    with pytest.raises(Interrupted):
        execute(run, lambda: next(polls) >= 2)
    record = execute(run)
    broken_off, found = read_runs(folder / "out" / "work" / "wandb", 2)
    assert broken_off["id"] == found["id"] and (broken_off["exit"], found["exit"]) == (1, 0)
    assert len(broken_off["history"]) == 2
    *history, media = found["history"]
    with (run.records / f"{run.id}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["_step"] for row in history] == [1, 2, 3, 4] and len(rows) == 4
    for row, written in zip(history, rows, strict=True):
        assert {key: f"{row[key]:.6g}" for key in written} == written
    check_grouping(found, record)
    check_media(found["files"], media, record)
    without = execute(Run.plan([*GCN, "results=two"]))
    assert record.metrics == without.metrics and record.config_hash == without.config_hash
    assert not warnings(caplog)


def check_grouping(found, record):
    assert found["group"] == "citation/gcn_cora/dfa" and found["name"] == "citation/gcn_cora/dfa/seed2"
    assert found["project"] == "mine" and set(found["tags"]) == {"smoke", "stand-in"}
    assert found["config"]["config_hash"] == record.config_hash
    assert found["config"]["task"]["epochs"] == 4 and found["config"]["seed"] == 2
    numbers = {"status": "ok", "train_seconds": record.train_seconds, "parameters": record.parameters, "steps": 4}
    assert (record.metrics | numbers).items() <= found["summary"].items()


def check_media(files: Path, media, record):
    """The row after the last holds the media; what it names lies in the files."""
    points = json.loads((files / media["alignment/points.path"]).read_text())
    means = [row[points["columns"].index("mean")] for row in points["data"]]
    assert means == pytest.approx([point["mean"] for point in record.alignment["points"].values()])
    assert np.array(Image.open(files / media["artefacts/sheet_png.path"])).shape == (4, 4, 3)
    assert "a &lt; b" in (files / media["artefacts/samples_txt.path"]).read_text()
    assert not any("weights" in key for key in media)


def test_a_run_survives_the_death_of_wandbs_service_and_the_next_has_a_new_one(folder, caplog):
    """Killed for lack of memory, say: a socket's error, not one of wandb's, in the middle of a run."""
    first = Run.plan([*GCN, *WITH])

    def kill_after_two_polls(polls=iter(range(10))):  # noqa: B008
        if next(polls) == 2:
            (service,) = services()
            os.kill(service, signal.SIGKILL)
        return False

    record = execute(first, kill_after_two_polls)
    assert record.status == "ok" and first.finished_record() == record
    (warning,) = warnings(caplog)
    assert "wandb receives nothing more (ConnectionResetError" in warning or "BrokenPipeError" in warning
    caplog.clear()
    execute(Run.plan([*GCN[:-1], "seed=3", "results=next", "logger=wandb"]))
    (found,) = read_runs(folder / "next" / "work" / "wandb", 1)
    assert found["exit"] == 0 and not warnings(caplog)


def services() -> list[int]:
    """Processes of wandb that this one has started."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = entry.joinpath("stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid() and b"wandb-core" in entry.joinpath("cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found
