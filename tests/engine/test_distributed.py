"""Several processes, each with a part of the rows, train as one process with all of them; or one line says why not."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import torch
from torch.nn.parallel import DataParallel

from dfa_core import FeedbackError, make_method
from tests.engine import distributed_cases as cases
from tests.engine.distributed_cases import DDP, FSDP, REFUSED
from tests.engine.distributed_runs import Case, Outcome
from tests.helpers.engine_nets import build
from tests.started_processes import outcomes_of

WORLDS = (2, 4)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory, worker_id):
    """By number of processes and rank: what each case gave."""
    return outcomes_of(cases.process, WORLDS, tmp_path_factory, worker_id)


def each(of: dict[str, Case]) -> list[tuple[str, int]]:
    return [(name, world) for name, case in of.items() for world in case.worlds]


def check_equals_one_process(case: Case, by_rank: list[Outcome]) -> None:
    """Ranks agree bit for bit, and with one process within rounding."""
    expected, first = case.one_process(), by_rank[0]
    assert isinstance(first, dict) and first, first
    assert set(first) <= set(expected)
    for name, gradient in first.items():
        others = [other[name] for other in by_rank[1:]]
        if expected[name] is None:
            assert gradient is None and not any(other is not None for other in others), name
            continue
        assert gradient is not None, f"{name} has no gradient"
        assert all(torch.equal(gradient, other) for other in others), f"{name} differs between ranks"
        error = (gradient - expected[name]).norm() / expected[name].norm()
        assert error < case.tolerance, f"{name} is off by {error:.1e}"


@pytest.mark.parametrize(("name", "world"), each(DDP))
def test_ddp_equals_one_process(outcomes, name, world):
    """Without it ranks could hold different matrices, or reduce before all of a gradient is there."""
    check_equals_one_process(DDP[name], [rank["ddp", name] for rank in outcomes[world]])


@pytest.mark.parametrize(("name", "world"), each(FSDP))
def test_fully_shard_equals_one_process(outcomes, name, world):
    """Without it a cut would keep gradients from a sharded module's output, and it would gather and reduce nothing."""
    check_equals_one_process(FSDP[name], [rank["fsdp", name] for rank in outcomes[world]])


def test_exact_cases_warn_of_nothing(outcomes):
    """Without it sharded parameters, which get their gradient when they are synchronised, would count as untrained."""
    for rank in (rank for world in WORLDS for rank in outcomes[world]):
        assert [key for key, messages in rank.items() if key[0] == "warned" and key[1] != "refused" and messages] == []


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_inexact_is_refused_on_every_rank(outcomes, name):
    """Without it every rank would train on its own rows alone, wait for gradients that never come, or end in
    PyTorch's "report a bug".
    """
    case, message = REFUSED[name]
    for rank in outcomes[min(case.worlds)]:
        found = rank["refused", name]
        assert isinstance(found, str), "it was not refused"
        assert re.match(message, found), found


@pytest.mark.parametrize("name", ["dfa", "shallow"])
def test_data_parallel_is_refused(name):
    """Without it copies of the model would run in threads, all of them recording into one pass."""
    with pytest.raises(FeedbackError, match=r"DataParallel runs copies .*use DistributedDataParallel"):
        make_method(name, DataParallel(build(5, 7, 3)))
    model = build(5, 7, 3)
    make_method(name, model)
    with pytest.raises(FeedbackError, match=r"DataParallel runs copies .*use DistributedDataParallel"):
        model.points[0]._replicate_for_data_parallel()  # what DataParallel calls where there are several GPUs
    make_method("bp", DataParallel(build(5, 7, 3)))


def test_the_engine_imports_no_wrappers_by_itself():
    """Without it `import dfa_core` would import FSDP, and with it seconds of what most never use."""
    code = "import sys, dfa_core; sys.exit('torch.distributed.fsdp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
