"""Planning a sweep: what the user asked for, what is recorded already, and one line for what cannot be understood."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import run as run_command
from benchmarks import sweep as sweep_command
from benchmarks.records.record import read_record, write_record
from benchmarks.settings import capacity
from benchmarks.settings.choices import options
from benchmarks.settings.overrides import Overrides
from benchmarks.terminal.arguments import parse_seeds
from benchmarks.terminal.errors import UsageError
from benchmarks.training.execute import execute, failed_record
from benchmarks.training.run import Run
from benchmarks.workers import request
from benchmarks.workers.heartbeat import Heartbeat
from benchmarks.workers.plan import QueuedRun, Selection, in_order, matching_tasks, plan
from benchmarks.workers.request import parse
from benchmarks.workers.worker import perform
from benchmarks.workers.workload import jobs_for
from datasets.core.errors import DataError

CORA = ["citation/gcn_cora", "citation/gae_cora"]


@pytest.mark.parametrize("status", ["ok", "failed"])
def test_the_record_of_another_run_is_not_this_one_s(status, folder, command):
    """A file that was copied counted as recorded, with another method's number, and no table had it."""
    bp, dfa = (Run.plan([f"task={CORA[0]}", f"method={name}", "profile=smoke"]) for name in ("bp", "dfa"))
    record = dataclasses.replace(failed_record(bp, ValueError("x")), status=status)
    write_record(record, bp.records)
    path = dfa.records / f"{dfa.id}.json"
    path.parent.mkdir(parents=True)
    content = (bp.records / f"{bp.id}.json").read_bytes()
    path.write_bytes(content)
    for main, chosen in (
        (run_command.main, [f"task={CORA[0]}", "method=dfa"]),
        (sweep_command.main, [f"tasks={CORA[0]}", "methods=dfa", "seeds=1", "jobs=1"]),
    ):
        done = command(main)("profile=smoke", *chosen)
        assert done.code == 2 and done.err.count("\n") == 1, done
        assert f"{dfa.id}.json: holds another run, {bp.id}; move it away" in done.err
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("3", [0, 1, 2]), ("1", [0]), ("0,4,7", [0, 4, 7]), ("5,", [5]), ("0,", [0]), ("2,2,1", [2, 1])],
)
def test_seeds_are_a_count_or_a_list(text, seeds):
    """`SEEDS=3` read as the single seed 3 would give a table of one run that says three."""
    assert parse_seeds(text) == seeds


