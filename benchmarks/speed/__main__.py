"""Time a training step of bp, dfa and the re-entrant form of dfa on the same work, and print the ratios.

    python -m benchmarks.speed [--case TEXT] [--repeats N] [--threads N] [--json PATH]

Every case is timed twice: with the C library's allocator as it comes, and with freed memory kept, as all runs of this
suite have it. Absolute times depend on the machine and are kept out of the table; the JSON file has them.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from benchmarks.speed.cases import CASES, SpeedCase
from benchmarks.speed.measure import FORMS, Timing, measure_case, measure_memory
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser, positive
from benchmarks.terminal.console import make_console
from benchmarks.training.machine import keep_freed_memory

#: How memory is had, by name: what a table column is headed with.
DEFAULT, KEPT = "default allocator", "freed memory kept"


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m benchmarks.speed", description="Ratios of training-step times.")
    parser.add_argument("--case", metavar="TEXT", help="only cases whose name contains TEXT")
    parser.add_argument("--repeats", type=positive, metavar="N", help="timed rounds per case")
    parser.add_argument("--threads", type=positive, metavar="N", help="threads of PyTorch")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write every timing there")
    arguments = parser.parse_args(argv)
    wanted = (arguments.case or "").lower()
    arguments.cases = [case for case in CASES if wanted in case.name.lower()]
    if not arguments.cases:
        parser.error(f"no case contains '{arguments.case}': choose from {'; '.join(c.name for c in CASES)}")
    if arguments.json and not arguments.json.parent.is_dir():
        parser.error(f"argument --json: there is no folder {arguments.json.parent}")
    return arguments


@guard.command
def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    # Resident size shows a step's own need only while freed memory is given back, so this comes first.
    peaks = [measure_memory(case) for case in arguments.cases]
    rounds = {DEFAULT: _measure(arguments)}
    if keep_freed_memory():
        rounds[KEPT] = _measure(arguments)
    results = [
        _result(case, peak, {name: timings[i] for name, timings in rounds.items()})
        for i, (case, peak) in enumerate(zip(arguments.cases, peaks, strict=True))
    ]
    make_console().print(_table(results, list(rounds)))
    if arguments.json:
        report = {"machine": _machine(), "cases": results}
        arguments.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


def _measure(arguments: argparse.Namespace) -> list[dict[str, Timing]]:
    return [measure_case(case, arguments.repeats) for case in arguments.cases]


def _result(case: SpeedCase, peaks: dict[str, float | None], rounds: dict[str, dict[str, Timing]]) -> dict[str, Any]:
    return {
        "case": case.name,
        "target": case.target,
        "peak_mb": peaks,
        "allocators": {name: _ratios(timings) for name, timings in rounds.items()},
    }


def _ratios(timings: dict[str, Timing]) -> dict[str, Any]:
    bp, dfa, reentrant = (timings[name] for name in FORMS)
    return {
        "dfa/bp": dfa.ratio_to(bp),
        "dfa/re-entrant": dfa.ratio_to(reentrant),
        "seconds": {name: timing.wall for name, timing in timings.items()},
        "cpu_seconds": {name: timing.cpu for name, timing in timings.items()},
    }


def _table(results: list[dict[str, Any]], allocators: list[str]) -> Table:
    threads = torch.get_num_threads()
    table = Table(title=f"A training step, median of paired ratios: wall (processor) time · threads: {threads}")
    table.add_column("work")
    table.add_column("target", justify="right")
    for allocator in allocators:
        for ratio in ("dfa / bp", "dfa / re-entrant"):
            table.add_column(f"{ratio}, {allocator}", justify="right")
    table.add_column("peak MB: " + ", ".join(FORMS), justify="right")
    for result in results:
        table.add_row(*_cells(result))
    return table


def _cells(result: dict[str, Any]) -> list[str]:
    peaks = ["–" if mb is None else f"{mb:.0f}" for mb in result["peak_mb"].values()]
    target = "–" if result["target"] is None else f"≤ {result['target']:.2f}"
    ratios = [
        "{:.2f} ({:.2f})".format(*measured[key])
        for measured in result["allocators"].values()
        for key in ("dfa/bp", "dfa/re-entrant")
    ]
    return [result["case"], target, *ratios, ", ".join(peaks)]


def _machine() -> dict[str, Any]:
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
    }


if __name__ == "__main__":
    sys.exit(main())
