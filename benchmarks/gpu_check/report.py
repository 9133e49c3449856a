"""Findings of the checks, as tables and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.gpu_check.gradients import TOLERANCE, Compared
from benchmarks.gpu_check.lego import Trained
from benchmarks.speed.table import Row, show
from benchmarks.training.machine import hardware, versions


@dataclass(frozen=True)
class Steps:
    """Step times.

    Attributes:
        waiting: the steps that make the host wait for the GPU.
        left_out: what the device cannot do, or has no memory for.
    """

    rows: list[Row]
    waiting: list[str]
    left_out: list[str]


def show_gradients(found: Sequence[Compared], console: Console) -> None:
    """A row for each task: the largest error of all methods, and whatever failed."""
    table = Table("task", "methods", "not there", "largest error", "of", title="Gradients beside the CPU's")
    for task in dict.fromkeys(one.task for one in found):
        mine = [one for one in found if one.task == task]
        stepped = [one for one in mine if not one.reason]
        worst = max(stepped, key=lambda one: one.error, default=None)
        cells = ("–", "–") if worst is None else (f"{worst.error:.1e}", f"{worst.method}, {worst.parameter}")
        table.add_row(task, str(len(stepped)), str(len(mine) - len(stepped)), *cells)
    console.print(table)
    for one in found:
        if not one.passed:
            console.print(f"{one.task}, {one.method}: {one.parameter} is off by {one.error:.1e}", highlight=False)


def show_steps(steps: Steps, console: Console) -> None:
    """The table of step times by precision, and what could not be timed."""
    for dtype in dict.fromkeys(row.dtype for row in steps.rows):
        show([row for row in steps.rows if row.dtype == dtype], console)
    for line in (*steps.waiting, *(f"not timed: {text}" for text in steps.left_out)):
        console.print(line, highlight=False, markup=False)


def show_lego(found: Sequence[Trained], console: Console) -> None:
    """A row for each method."""
    table = Table("method", "data", "seconds", "steps", "steps/s", "PSNR", title="Lego, trained for a given time")
    for one in found:
        speed = f"{one.steps / one.seconds:.1f}"
        table.add_row(one.method, one.data, f"{one.seconds:.0f}", str(one.steps), speed, f"{one.psnr:.2f}")
    console.print(table)


def verdict(found: Sequence[Compared], steps: Steps) -> str:
    """The last line: how many checks failed."""
    counted = Counter(one.passed for one in found)
    return (
        f"{counted[False]} of {len(found)} gradients differ by more than {TOLERANCE:g}; "
        f"{len(steps.waiting)} step(s) make the host wait"
    )


def write_json(path: Path, device: str, found: Sequence[Compared], steps: Steps, lego: Sequence[Trained]) -> None:
    """Everything, with the machine that it is of."""
    told = {
        "machine": {**versions(), **hardware(device)},
        "gradients": [asdict(one) for one in found],
        "steps": asdict(steps),
        "lego": [asdict(one) for one in lego],
    }
    path.write_text(json.dumps(_without_nan(told), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _without_nan(value: object) -> object:
    """NaN, which is no JSON, as null."""
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and value != value else value
