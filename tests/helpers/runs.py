"""Building a registered task the way a run does, for the tests of tasks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from omegaconf import DictConfig
from torch import Tensor

from benchmarks.tasks.task import Task
from benchmarks.training.execute import build as build_run
from benchmarks.training.loop import Loop
from benchmarks.training.run import Run
from dfa_core import Method


@dataclass(frozen=True)
class Built:
    """A run that is ready to train, on the stand-in of its profile."""

    config: DictConfig
    task: Task
    method: Method

    def loop(self) -> Loop:
        return Loop(self.task, self.method, self.config.task, self.config.hardware)

    def test_metric(self) -> float:
        """Train to the end and test the best weights."""
        loop = self.loop()
        loop.run()
        return loop.test()[self.config.task.metric]


def build(task: str, method: str = "dfa", *overrides: str, profile: str = "smoke") -> Built:
    """``build("citation/gcn_cora", "bp", "seed=3")``."""
    run = Run.plan([f"task={task}", f"method={method}", f"profile={profile}", "data=standin", *overrides])
    return Built(run.config, *build_run(run, torch.device("cpu")))


def near(a: Tensor, b: Tensor, relative: float = 1e-4) -> bool:
    """Equal within ``relative`` of the largest entry: sums of many terms differ by rounding, in every entry alike."""
    return a.shape == b.shape and bool((a - b).abs().max() <= relative * b.abs().max())
