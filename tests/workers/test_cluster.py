"""Runs that are handed to a cluster: Hydra's submitit launcher, here with its local executor."""

from __future__ import annotations

import json
import subprocess
import sys

from tests import REPOSITORY


def test_submitit_runs_a_multirun(tmp_path):
    """One job per run, each of which writes its record."""
    arguments = ["task=mnist/mlp", "method=bp,shallow", "profile=smoke", "data=standin", f"results={tmp_path}"]
    command = [sys.executable, "-m", "benchmarks.run", "-m", "hydra/launcher=submitit_local", *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    records = [json.loads(path.read_text()) for path in (tmp_path / "records").rglob("*.json")]
    assert {(record["method"], record["status"]) for record in records} == {("bp", "ok"), ("shallow", "ok")}
    assert len(list(tmp_path.rglob("*_log.out"))) == 2, "the runs were no jobs of submitit's"
