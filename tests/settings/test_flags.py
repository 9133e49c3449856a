"""Hydra's own flags and its grammar: each works as Hydra documents it, or ends in one line with exit code 2."""

from __future__ import annotations

import logging
import signal
from pathlib import Path

import pytest

from benchmarks import run, sweep
from benchmarks.settings import flags, plugins
from benchmarks.settings.choices import options
from benchmarks.settings.compose import check_overrides, combinations
from benchmarks.settings.overrides import Overrides, expanded, results_named_in
from benchmarks.settings.quoting import quoted
from benchmarks.terminal.errors import UsageError
from benchmarks.training import execute
from benchmarks.training.interrupt import Interrupted, StopSignal
from benchmarks.workers import request, worker
from benchmarks.workers.heartbeat import Heartbeat
from benchmarks.workers.plan import Selection, plan
from benchmarks.workers.workload import Tally

GCN = ("task=citation/gcn_cora", "profile=smoke", "task.epochs=2", "results=out")
REFUSED = {
    ("--resolve",): "--resolve: goes with --cfg job",
    ("--config-name", "x"): "--config-name: conf/config.yaml is the root of every run",
    ("--config-dir", "x"): "--config-dir: put your files into conf/",
    ("--config-path", "x"): "--config-path: settings lie in conf/",
    ("--experimental-rerun", "x"): "--experimental-rerun: give the same overrides again",
    ("--package", "task"): "--package: goes with --cfg job",
    ("--nonsense",): "unrecognized arguments: --nonsense",
    ("--conf", "job"): "unrecognized arguments: --conf",
    ("--cfg",): "argument --cfg/-c: expected one argument",
    ("--cfg", "everything"): "invalid choice: 'everything'",
    ("--cfg", "job", "-m"): "give one of --run, --multirun, --cfg",
    ("-m", "seed=range(0)"): "a sweep without a value",
    ("-m", "seed=range(0,9,0)"): "more than 10,000 values",
    ("-m", "seed=range(1000000000)"): "more than 10,000 values",
    ("-m", "seed=shuffle(range(1000000000))"): "more than 10,000 values",
    ("-m", "seed=interval(0,1)"): "an interval has no end of values",
    ("-m", "seed=range(200)", "task.optim.lr=range(1,100)"): "19,800 runs: a multirun may have 10,000",
    ("-m", "seed=0,1,-2"): "seed=-2: must lie between",
    ("-m", "task=glob(nothing*)"): "a sweep without a value",
    ("-m", "data=glob(*)"): "'data' is no group of choices",
    ("~task.optim.lr",): "settings cannot be removed",
    ("~task",): "settings cannot be removed",
    ("+new=1",): "unknown setting 'new'",
    ("++x=1",): "unknown setting 'x'",
    ("task@other=citation/gcn_cora",): "leave out @other",
    ("task=null",): "unknown task 'None'",
    ("task=[citation/gcn_cora]",): "unknown task",
    ("hydra.nope=1",): "hydra.nope",
    ("task.optim.lr=" + "[" * 20 + "1" + "]" * 20,): "brackets nested deeper than",
    ("task.optim.lr=" + "1" * 3000,): "characters, and 2000 are the most",
    ("results=${results}",): "Recursive interpolation detected",
}


@pytest.mark.parametrize("arguments", REFUSED, ids=lambda arguments: " ".join(arguments)[:40])
def test_what_makes_no_sense_is_one_line(arguments, command):
    """Hydra ends with a traceback, or runs something else than was meant: a sweep of nothing, another root."""
    done = command(run.main)(*arguments)
    assert done.code == 2 and done.out == "" and done.err.count("\n") == 1 and REFUSED[arguments] in done.err, done
    assert list(Path().iterdir()) == []


