"""Time and memory of tables and report over many records.

    python -m tests.many_records                     10,000 records, in a folder that is gone afterwards
    python -m tests.many_records --count 1000

Prints a line for each command: seconds and peak memory of the whole process.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path

from benchmarks.records.record import Record
from tests.helpers.results_samples import record, save

METHODS = {"bp": 80.0, "dfa": 75.0, "shallow": 40.0, "mine": 60.0}
TASKS = tuple(product(("cheb", "gcn", "spline", "gat", "dna"), ("cora", "citeseer", "pubmed", "a", "b")))
PROFILES = ("paper", "long", "quick", "smoke")
_HISTORY = "step,epoch,train_loss,lr,valid_accuracy,train_seconds\n" + "".join(
    f"{step},{step},{2 / step:.4f},0.1,{60 + step / 10:.1f},{step / 10:.1f}\n" for step in range(1, 101)
)


def generated() -> Iterator[Record]:
    """Records without end: seed by seed, for every task and method under every profile."""
    draw = random.Random(0)
    seed = 0
    while True:
        for (architecture, dataset), profile, (method, level) in product(TASKS, PROFILES, METHODS.items()):
            scores = {name: level + draw.gauss(0, 1) for name in ("accuracy", "valid_accuracy", "train_accuracy")}
            place = {"architecture": architecture, "dataset": dataset, "profile": profile, "method": method}
            yield record(seed=seed, metrics=scores, hardware={"processor": "any"}, **place)
        seed += 1


def filled(results: Path, count: int) -> None:
    """Write ``count`` records, those of seed 0 with their histories."""
    made = list(islice(generated(), count))
    save(results, made)
    for one in made:
        if one.seed == 0:
            (results / "records" / f"{one.run_id}.csv").write_text(_HISTORY)


def measured(module: str, results: Path) -> tuple[float, float]:
    """Seconds, and megabytes at most, of ``python -m module``.

    Raises:
        RuntimeError: it failed.
    """
    begin = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", module, "--results", str(results)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{module} ended with status {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - begin, usage.ru_maxrss / 1024


def main() -> None:
    """Generate, run, measure."""
    parser = argparse.ArgumentParser(prog="python -m tests.many_records", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--count", type=int, default=10_000, help="records (default: 10000)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        filled(Path(folder), chosen.count)
        for module in ("benchmarks.tables", "benchmarks.report"):
            seconds, megabytes = measured(module, Path(folder))
            sys.stdout.write(f"{module}: {chosen.count} records, {seconds:.1f} s, {megabytes:.0f} MB at most\n")


if __name__ == "__main__":
    main()