WRONG = {
    "jobs=0": "jobs='0': give the number of processes",
    "jobs=two": "jobs='two'",
    "seeds=0": "seeds='0': give a count such as 3, or a list such as 0,4,7",
    "seeds=-1": "seeds='-1'",
    "seeds=1.5": "seeds='1.5'",
    "seeds=a,b": "seeds='a,b'",
    "tasks=citation/gcn_corra": "no task matches 'citation/gcn_corra': did you mean citation/gcn_cora",
    "tasks=vision": "no task matches 'vision'",
    "methods=dfb": "unknown method 'dfb': did you mean dfa",
    "methods=bp,dfb,all": "unknown method 'dfb': did you mean dfa",
    "profile=smok": "unknown profile 'smok': did you mean smoke",
    "smoke": "'smoke': write key=value",
    "task=citation/gcn_cora": "a sweep takes tasks=...",
    "method=dfa": "a sweep takes methods=...",
    "seed=3": "a sweep takes seeds=...",
    "job=2": "a sweep takes jobs=...",
    "taks=citation": "unknown setting 'taks': did you mean task",
    "task.epochs=0": "task.epochs=0: must be 1 or more",
    "task.profiles=[smoke,fast]": "task.profiles=['smoke', 'fast']: choose from smoke, quick, long, paper",
    "method.feedback=typo": "method=dfa: unknown feedback 'typo'",
    "hardware=gpu": "runs on the CPU only; use hardware=cpu",
    "hardware.device=cuda": "citation/gcn_cora: runs on the CPU only",
    "data=real": "python -m benchmarks.data fetch",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_planned_is_one_line(wrong, command, folder, monkeypatch):
    """Before a worker starts: a sweep that fails in each of 500 runs for one typo costs an evening."""
    monkeypatch.setenv("DFA_DATA_DIR", str(folder / "empty"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sweep_command, "sweep", lambda *arguments: pytest.fail("started"))
    arguments = ["profile=smoke", "tasks=citation/gcn_cora", "methods=dfa", "results=out"]
    kept = [a for a in arguments if a.partition("=")[0] != wrong.partition("=")[0]]
    done = command(sweep_command.main)(*kept, wrong)
    assert done.code == 2 and done.out == "" and not Path("out").exists()
    assert done.err.startswith("error: ") and done.err.count("\n") == 1 and WRONG[wrong] in done.err


def test_empty_values_mean_the_default():
    """The Makefile passes JOBS= TASKS= SEEDS= through, set or not."""
    arguments = parse(["profile=smoke", "jobs=", "tasks=", "methods=", "seeds=", "results=", "task.epochs=3"])
    assert arguments.jobs is None and arguments.results == Path("results")
    assert arguments.selection == Selection("smoke", [], [], None, Overrides.of(["task.epochs=3"]))


def test_the_sweep_says_how_it_is_used(command):
    """Every key of the command line stands in its help."""
    done = command(sweep_command.main)("--help")
    assert done.code == 0 and all(f"{key}=" in done.out for key in request._KEYS)


def test_a_results_folder_may_have_any_name(folder):
    """A space or a quote in a path must not break the runs' own command lines."""
    name = "my results, 'final' (2)"
    selection = parse([f"results={name}", "profile=smoke", "tasks=citation/gcn_cora", "methods=bp"]).selection
    (run,) = plan(selection)
    assert Run.plan(list(run.overrides)).records == Path(name) / "records"


def test_tasks_by_name_folder_and_glob():
    """Patterns choose from all tasks, each task once, in one order."""
    everything = options("task")
    assert matching_tasks([]) == everything == matching_tasks([task.split("/")[0] for task in everything])
    assert matching_tasks(["citation"]) == matching_tasks(["citation/"]) == matching_tasks(["citation/*"])
    assert matching_tasks(["citation/*_cora", "citation/gcn_cora"]) == [
        task for task in options("task") if task.endswith("_cora")
    ]


def test_tasks_without_their_data_are_left_out_unless_they_were_named(folder, monkeypatch, only_tasks):
    """`make bench-long` would end at the first dataset that a user does not have, or do without a named one."""
    monkeypatch.setenv("DFA_DATA_DIR", str(folder))
    only_tasks("citation/gcn_cora", "criteo/fm", "nerf_synthetic/lego", "wikitext2/macro")
    left_out = {}
    runs = plan(Selection("long", methods=["bp"]), lambda task, reason: left_out.update({task: reason}))
    assert not runs and {"citation/gcn_cora", "criteo/fm", "nerf_synthetic/lego"} <= set(left_out)
    assert "data fetch cora" in left_out["citation/gcn_cora"]
    with pytest.raises(DataError, match="fetch cora"):
        plan(Selection("long", ["citation/gcn_cora"], ["bp"]), left_out.update)


def test_a_plan_is_complete(folder):
    """Without it a method or a seed could be missing from the tables, or be run twice."""
    runs = plan(Selection("smoke", [*CORA, "citation/dna_cora"], ["dfa", "bp", "dfa"], [1, 0, 3]))
    assert {(run.task, run.method, run.seed) for run in runs} == set(
        itertools.product([*CORA, "citation/dna_cora"], ["bp", "dfa"], [0, 1, 3])
    )
    assert len(runs) == 18 == len({run.id for run in runs})
    assert {len(plan(Selection(p, ["citation/dna_pubmed"], ["bp"], None, ["data=standin"]))) for p in ("quick",)} == {1}
    assert len(plan(Selection("paper", ["citation/dna_pubmed"], ["bp"], None, ["data=standin"]))) == 3  # max_seeds


def queued(task, seconds, method="bp", seed=0, recorded=False):
    return QueuedRun(task, method, seed, (), f"{task}/{method}/{seed}", seconds, recorded)


def test_long_runs_first_after_the_shortest_task():
    """Without it one worker would end with the longest run while the others idle, or a first row come after an hour."""
    runs = [queued("short", 2.0, m) for m in ("shallow", "bp")]
    runs += [queued("long", 50.0 + seed, seed=seed) for seed in (0, 1)] + [
        queued("middle", 20.0),
        queued("middle", 4.0),
    ]
    assert [(run.task, run.method, run.seconds) for run in in_order(runs)] == [
        ("short", "bp", 2.0), ("short", "shallow", 2.0), ("long", "bp", 51.0), ("long", "bp", 50.0),
        ("middle", "bp", 20.0), ("middle", "bp", 4.0),
    ]  # fmt: skip


def test_a_first_row_does_not_delay_the_end():
    """Without it a quarter of the work would come before the longest run, and the last worker end much later."""
    runs = [queued("shorter", 10.0, seed=seed) for seed in (0, 1)] + [queued("long", 60.0)]
    assert [run.seconds for run in in_order(runs)] == [60.0, 10.0, 10.0]
    recorded = [*runs, queued("done", 1.0, recorded=True)]
    assert [run.seconds for run in in_order(recorded)] == [60.0, 10.0, 10.0, 1.0]
    assert in_order([]) == []


def test_a_sweep_leaves_out_tasks_of_other_profiles_unless_they_are_named(folder, only_tasks):
    """Real data of 10,000 rows belong to profile long: in each smoke sweep they would cost minutes and say nothing."""
    only_tasks("citation/gcn_cora", "criteo/deepfm", "criteo_10k/deepfm", "criteo_10k/fm")
    unasked = {run.task for run in plan(Selection("smoke", methods=["bp"]))}
    assert "criteo/deepfm" in unasked and not any(task.startswith("criteo_10k/") for task in unasked)
    for pattern in ("criteo_10k/deepfm", "criteo_10k", "criteo_10k/*fm"):
        assert "criteo_10k/deepfm" in {run.task for run in plan(Selection("smoke", [pattern], ["bp"]))}
    widened = plan(Selection("smoke", methods=["bp"], overrides=["task.profiles=[smoke]"]))
    assert "criteo_10k/deepfm" in {run.task for run in widened}


def test_what_is_recorded_is_skipped_and_what_failed_is_not(folder):
    """A failed run is tried again; a finished one of the same hash never is; one of another hash does not count."""
    selection = Selection("smoke", ["citation/gcn_cora"], ["bp", "dfa"], [0, 1], ["task.epochs=2"])
    planned = {(run.method, run.seed): run for run in plan(selection)}
    execute(Run.plan(list(planned["bp", 0].overrides)))
    failed_record(Run.plan(list(planned["dfa", 1].overrides)), RuntimeError("boom\nat line 3"))
    again = {(run.method, run.seed): run.recorded for run in plan(selection)}
    assert again == {("bp", 0): True, ("bp", 1): False, ("dfa", 0): False, ("dfa", 1): False}
    assert not any(run.recorded for run in plan(Selection("smoke", ["citation/gcn_cora"], ["bp"], [0])))


def test_a_feedback_seed_makes_each_seed_a_configuration_of_its_own(folder):
    """`feedback_seed=0` is what seed 0 has anyway and another configuration for seed 1: that must not be skipped."""
    overrides = ["task.epochs=2"]
    for run in plan(Selection("smoke", ["citation/gcn_cora"], ["dfa"], [0, 1], overrides)):
        execute(Run.plan(list(run.overrides)))
    fixed = plan(Selection("smoke", ["citation/gcn_cora"], ["dfa"], [0, 1], [*overrides, "feedback_seed=0"]))
    assert [run.recorded for run in fixed] == [True, False]
    assert [run.id for run in fixed] == [Run.plan(list(run.overrides)).id for run in fixed]


def test_a_device_that_is_not_there_stops_the_plan(folder, monkeypatch):
    """Else each of 500 runs would fail in its worker."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="no CUDA device here; use hardware=cpu"):
        plan(Selection("smoke", ["criteo/deepfm"], ["bp"], overrides=["hardware=gpu"]))


def test_a_skip_that_was_lifted_is_run(folder):
    """Else a method that a task has learned would stay 'skipped' in the tables."""
    selection = Selection("smoke", ["citation/gcn_cora"], ["bp"], [0], ["task.epochs=2"])
    skipped = Selection("smoke", ["citation/gcn_cora"], ["bp"], [0], ["task.epochs=2", "+task.skip.bp=why"])
    (run,) = plan(skipped)
    assert execute(Run.plan(list(run.overrides))).status == "skipped"
    assert [run.recorded for run in plan(skipped)] == [True]
    assert [run.recorded for run in plan(selection)] == [False]


def test_a_tried_setting_that_is_shipped_now_is_no_variant_any_more(folder):
    """The hash is the same: what was recorded as a variant would stay out of the tables, and never be run again."""
    selection = Selection("smoke", ["citation/gcn_cora"], ["bp"], [0])
    (planned,) = plan(selection)
    run = Run.plan(list(planned.overrides))
    old = dataclasses.replace(failed_record(run, ValueError()), status="ok", variant="task.optim.lr=0.123")
    path = write_record(old, run.records)
    assert [run.recorded for run in plan(selection)] == [False]
    outcome = perform(planned.overrides, lambda: pytest.fail("trained again"), Heartbeat())
    assert outcome.record == read_record(path) == dataclasses.replace(old, variant="")
    assert [run.recorded for run in plan(selection)] == [True]


@pytest.mark.parametrize(
    ("cores", "overrides", "jobs"),
    [(8, [], 8), (8, ["hardware.threads=3"], 2), (2, ["hardware.threads=4"], 1), (8, ["hardware=gpu"], 1)],
)
def test_as_many_jobs_as_the_hardware_has_room_for(cores, overrides, jobs, monkeypatch):
    """Sixteen processes on one GPU run out of its memory, and four threads each are four times too many."""
    monkeypatch.setattr(capacity, "cores", lambda: cores)
    run = QueuedRun("criteo/deepfm", "bp", 0, ("task=criteo/deepfm", *overrides), "id", 1.0, False)
    assert jobs_for(parse(["profile=smoke"]).jobs, [run]) == jobs
    assert jobs_for(parse(["profile=smoke", "jobs=5"]).jobs, [run]) == 5


def test_an_unreadable_record_stops_the_plan(folder):
    """Half a record (a full disk, an editor) is named, and not silently taken for a finished or a missing run."""
    selection = Selection("smoke", ["citation/gcn_cora"], ["bp"], [0])
    (run,) = plan(selection)
    path = Path("results/records") / f"{run.id}.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"task": ')
    with pytest.raises(ValueError, match="not a readable record") as caught:
        plan(selection)
    assert str(path) in str(caught.value) and not isinstance(caught.value, UsageError)


def test_planning_does_without_pytorch(folder):
    """Whoever asks for what is recorded, mistypes a setting or watches workers need not wait for its import."""
    code = (
        "import sys; from benchmarks import run, sweep; "
        "from benchmarks.workers.plan import QueuedRun, Selection, plan; "
        "runs = plan(Selection('smoke', ['citation/gcn_cora'])); "
        "sys.exit('torch' in sys.modules or len(runs) != 3)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == 0