@pytest.fixture
def quiet_afterwards():
    """`--info` makes Hydra log all it does, to this test's output, which is closed when the next one logs."""
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    yield
    root.setLevel(before[0])
    root.handlers[:] = before[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--cfg", "job", "--package", "task.optim", *GCN), "lr: 0.01"),
        (("task=citation/gat_cora", "--cfg", "hydra"), "hydra:"),
        (("--info", "defaults"), "task/citation/gcn_cora"),
        (("--hydra-help",), "Hydra"),
        (("task=citation/gat_cora", "--help", "profile=paper"), "attention_dropout: 0.6"),
    ],
)
def test_what_hydra_shows_is_shown(arguments, said, command, quiet_afterwards):
    """Flags may stand before and behind overrides, as Hydra's documentation has them."""
    done = command(run.main)(*arguments)
    assert (done.code, done.err) == (0, "") and said in done.out, done


def test_the_version(command):
    """A bug report wants it."""
    done = command(run.main)("--version")
    assert done.code == 0 and done.out.startswith("Hydra 1.")


def test_overrides_and_flags_are_told_apart():
    """Python's own parser gives up where flags stand between overrides."""
    found = flags.parse(["a=1", "-m", "b=2", "--run"][:3])
    assert (found.overrides, found.for_hydra, found.multirun, found.runs) == (
        ["a=1", "b=2"],
        ["--multirun"],
        True,
        True,
    )
    assert not flags.parse(["--cfg", "job", "--resolve", "a=1"]).runs


def test_a_glob_finds_tasks_in_all_folders():
    """Hydra looks into one folder, finds no task there, and runs nothing with exit code 0."""
    (found,) = expanded(["task=glob(citation/gcn_*)"], options)
    tasks = [task for task in options("task") if task.startswith("citation/gcn_")]
    assert found == f"task={','.join(tasks)}" and len(tasks) >= 3
    methods = [method for method in options("method") if method.startswith("s")]
    assert list(expanded(["seed=1,2", "method=glob(s*)"], options)) == ["seed=1,2", f"method={','.join(methods)}"]
    assert "shallow" in methods and len(methods) >= 3
    assert [overrides[0] for overrides in combinations(["task=glob(citation/gcn_*)"])] == [f"task={t}" for t in tasks]


def test_a_glob_runs(command):
    """The whole way, as the issue has it: -m 'task=glob(...)'."""
    done = command(run.main)("-m", "task=glob(citation/gcn_c*a)", *GCN[1:], "hydra.sweep.dir=elsewhere")
    assert done.code == 0 and len(list(Path("out/records").rglob("*.json"))) == 1, done
    assert Path("elsewhere").is_dir()  # Hydra's folder, where Hydra was told to put it


@pytest.mark.parametrize("text", ["plain", "it's", "a\\", "a\\'b", "\\\\", "a b,c", "${x}", "é[]{}()"])
def test_a_folder_of_any_name_can_be_quoted(text):
    """A sweep hands its results folder on to its workers, whatever it is called."""
    (setting,) = Overrides.of([f"results={quoted(text)}"]).settings
    assert setting.parsed.value() == text
    assert results_named_in(["seed=1", f"results={quoted(text)}"]) == text


SWEEP = {
    "seeds=9999999999": "at most 1,000 seeds",
    "seeds=1001": "at most 1,000 seeds",
    "seeds=99999999999999999999999": "at most 1,000 seeds",
    "seeds=0,-1": "give a count such as 3, or a list",
    "seeds=0,9999999999": "9999999999 is no seed",
    "seeds=１": "give a count such as 3",
    "jobs=100000": "give the number of processes, from 1 to",
    "jobs=²": "give the number of processes",
    "hydra.run.dir=x": "Hydra's own settings are for benchmarks.run",
    "++seed=3": "a sweep takes seeds=...",
    "+results=x": "write results=...",
    "--cfg=job": "write key=value",
    "-m": "write key=value",
}


@pytest.mark.parametrize("argument", SWEEP)
def test_a_sweep_names_what_it_cannot_take(argument, command):
    """9,999,999,999 seeds filled the memory; a plus before a key went past the sweep's own reading of it."""
    done = command(sweep.main)("profile=smoke", "tasks=citation/gcn_cora", argument)
    assert done.code == 2 and done.err.count("\n") == 1 and SWEEP[argument] in done.err, done


