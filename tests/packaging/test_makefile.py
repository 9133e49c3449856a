"""The Makefile's variables: each target takes its own, and says so of the others."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests import REPOSITORY

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments):
    # Without the variables of the make that runs the tests.
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "-n", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY, env=own)
    return done.returncode, done.stdout, done.stderr


def test_one_run_takes_its_task_method_profile_and_seed():
    """PROFILE and SEED were dropped, so that another run was made than the one that was asked for."""
    code, commands, _ = make("bench", "TASK=citation/gcn_cora", "METHOD=dfa", "PROFILE=paper", "SEED=3")
    wanted = ["task=citation/gcn_cora", "method=dfa", "profile=paper", "seed=3"]
    assert code == 0 and commands.replace("\\\n", " ").split()[-4:] == wanted


@pytest.mark.parametrize("target", ["bench-all", "bench-methods", "bench-smoke", "bench-paper"])
@pytest.mark.parametrize("variable", ["TASK=citation/gcn_cora", "METHOD=dfa", "SEED=3"])
def test_a_sweep_refuses_the_variables_of_one_run(target, variable):
    """It would train everything for an hour, and not what was asked for."""
    code, _, message = make(target, variable)
    assert code == 2 and "a sweep takes TASKS, METHODS and SEEDS" in message


def test_one_run_refuses_the_variables_of_a_sweep():
    code, _, message = make("bench", "TASKS=citation/*")
    assert code == 2 and "make bench takes TASK, METHOD and SEED" in message


def test_names_with_spaces_stay_one_argument():
    _, commands, _ = make("bench-smoke", "PLUGINS=my methods/one.py", "TASKS=citation/*_cora")
    assert "'plugins=[my methods/one.py]'" in commands and "'tasks=citation/*_cora'" in commands
