"""Time a training step of bp, dfa and the re-entrant form of dfa on the same work, and print the ratios.

    python -m benchmarks.speed [--case TEXT] [--repeats N] [--threads N] [--default-allocator] [--json PATH]

Absolute times depend on the machine and are kept out of the table; the JSON file has them.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path
from typing import Any, NoReturn

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.speed.cases import CASES, SpeedCase
from benchmarks.speed.measure import FORMS, Timing, keep_freed_memory, measure_case, measure_memory


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:  # one line, without the usage
        self.exit(2, f"{self.prog}: {message}\n")


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = _Parser(prog="python -m benchmarks.speed", description="Ratios of training-step times.")
    parser.add_argument("--case", metavar="TEXT", help="only cases whose name contains TEXT")
    parser.add_argument("--repeats", type=_positive, metavar="N", help="timed rounds per case")
    parser.add_argument("--threads", type=_positive, metavar="N", help="threads of PyTorch")
    parser.add_argument("--default-allocator", action="store_true", help="let malloc return memory to the kernel")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write every timing there")
    arguments = parser.parse_args(argv)
    wanted = (arguments.case or "").lower()
    arguments.cases = [case for case in CASES if wanted in case.name.lower()]
    if not arguments.cases:
        parser.error(f"no case contains '{arguments.case}': choose from {'; '.join(c.name for c in CASES)}")
    if arguments.json and not arguments.json.parent.is_dir():
        parser.error(f"argument --json: there is no folder {arguments.json.parent}")
    return arguments


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive whole number")
    return int(text)


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    # Before memory is kept: resident size shows a step's own need only while freed memory is given back.
    peaks = [measure_memory(case) for case in arguments.cases]
    kept = False if arguments.default_allocator else keep_freed_memory()
    table = _table(kept)
    results = []
    for case, peak in zip(arguments.cases, peaks, strict=True):
        timings = measure_case(case, peak, arguments.repeats)
        results.append(_result(case, timings))
        table.add_row(*_cells(results[-1]))
    Console().print(table)
    if arguments.json:
        report = {"machine": _machine(), "freed_memory_kept": kept, "cases": results}
        arguments.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    return 0


def _result(case: SpeedCase, timings: dict[str, Timing]) -> dict[str, Any]:
    bp, dfa, reentrant = (timings[name] for name in FORMS)
    return {
        "case": case.name,
        "target": case.target,
        "dfa/bp": dfa.ratio_to(bp),
        "dfa/re-entrant": dfa.ratio_to(reentrant),
        "seconds": {name: timing.wall for name, timing in timings.items()},
        "cpu_seconds": {name: timing.cpu for name, timing in timings.items()},
        "peak_mb": {name: timing.peak_mb for name, timing in timings.items()},
    }


def _table(kept: bool) -> Table:
    allocator = "freed memory kept" if kept else "default allocator"
    table = Table(
        title=f"A training step, median of paired ratios: wall (processor) time · "
        f"{torch.get_num_threads()} threads · {allocator}"
    )
    table.add_column("work")
    for heading in ("dfa / bp", "target", "dfa / re-entrant", "peak MB: " + ", ".join(FORMS)):
        table.add_column(heading, justify="right")
    return table


def _cells(result: dict[str, Any]) -> list[str]:
    peaks = ["–" if mb is None else f"{mb:.0f}" for mb in result["peak_mb"].values()]
    target = "–" if result["target"] is None else f"≤ {result['target']:.2f}"
    ratios = ["{:.2f} ({:.2f})".format(*result[key]) for key in ("dfa/bp", "dfa/re-entrant")]
    return [result["case"], ratios[0], target, ratios[1], ", ".join(peaks)]


def _machine() -> dict[str, Any]:
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
    }


if __name__ == "__main__":
    sys.exit(main())
