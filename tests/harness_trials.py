"""Trials of a search and their records, made up."""

from __future__ import annotations

from benchmarks.plan import PlannedRun
from benchmarks.records import Record, write_record
from benchmarks.tune.ranking import rank
from benchmarks.tune.search import Trial


def record(trial, seed=0, status="ok", method="bp", **metrics):
    return Record("t", "geometric", "gcn", "cora", method, "smoke", seed, {}, f"trial{trial}", status=status,
                  metrics=metrics, primary_metric="accuracy")  # fmt: skip


def trial_of(number, records, method="bp", metric="valid_accuracy"):
    runs = [PlannedRun("t", method, r.seed, (), r.run_id, 1.0, True) for r in records]
    return Trial(method, number, {"lr": number}, metric, tuple(runs))


def ranked(folder, *per_trial, metric="valid_accuracy"):
    for records in per_trial:
        for one in records:
            write_record(one, folder)
    trials = [trial_of(number, records, metric=metric) for number, records in enumerate(per_trial)]
    return rank(trials, folder)["bp"]
