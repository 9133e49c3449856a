"""Expected seconds of runs: what this machine recorded counts most, then shipped measurements, then relative costs."""

from __future__ import annotations

import csv
import dataclasses
import os
from pathlib import Path

import pytest

from benchmarks.records.record import Record, write_record
from benchmarks.settings import capacity
from benchmarks.settings.choices import options
from benchmarks.training.run import Run
from benchmarks.workers import measured
from benchmarks.workers.expected import expected_seconds
from benchmarks.workers.measured import Measurement
from benchmarks.workers.plan import Selection, plan

HERE = {"processor": capacity.processor(), "cores": os.cpu_count(), "device": "cpu", "precision": "fp32", "threads": 1}
START = 0.3  # seconds that no record counts


def planned(method="bp", *overrides, task="citation/gcn_cora") -> Run:
    return Run.plan([f"task={task}", f"method={method}", "profile=smoke", *overrides])


def recorded(run: Run, seconds: float, seed=0, hardware=HERE, **others) -> Record:
    """Write a record of a run that took ``seconds``."""
    task = {"epochs": run.config.task.epochs, "steps": run.config.task.steps}
    record = Record(run.config.task.name, "geometric", "gcn", "cora", run.method, "smoke", seed, {"task": task},
                    run.config_hash, train_seconds=seconds - 2, eval_seconds=1.5, alignment_seconds=0.5,
                    hardware=hardware, data={"source": "stand-in"})  # fmt: skip
    record = dataclasses.replace(record, **others)
    write_record(record, run.records)
    return record


@pytest.fixture
def shipped(monkeypatch):
    """The shipped table, made up: fill it by profile, task and kind of data."""
    table: dict[tuple[str, str, str], dict[str, Measurement]] = {}
    monkeypatch.setattr(measured, "shipped", lambda: table)
    return table


def test_records_of_this_machine_count_most(folder, shipped):
    """Without it a machine that is slower than the shipped one would be misjudged anew in each sweep."""
    run = planned()
    shipped["smoke", "citation/gcn_cora", "stand-in"] = {"bp": Measurement(50.0, 10)}
    for seed, seconds in enumerate((8.0, 9.0, 30.0)):
        recorded(run, seconds, seed)
    assert expected_seconds([run]) == [pytest.approx(9.0 + START)]


@pytest.mark.parametrize(
    "other", [{"processor": "another"}, {"cores": 640}, {"device": "cuda"}, {"threads": 2}, {"precision": "bf16"}]
)
def test_records_of_other_machines_do_not(other, folder, shipped):
    """Without it runs unpacked from the evidence, of a GPU say, would be taken for what happens here."""
    run = planned()
    shipped["smoke", "citation/gcn_cora", "stand-in"] = {"bp": Measurement(50.0, run.config.task.epochs)}
    recorded(run, 8.0, hardware=HERE | other)
    recorded(run, 8.0, seed=1, status="failed")
    assert expected_seconds([run]) == [50.0]


def test_records_of_other_data_do_not(folder, shipped):
    """A Transformer's epoch on WikiText-2 takes seven times that on its stand-in: "13 minutes left" were two hours."""
    run = planned()
    shipped["smoke", "citation/gcn_cora", "real"] = {"bp": Measurement(70.0, run.config.task.epochs)}
    recorded(run, 8.0, data={"source": "real"})
    assert expected_seconds([run]) == [70.0]  # nothing was measured on stand-ins: better than nothing
    shipped["smoke", "citation/gcn_cora", "stand-in"] = {"bp": Measurement(10.0, run.config.task.epochs)}
    assert expected_seconds([run]) == [10.0]


def test_other_settings_count_by_their_budget(folder, shipped):
    """Without it `task.epochs=2` would be planned as if it took as long as the shipped hundred."""
    epochs = planned().config.task.epochs
    recorded(planned(), 12.0 - START)
    (twice,) = expected_seconds([planned("bp", f"task.epochs={2 * epochs}")])
    assert twice == pytest.approx(24.0)
    shipped["smoke", "citation/gat_cora", "stand-in"] = {"dfa": Measurement(40.0, 20)}
    assert expected_seconds([planned("dfa", "task.epochs=5", task="citation/gat_cora")]) == [pytest.approx(10.0)]