def test_a_seed_that_is_named_twice_is_run_once():
    """Twice the same seed would count twice in a mean."""
    runs = plan(Selection("smoke", ["citation/gcn_cora"], ["bp"], [0]))
    assert request.parse(["seeds=3,3,1"]).selection.seeds == [3, 1] and len(runs) == 1


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_the_exit_code_names_the_signal(name, code, command, monkeypatch):
    """Shells and schedulers tell by it whether somebody stopped a run or the machine did."""
    number = getattr(signal, name)

    def signalled(planned, stop_requested, *arguments, **options):
        signal.raise_signal(number)
        assert stop_requested()
        raise Interrupted

    monkeypatch.setattr(execute, "execute", signalled)
    done = command(run.main)(*GCN)
    assert (done.code, done.err) == (code, "interrupted; the same command continues where it stopped\n")
    stop = StopSignal()
    stop(number, None)
    monkeypatch.setattr(sweep, "sweep", lambda *arguments: Tally(stopped_by=stop))
    done = command(sweep.main)("profile=smoke", "tasks=citation/gcn_cora", "methods=bp", "results=out")
    assert done.code == code and "the same command continues" in done.out


EXITS = """
import sys
from dfa_core import DFA, register
{now}
@register("leaves")
class Leaves(DFA):
    def __init__(self, model, *, feedback_seed: int = 0):
        super().__init__(model, feedback_seed=feedback_seed)

    def signals(self, forward_pass):
        sys.exit(0)
"""


@pytest.mark.parametrize("main", [run.main, sweep.main])
def test_a_plugin_that_exits_at_import_is_one_line(main, command, own_methods):
    """Its exit code would be ours: 0, and a script takes what never ran for done."""
    Path("leaves.py").write_text(EXITS.format(now="sys.exit(0)"))
    done = command(main)("plugins=[leaves.py]", "profile=smoke", "results=out")
    assert done.code == 2 and done.err.count("\n") == 1
    assert "plugin leaves.py: line 4: it ends the program (sys.exit)" in done.err


def test_a_method_that_exits_in_training_is_a_failed_run(command, own_methods):
    """As above, in the middle of a run: in a sweep it is recorded as failed, alone it is one line."""
    Path("leaves.py").write_text(EXITS.format(now=""))
    done = command(run.main)(*GCN, "plugins=[leaves.py]", "method=leaves")
    assert done.code == 2 and "leaves ended the program (sys.exit(0))" in done.err and "Traceback" not in done.err
    outcome = worker.perform([*GCN, "method=leaves"], lambda: False, Heartbeat())
    assert outcome.status == "failed" and outcome.record.reason == "SystemExit: 0"


def test_a_worker_that_cannot_plan_its_run_says_so(folder, monkeypatch, capfd):
    """The file of a task was edited during a sweep: the worker died with a traceback into the display."""
    outcome = worker.perform(["task=citation/gone", "results=out"], lambda: False, Heartbeat())
    assert outcome.status == "failed" and outcome.trouble.startswith("UsageError: unknown task 'citation/gone'")
    (trace,) = Path("out/work/failures").glob("worker-*.txt")
    assert "UsageError" in trace.read_text() and capfd.readouterr().err == ""


def test_a_worker_whose_plugin_broke_tells_every_run(folder, own_methods):
    """The same for a plugin that does not import any more: the reason belongs to each run it concerns."""
    trouble = worker._prepare(["gone.py"])
    assert isinstance(trouble, ValueError) and plugins._loaded == set()
    outcome = worker._failed(["results=out"], trouble)
    assert outcome.trouble == "ValueError: plugin gone.py: no such file"
    assert worker._prepare([]) is None


def test_unknown_overrides_are_named_in_a_sweep_of_none(folder):
    """`check_overrides` is the one gate of both commands."""
    with pytest.raises(UsageError, match="brackets"):
        check_overrides(["task.x=" + "(" * 30])
