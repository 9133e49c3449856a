"""The table of step times: a row per subject and form of training."""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.settings.schema import HardwareConfig
from benchmarks.speed.forms import FORMS
from benchmarks.speed.products import products
from benchmarks.speed.rounds import (
    Timing,
    check_never_waits,
    in_own_process,
    peak_megabytes,
    time_in_turn,
    warm_up,
)
from benchmarks.speed.shares import PARTS, shares
from benchmarks.speed.subjects import Stepper, Subject
from benchmarks.terminal.errors import UsageError
from benchmarks.terminal.names import one_line
from dfa_core import UnsuitableError

#: Forms whose step has one forward and one backward pass, which can be told apart.
_WITH_SHARES = ("bp", "dfa", "shallow")
_SUBJECT = ["task", "size", "threads", "device", "dtype", "compiled"]
#: Products are counted in the thread that steps.
_WITHOUT_PRODUCTS = ("dfa, in threads",)
#: No alternatives for memory, and each would take a process that starts in seconds.
_NO_PEAK = ("dfa, re-entrant", "dfa, in threads", "shallow")
_COMPILED = ("bp", "dfa")  # of those that run compiled code


class Variant(NamedTuple):
    """A form of training as it is timed: in eager mode, or compiled."""

    form: str
    compiled: bool = False


@dataclass(frozen=True)
class Row:
    """One form on one subject; numbers that were not measured are NaN."""

    task: str
    size: str
    threads: int
    device: str
    dtype: str
    compiled: bool
    method: str
    step_ms: float
    ratio_to_bp: float
    low: float
    high: float
    product_limit: float
    peak_mb: float
    share_forward: float = math.nan
    share_backward: float = math.nan
    share_projection: float = math.nan
    share_optimizer: float = math.nan
    share_data: float = math.nan


def measure(subject: Subject, options: argparse.Namespace) -> list[Row]:
    """All forms of one subject, side by side; forms that the subject does not suit are left out.

    Raises:
        WaitsForDevice: a step makes the host wait for the GPU.
    """
    hardware = HardwareConfig(options.device, options.precision, options.threads)
    variants = [Variant(form) for form in options.forms]
    if options.compiled and subject.compiles:
        variants += [Variant(form, compiled=True) for form in _COMPILED if form in options.forms]
    steppers = _steppers(subject, variants, hardware)
    for variant, stepper in steppers.items():
        warm_up(stepper.step)
        if options.device == "cuda":
            check_never_waits(stepper.step, f"{subject.task}, {variant.form}")
    eager = {variant.form: stepper for variant, stepper in steppers.items() if not variant.compiled}
    counted = {form: products(stepper.step) for form, stepper in eager.items() if form not in _WITHOUT_PRODUCTS}
    steps = {variant: stepper.step for variant, stepper in steppers.items()}
    timings = time_in_turn(steps, options.repeats, options.device, options.seconds)
    split = {Variant(form): shares(stepper) for form, stepper in eager.items() if form in _WITH_SHARES}
    asked = [form for form in eager if form not in _NO_PEAK] if subject.has_peaks and not options.no_memory else []
    del steppers, eager, steps
    peaks = {Variant(form): _peak_apart(subject, form, hardware) for form in asked}
    return [
        _row(subject, variant, hardware, timings, counted, peaks.get(variant, math.nan), split.get(variant, {}))
        for variant in timings
    ]


