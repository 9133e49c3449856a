"""`python -m benchmarks.run`: helpful, and for whatever the user gets wrong one line and exit code 2."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import run
from benchmarks.records.record import iterate_records
from benchmarks.training import execute
from benchmarks.training.run import Run

SMOKE = ("task=citation/gcn_cora", "profile=smoke", "task.epochs=3", "results=out")


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, timeout=120, check=False)


def test_help_lists_what_there_is_to_choose(folder):
    """`--help` is where a newcomer starts; a broken template shows only here, for it is filled at that moment."""
    done = python("benchmarks.run", "--help", "task=citation/gat_cora")
    assert done.returncode == 0 and done.stderr == ""
    assert "citation/spline_pubmed" in done.stdout and "method    bp, bp_recompute, dfa" in done.stdout
    assert "attention_dropout: 0.6" in done.stdout and "benchmarks.sweep" in done.stdout


def test_cfg_shows_what_would_run(folder):
    """`--cfg job` has to take the same command line as the run that it explains."""
    done = python("benchmarks.run", *SMOKE, "method=bp", "--cfg", "job", "--resolve")
    assert done.returncode == 0 and done.stderr == ""
    assert "epochs: 3" in done.stdout and "dropout: 0.5" in done.stdout and "name: bp" in done.stdout
    assert list(folder.iterdir()) == []  # nothing ran, nothing was written


WRONG = {
    "task=citation/gcn_cor": "did you mean citation/gcn_cora",
    "method=dfb": "did you mean dfa",
    "method.feedbac=gaussian": "did you mean method.feedback",
    "task.epochs=many": "task.epochs: Value 'many'",
    "method.feedback=typo": "choose one of shared_uniform, shared_gaussian, uniform, gaussian, orthogonal",
    "method.scaling=typo": "choose one of widest, width, error, width_error, none",
    "hardware.device=cuda": "runs on the CPU only; use hardware=cpu",
    "hardware.precision=typo": "choose fp32 or bf16",
    "hardware.threads=0": "hardware.threads=0: must be 1 or more",
    "data=real": "python -m benchmarks.data fetch cora",
    "task.steps=3": "exactly one of task.epochs and task.steps",
    "task.epochs=null": "exactly one of task.epochs and task.steps",
    "task.epochs=0": "must be 1 or more",
    "task.epochs=-1": "must be 1 or more",
    "task.optim.lr=-1": "must be greater than 0",
    "task.eval_every=0": "must be 1 or more",
    "task.split=typo": "choose public or folds",
    "plugins=[nowhere.py]": "plugin nowhere.py: no such file",
    "plugins=[no_such_module]": "No module named 'no_such_module'; give a file ending in .py or a module name",
    "seed": "write key=value",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_users_error_is_one_line_and_exit_code_2(wrong, command, folder, monkeypatch):
    """A traceback hides what to do about it, and an exit code of 1 or 0 would tell a script something else."""
    if wrong == "data=real":
        monkeypatch.setenv("DFA_DATA_DIR", str(folder / "empty"))
    arguments = [a for a in SMOKE if a.partition("=")[0] != wrong.partition("=")[0]]
    done = command(run.main)(*arguments, "method=dfa" if not wrong.startswith("method=") else "seed=0", wrong)
    assert done.code == 2, done
    assert done.err.startswith("error: ") and done.err.count("\n") == 1, done.err
    assert WRONG[wrong] in done.err and "Traceback" not in done.out + done.err
    assert list(iterate_records(Path("out"))) == []


@pytest.mark.parametrize("kind", ["a file", "a dangling link", "in a file"])
def test_a_results_folder_that_is_none_is_named(kind, command):
    """'[Errno 20] Not a directory' and the name of a lock say nothing of results=."""
    Path("file").write_text("mine")
    Path("link").symlink_to("nowhere")
    place = {"a file": "file", "a dangling link": "link", "in a file": "file/x"}[kind]
    done = command(run.main)(*SMOKE[:-1], "method=dfa", f"results={place}")
    assert done.code == 2 and done.err.count("\n") == 1
    assert done.err.startswith(f"error: results={place}: no folder that runs can be written to (")
    assert Path("file").read_text() == "mine" and not Path("nowhere").exists()


def test_a_multirun_records_every_combination(command):
    """Hydra's -m is documented; a wrong hand-over would run the same configuration several times."""
    done = command(run.main)("-m", *SMOKE, "seed=0,1", "method=bp,dfa")
    assert done.code == 0, done.err
    found = {(record.method, record.seed, record.status) for record in iterate_records(Path("out/records"))}
    assert found == {(method, seed, "ok") for method in ("bp", "dfa") for seed in (0, 1)}
    assert not Path("multirun.yaml").exists()  # nothing beside the results folder


def test_a_multirun_with_a_wrong_value_starts_nothing(command):
    """The second of two values is checked before the first is run."""
    done = command(run.main)("-m", *SMOKE[:2], "results=out", "task.epochs=3,0")
    assert done.code == 2 and "task.epochs=0" in done.err
    assert not Path("out").exists()


def test_the_same_run_again_is_recorded_before(command):
    """Repeating a command must neither cost a second training nor touch the record."""
    first = command(run.main)(*SMOKE, "method=dfa")
    (path,) = Path("out/records").rglob("*.json")
    before = path.read_bytes()
    again = command(run.main)("method=dfa", *reversed(SMOKE))
    assert first.code == again.code == 0
    assert "recorded before (ok)" in again.out and "recorded before" not in first.out
    assert path.read_bytes() == before and len(list(Path("out/records").rglob("*.json"))) == 1


def test_a_run_that_the_task_does_not_have_says_so(command):
    """It ended as if it had been trained, with the name of its record alone."""
    arguments = ["task=criteo/fm", "method=local", "profile=smoke", "results=out"]
    first, again = command(run.main)(*arguments), command(run.main)(*arguments)
    assert first.code == again.code == 0 and "skipped: " in first.out
    (reason,) = [line.split("skipped: ")[1] for line in first.out.splitlines() if "skipped: " in line]
    assert reason and f"recorded before (skipped)  {reason}" in again.out


def test_warnings_are_shown(command, caplog):
    """Hydra can silence every logger that is not its own: a parameter that nobody trains would go unmentioned."""
    arguments = [*SMOKE, "method=dfa"]
    planned = Run.plan(arguments)
    checkpoint = Path("out/work/checkpoints") / f"{planned.id}.pt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"not a checkpoint")
    assert command(run.main)(*arguments).code == 0
    assert "cannot continue from this checkpoint" in caplog.text
    assert not logging.getLogger("dfa_core.methods").disabled
    assert logging.getLogger("dfa_core.methods").isEnabledFor(logging.WARNING)


def test_ctrl_c_before_training_is_no_traceback(command, monkeypatch):
    """Whoever notices a typo in the first second sees one word and the exit code of an interrupt."""

    def pressed():
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "_hydra_main", pressed)
    done = command(run.main)(*SMOKE)
    assert (done.code, done.out, done.err) == (130, "", "interrupted\n")


def test_ctrl_c_during_the_last_evaluation_ends_a_multirun(command, monkeypatch):
    """That run is complete and recorded; the next one of the multirun must not start."""

    original = execute.execute

    def signalled(*arguments, **options):
        made = original(*arguments, **options)
        os.kill(os.getpid(), signal.SIGINT)
        return made

    monkeypatch.setattr(execute, "execute", signalled)
    done = command(run.main)("-m", *SMOKE, "seed=0,1")
    assert done.code == 130
    assert [record.seed for record in iterate_records(Path("out/records"))] == [0]
