"""A scene trained for a given time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.settings.quoting import quoted
from benchmarks.training.execute import build
from benchmarks.training.interrupt import Interrupted
from benchmarks.training.loop import Loop
from benchmarks.training.run import Run

TASK = "nerf_synthetic/lego"
_NEVER = 10**9  # steps


@dataclass(frozen=True)
class Trained:
    """A run that time ended.

    Attributes:
        data: real, or a stand-in.
        steps, seconds: of training.
        psnr: of the test views, in dB.
    """

    method: str
    data: str
    profile: str
    steps: int
    seconds: float
    psnr: float


def trained(method: str, device: str, seconds: float, profile: str, results: str) -> Trained:
    """Train Lego by a method for ``seconds``, then measure its test views; nothing is written to ``results``."""
    overrides = [f"task={TASK}", f"method={method}", f"profile={profile}", f"task.eval_every={_NEVER}"]
    run = Run.plan([*overrides, f"task.steps={_NEVER}", f"hardware.device={device}", f"results={quoted(results)}"])
    task, credit = build(run, torch.device(device))
    started = time.perf_counter()
    settings: Any = run.config.task
    hardware = run.config.hardware
    loop = Loop(task, credit, settings, hardware, stop_requested=lambda: time.perf_counter() - started > seconds)
    try:
        loop.run()
    except Interrupted:
        if device == "cuda":
            torch.cuda.synchronize()
    spent = time.perf_counter() - started
    return Trained(method, run.source.kind, profile, loop.progress.step, spent, loop.test()["psnr"])