def show(rows: Sequence[Row], console: Console) -> None:
    """The table, and the geometric means over the subjects of a size."""
    table = Table(title=f"A training step · {rows[0].threads} threads, {rows[0].device}, {rows[0].dtype}")
    for heading in ("task", "size", "form", "ms", "÷ bp", "interval", "limit", "MB", *PARTS):
        table.add_column(heading, justify="left" if heading in ("task", "size", "form") else "right")
    for row in rows:
        parts = [getattr(row, f"share_{part}") for part in PARTS]
        table.add_row(
            row.task, row.size, _label(row), f"{row.step_ms:.1f}", f"{row.ratio_to_bp:.2f}",
            _interval(row), _number(row.product_limit, "{:.2f}"), _number(row.peak_mb, "{:.0f}"),
            *(_number(part, "{:.0%}") for part in parts),
        )  # fmt: skip
    console.print(table)
    for size in dict.fromkeys(row.size for row in rows):
        for label in dict.fromkeys(_label(row) for row in rows if _label(row) != "bp"):
            ratios = [row.ratio_to_bp for row in rows if (row.size, _label(row)) == (size, label)]
            if len(ratios) > 1:
                mean = statistics.geometric_mean(ratios)
                console.print(f"{size}: {label} ÷ bp, geometric mean of {len(ratios)}: {mean:.3f}", highlight=False)


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """The table as a file: four digits of each number, empty where nothing was measured.

    Subjects that the file has and ``rows`` do not, stay in it: after a change of one domain, it alone is timed anew.

    Raises:
        UsageError: the file is there and is no such table.
    """
    columns = [column.name for column in fields(Row)]
    found = pd.DataFrame([asdict(row) for row in rows])
    if path.exists():
        found = _merged(_read(path, columns), found)
    found.sort_values(_SUBJECT, kind="stable").to_csv(path, index=False, float_format="%.4g")


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    try:
        known = pd.read_csv(path)
    except (ValueError, OSError) as error:
        raise UsageError(f"{path}: cannot be read as a table: {one_line(str(error))}") from error
    if list(known.columns) != columns:
        raise UsageError(f"{path}: is another table; give --out a new file")
    return known


def _merged(known: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """``found``, and the rows of ``known`` whose subject it does not have, in the order of the subjects."""
    timed = pd.MultiIndex.from_frame(found[_SUBJECT])
    others = known[~pd.MultiIndex.from_frame(known[_SUBJECT]).isin(timed)]
    return pd.concat([found, others])


def _steppers(subject: Subject, variants: Sequence[Variant], hardware: HardwareConfig) -> dict[Variant, Stepper]:
    found: dict[Variant, Stepper] = {}
    for variant in variants:
        try:
            found[variant] = subject.stepper(FORMS[variant.form], replace(hardware, compile=variant.compiled))
        except UnsuitableError:
            continue
    return found


def _row(
    subject: Subject,
    variant: Variant,
    hardware: HardwareConfig,
    timings: dict[Variant, Timing],
    counted: dict[str, int],
    peak: float,
    parts: dict[str, float],
) -> Row:
    own, bp = timings[variant], timings[Variant("bp")]
    low, high = own.interval_to(bp) if own is not bp else (1.0, 1.0)
    return Row(
        subject.task, subject.size, hardware.threads, hardware.device, hardware.precision,
        variant.compiled, variant.form,
        1000 * statistics.median(own.wall), own.ratio_to(bp)[0], low, high,
        counted.get(variant.form, math.nan) / counted["bp"] if counted["bp"] else math.nan, peak,
        **{f"share_{part}": share for part, share in parts.items()},
    )  # fmt: skip


def _peak_apart(subject: Subject, form: str, hardware: HardwareConfig) -> float:
    """A GPU's allocator counts exactly in any process; on a CPU a form has one of its own."""
    arguments = (subject, form, hardware)
    return peak(*arguments) if hardware.device == "cuda" else in_own_process(peak, *arguments)


def peak(subject: Subject, form: str, hardware: HardwareConfig) -> float:
    """Megabytes that two steps take at most beyond the model: gradients, optimizer state, activations."""
    torch.set_num_threads(hardware.threads)
    return peak_megabytes(subject.stepper(FORMS[form], hardware).step, hardware.device)


def _label(row: Row) -> str:
    return f"{row.method}, compiled" if row.compiled else row.method


def _interval(row: Row) -> str:
    return "–" if math.isnan(row.low) else f"{row.low:.2f}–{row.high:.2f}"


def _number(value: float, form: str) -> str:
    return "–" if math.isnan(value) else form.format(value)