def test_shipped_seconds_are_scaled_to_this_machine(folder, shipped):
    """Without it tasks that were never run here would be compared with those that were in another machine's seconds."""
    known, unknown = planned(), planned(task="citation/gat_cora")
    for run in (known, unknown):
        shipped["smoke", run.config.task.name, "stand-in"] = {"bp": Measurement(10.0, run.config.task.epochs)}
    recorded(known, 30.0 - START)
    assert expected_seconds([known, unknown]) == [pytest.approx(30.0), pytest.approx(30.0)]


def test_a_method_that_was_never_measured_is_like_the_others(folder, shipped):
    """Without it a plugin's runs would be planned by a rough guess although the task is known."""
    run = planned("shallow")
    epochs = run.config.task.epochs
    shipped["smoke", "citation/gcn_cora", "stand-in"] = {
        "bp": Measurement(20.0, epochs),
        "dfa": Measurement(10.0, epochs),
    }
    assert expected_seconds([run]) == [15.0]


def test_what_was_never_measured_counts_by_its_cost(folder, shipped):
    """Without it a new task would have no estimate, or one in a unit of its own."""
    cheap, expensive = planned("bp", "task.cost=1"), planned("bp", "task.cost=100", task="citation/gat_cora")
    alone = expected_seconds([cheap, expensive])
    assert alone[1] > 5 * alone[0] > 0
    shipped["smoke", "citation/gcn_cora", "stand-in"] = {"bp": Measurement(7 * alone[0], cheap.config.task.epochs)}
    assert expected_seconds([cheap, expensive]) == [pytest.approx(7 * alone[0]), pytest.approx(7 * alone[1])]


def test_a_method_that_a_task_does_not_have_takes_no_time(folder):
    """Without it twenty such runs would stand for minutes."""
    assert expected_seconds([planned("dfa", task="criteo/fm")]) == [0.1]


def test_a_bad_record_of_another_run_leaves_the_estimate(folder, shipped):
    """Without it a file that somebody cut short would stop a sweep that does not need it."""
    recorded(planned(), 9.0 - START)
    (Path("results/records/smoke/citation/gcn_cora/bp") / "seed7-0123456789ab.json").write_text('{"task": ')
    assert expected_seconds([planned("bp", "task.optim.lr=0.3")]) == [pytest.approx(9.0)]


def test_the_table_holds_medians_of_runs_as_shipped(folder, capsys):
    """Without it a tried setting, or a run on a GPU, would be planned for everybody; or renewal lose other profiles."""
    run, other = planned(), planned("dfa")
    for seed, seconds in enumerate((8.0, 9.0, 30.0)):
        recorded(run, seconds, seed)
    recorded(other, 5.0, variant="task.optim.lr=1")
    recorded(other, 5.0, seed=1, hardware=HERE | {"device": "cuda"})
    assert measured.main(["results", "--out", "table.csv"]) == 0
    with Path("table.csv").open(newline="") as file:
        rows = {(row["profile"], row["task"], row["data"], row["method"]): row for row in csv.DictReader(file)}
    mine = rows.pop(("smoke", "citation/gcn_cora", "stand-in", "bp"))
    assert (mine["seconds"], mine["budget"]) == ("9.3", str(run.config.task.epochs))
    before = {(*place, method) for place, methods in measured.shipped().items() for method in methods}
    assert set(rows) == before - {("smoke", "citation/gcn_cora", "stand-in", "bp")}
    assert capsys.readouterr().out == "written: table.csv\n"


def test_a_folder_without_records_is_refused(folder, capsys):
    """Without it a mistyped folder would pass for a renewal."""
    with pytest.raises(SystemExit) as stopped:
        measured.main(["nowhere", "--out", "table.csv"])
    assert stopped.value.code == 2 and not Path("table.csv").exists()
    assert capsys.readouterr().err.startswith("error: nowhere: there is no such folder")


def test_every_run_of_bench_all_was_measured(folder):
    """Without it `make bench-all` on a fresh clone would be guesswork: renew the table as results/README.md says."""
    shipped = measured.shipped()
    assert {task for _, task, _ in shipped} <= set(options("task"))
    missing = [
        (run.task, run.method)
        for run in plan(Selection("quick", methods=["bp", "dfa"], overrides=["data=standin"]))
        if run.method not in shipped.get(("quick", run.task, "stand-in"), {}) and run.seconds > 0.1
    ]
    assert missing == []
