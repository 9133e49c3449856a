"""Sweeps as processes: start, watch, kill, and compare what they leave behind."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.records.record import read_record

#: What two runs of one configuration share; the rest is time, memory and who made the record.
SAME = ("task", "method", "profile", "seed", "config_hash", "variant", "status", "reason", "metrics", "alignment",
        "budget", "parameters", "data")  # fmt: skip


def start(results: Path, *arguments: str) -> subprocess.Popen[str]:
    """A sweep in a process group of its own."""
    command = [sys.executable, "-m", "benchmarks.sweep", f"results={results}", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def kill_group(sweep: subprocess.Popen[str]) -> None:
    """kill -9 to the sweep and all its workers."""
    if sweep.poll() is None:
        os.killpg(sweep.pid, signal.SIGKILL)
    sweep.communicate()


def wait_until(condition: Callable[[], Any], seconds: float = 240.0) -> None:
    """Look every few milliseconds; fails after ``seconds``."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def group_members(group: int) -> list[int]:
    """Processes of a group that still run (a zombie waits only to be collected by its parent)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, _, its_group = entry.joinpath("stat").read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state != "Z":
            found.append(int(entry.name))
    return found


def rows(results: Path) -> int:
    """Lines of all history files: grows with every evaluation."""
    return sum(path.read_text().count("\n") for path in (results / "records").rglob("*.csv"))


def done(results: Path) -> dict[str, str]:
    """Every record that is there, by path, with its text."""
    folder = results / "records"
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*.json"))}


def contents(results: Path) -> dict[str, dict[str, Any]]:
    """Every record with its history, without times."""
    return {name: _content(results / "records" / name) for name in done(results)}


def differences(expected: Path, found: Path) -> Iterator[str]:
    """What is missing in ``found``, added or different; nothing if both hold the same results."""
    left, right = contents(expected), contents(found)
    for name in sorted(left.keys() | right.keys()):
        if name not in right or name not in left:
            yield f"{name}: only in {expected if name in left else found}"
        else:
            for key in left[name]:
                if left[name][key] != right[name][key]:
                    yield f"{name}: {key} is {right[name][key]!r}, not {left[name][key]!r}"


def _content(path: Path) -> dict[str, Any]:
    record = vars(read_record(path))
    history: list[dict[str, str]] = []
    if record["status"] != "skipped":  # nothing was trained
        with path.with_suffix(".csv").open(newline="") as file:
            history = [{k: v for k, v in row.items() if k != "train_seconds"} for row in csv.DictReader(file)]
    return {key: json.loads(json.dumps(record[key])) for key in SAME} | {"history": history}
