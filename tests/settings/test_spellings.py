"""One run, however it is spelled: mappings, whole numbers, another way to a shipped task; and what is no run at all."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from benchmarks import run as run_command
from benchmarks.settings.compose import compose
from benchmarks.settings.overrides import Overrides
from benchmarks.training.run import Run

FA = ["task=citation/gcn_cora", "method=fa", "profile=smoke"]


def test_a_mapping_counts_as_the_settings_in_it():
    """A search's settings would go before the user's own, and the record would call them shipped."""
    given, dotted = (compose([*FA, text]) for text in ("task.optim={lr: 0.5}", "task.optim.lr=0.5"))
    assert given == dotted and given.task.optim.lr == 0.5 != compose(FA).task.optim.lr
    assert Overrides.of(["task={optim: {lr: 1, eps: 2}, epochs: 3}", "seed=1"]).keys == [
        *("task.optim.lr", "task.optim.eps", "task.epochs", "seed")
    ]


def test_a_whole_number_is_the_fraction_that_it_equals():
    """`method.scale=1` was another configuration than the default 1.0, and counted as the shipped one."""
    plain, whole, fraction = (
        Run.plan(["task=citation/gcn_cora", "method=dfa", "profile=smoke", *more])
        for more in ([], ["method.scale=1"], ["method.scale=1.0"])
    )
    assert plain.id == whole.id == fraction.id and whole.variant == ""
    two = [Run.plan(["task=citation/gcn_cora", "profile=smoke", f"method.scale={text}"]) for text in ("2", "2.0")]
    assert two[0].id == two[1].id and two[0].variant == two[1].variant == "method.scale=2.0"


def test_another_way_to_a_shipped_task_is_that_task():
    """Its record was called a variant, with the paper's numbers as settings, and left the tables."""
    shipped = Run.plan(["task=citation/gcn_citeseer", "method=bp", "profile=smoke"])
    other = Run.plan(["task=citation/gcn_cora", "task.dataset=citeseer", "method=bp", "profile=smoke"])
    assert other.id == shipped.id and other.variant == ""
    changed = Run.plan(["task=citation/gcn_cora", "task.dataset=citeseer", "task.optim.lr=1", "profile=smoke"])
    assert changed.variant == "task.optim.lr=1.0"


@pytest.mark.parametrize("key", ["task.model", "task.optim", "task", "profile", "hardware", "logger"])
def test_a_part_of_the_settings_cannot_be_one_value(key, command):
    done = command(run_command.main)(f"{key}=null", "task.epochs=1" if key != "task" else "seed=1")
    assert done.code == 2 and done.out == "" and done.err.count("\n") == 1


def test_what_is_shown_is_what_would_run(command):
    """`--cfg job` left out what a search has found."""
    shown = command(run_command.main)(*FA, "--cfg", "job", "--resolve")
    assert shown.code == 0 and OmegaConf.create(shown.out) == OmegaConf.create(OmegaConf.to_yaml(compose(FA)))
    part = command(run_command.main)(*FA, "--cfg", "job", "--package", "task.optim")
    assert OmegaConf.create(part.out).lr == compose(FA).task.optim.lr
    wrong = command(run_command.main)(*FA, "--cfg", "job", "--package", "task.optic")
    assert wrong.code == 2 and "--package task.optic: no part of the settings" in wrong.err
