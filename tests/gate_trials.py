"""Try the regression gate on real training: does every sabotage turn it red, and no honest rerun?

    python -m tests.gate_trials sabotage [--tasks citation] [--only flipped_sign,leaked_labels] [--seeds 3]
    python -m tests.gate_trials honest --trials 20 [--pool 15]

`sabotage` trains the smoke tasks' dfa runs with a broken engine or leaked data (`tests/gate/sabotages.py`) and judges
them as `make regression SEEDS=…` would, against the committed baseline. `honest` trains a pool of seeds that the
baseline does not have, all methods, once, and judges as many triples of them as there are trials. Ends with exit code 1
if a sabotage passes or an honest trial fails. What is recorded in the folder is not run again.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import logging
import multiprocessing
import random
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.baseline import shipped
from benchmarks.compare import gate, text
from benchmarks.compare.changes import Change, Comparison
from benchmarks.compare.reproduction import with_mean_losses
from benchmarks.records.baseline_file import load
from benchmarks.records.cells import ResultCell
from benchmarks.records.result_set import ResultSet
from benchmarks.terminal.arguments import parse_seeds
from benchmarks.training.execute import execute
from benchmarks.training.run import Run
from benchmarks.workers.plan import QueuedRun, Selection, plan
from tests.gate.sabotages import SABOTAGES

log = logging.getLogger("gate_trials")
#: What broke this process; held here, since a context that nobody holds is left when it is collected.
_broken = contextlib.ExitStack()


def train(chosen: argparse.Namespace, folder: Path, methods: Sequence[str], seeds: Sequence[int], broken: str) -> None:
    """Do the runs that the folder does not have, broken by the sabotage of that name ("": honest)."""
    tasks = [name for name in chosen.tasks.split(",") if name]
    selection = Selection("smoke", tasks, methods, seeds, [f"results={folder}"])
    runs = [run for run in plan(selection) if not run.recorded]
    log.info("%s: %d runs to do, in %s", broken or "honest", len(runs), folder)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(chosen.jobs, context, initializer=break_process, initargs=(broken,)) as pool:
        for number, run in enumerate(pool.map(perform, runs), start=1):
            if number % 50 == 0 or number == len(runs):
                log.info("%d of %d: %s", number, len(runs), run)


def break_process(name: str) -> None:
    """Enter the sabotage for the rest of a worker's life."""
    logging.basicConfig(level=logging.ERROR)
    if name:
        _broken.enter_context(SABOTAGES[name]())


def perform(planned: QueuedRun) -> str:
    """One run; returns its name."""
    execute(Run.plan(planned.overrides))
    return planned.id


def judge(baseline: Sequence[ResultCell], folder: Path, seeds: Sequence[int]) -> Comparison:
    """The gate's verdict on the runs of these seeds, of the tasks and methods that were run."""
    runs = [run for run in ResultSet.load(folder).runs if run.record.seed in seeds]
    cells = shipped(with_mean_losses(ResultSet.of(folder, runs)), "smoke")
    ran = {(cell.key.task, cell.key.method) for cell in cells}
    known = [cell for cell in baseline if (cell.key.task, cell.key.method) in ran]
    return gate.check(known, cells, seeds=seeds)


def sabotage(chosen: argparse.Namespace, baseline: Sequence[ResultCell], folder: Path) -> bool:
    """Whether every chosen sabotage turns the gate red."""
    seeds, caught = parse_seeds(chosen.seeds), True
    for name in chosen.only.split(",") if chosen.only else SABOTAGES:
        train(chosen, folder / name, ["dfa"], seeds, name)
        found = judge(baseline, folder / name, seeds)
        log.info("%s: %s", name, text.summary(found))
        by_task = {task: list(changes) for task, changes in itertools.groupby(found.changes, lambda c: c.key.task)}
        for task, changes in by_task.items():
            log.info("  %-24s %s", task, reds(change for change in changes if change.verdict in found.failing))
        caught = caught and bool(found.failures)
    return caught


def reds(changes: Iterable[Change]) -> str:
    """Which metrics failed and how, on one line."""
    verdicts: dict[str, list[str]] = {}
    for change in changes:
        verdicts.setdefault(change.verdict, []).append(change.key.metric)
    return "; ".join(f"{verdict}: {', '.join(names)}" for verdict, names in verdicts.items()) or "PASSED"


def honest(chosen: argparse.Namespace, baseline: Sequence[ResultCell], folder: Path) -> bool:
    """Whether the gate stays green in every trial."""
    used = {seed for cell in baseline for seed in cell.values}
    pool = list(range(max(used) + 1, max(used) + 1 + chosen.pool))
    train(chosen, folder / "honest", [], pool, "")
    alarms = 0
    for number, seeds in enumerate(triples(pool, chosen.trials), start=1):
        found = judge(baseline, folder / "honest", seeds)
        alarms += bool(found.failures)
        log.info("trial %d, seeds %s: %s", number, ",".join(map(str, seeds)), text.summary(found))
        for change in found.failures:
            log.info("  %s", "  ".join(text.row_of(change)))
    log.info("%d trials, %d false alarms", chosen.trials, alarms)
    return alarms == 0


def triples(pool: Sequence[int], trials: int, tries: int = 500) -> list[tuple[int, ...]]:
    """So many triples of seeds: the pool is dealt out round by round, so that few pairs meet twice."""
    rng, drawn, met = random.Random(0), [], Counter()
    while len(drawn) < trials:
        deals = [rng.sample(pool, len(pool)) for _ in range(tries)]
        rounds = [[tuple(sorted(deal[at : at + 3])) for at in range(0, len(deal) - 2, 3)] for deal in deals]
        best = min(
            rounds, key=lambda dealt: sum(met[pair] for triple in dealt for pair in itertools.combinations(triple, 2))
        )
        met.update(pair for triple in best for pair in itertools.combinations(triple, 2))
        drawn += best
    return drawn[:trials]


def main() -> int:
    """Parse, train, judge."""
    parser = argparse.ArgumentParser(prog="python -m tests.gate_trials", description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["sabotage", "honest"])
    parser.add_argument("--tasks", default="", help="names, folders or globs (default: all smoke tasks)")
    parser.add_argument("--only", default="", help=f"sabotages: {', '.join(SABOTAGES)} (default: all)")
    parser.add_argument("--seeds", default="3", help="of sabotaged runs, a count or a list (default: 3)")
    parser.add_argument("--trials", type=int, default=20, help="honest reruns to judge (default: 20)")
    parser.add_argument("--pool", type=int, default=15, help="seeds they are drawn from (default: 15)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--baseline", type=Path, default=Path("results/published/baselines/smoke.json"))
    parser.add_argument("--folder", type=Path, default=Path("results/work/gate_trials"), help="where the runs go")
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    if chosen.pool < 3 or chosen.trials < 1 or chosen.jobs < 1:
        parser.error("--pool needs 3 seeds or more, --trials and --jobs 1 or more")
    if unknown := [name for name in chosen.only.split(",") if name and name not in SABOTAGES]:
        parser.error(f"--only {unknown[0]}: choose from {', '.join(SABOTAGES)}")
    baseline = shipped(load(chosen.baseline).cells, "smoke")
    passed = {"sabotage": sabotage, "honest": honest}[chosen.what](chosen, baseline, chosen.folder)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
