"""Time whole training steps of NeRF under bp, dfa and shallow, and tell how much of them the two fields take.

    python -m benchmarks.speed.nerf_step [--rays N] [--coarse N] [--fine N] [--repeats N] [--threads N]
        [--precision fp32|bf16] [--device cpu|cuda] [--compile] [--json PATH]

A step is what `benchmarks.training.loop` does between two batches, for the published settings; the views are generated.
The fields' share is measured by running their forward and backward alone, on the inputs and the output gradients of a
real step. On a GPU the step must not wait for it: one that does ends the measurement with exit status 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

import torch
from rich.table import Table

from benchmarks.speed.measure import Timing
from benchmarks.speed.nerf_stepper import METHODS, SIZES, NeRFStepper
from benchmarks.speed.options import add_machine_options, parse, where, write_timings
from benchmarks.speed.rounds import WARM_UP, WaitsForDevice, check_never_waits, in_own_process, time_in_turn
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser, positive
from benchmarks.terminal.console import make_console
from benchmarks.training.machine import PeakMemory, tune_process

Timings = dict[str, dict[str, Timing]]  # by method and part


@guard.command
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print; returns the exit status."""
    options = _arguments(arguments)
    cases: dict[str, dict[str, Any]] = {}
    for size in SIZES:
        # In processes that give freed memory back, unlike this one.
        peaks = {method: in_own_process(_peak_megabytes, size, method, options) for method in METHODS}
        tune_process(options.threads)
        try:
            timings = measure(size, options)
        except WaitsForDevice as error:
            sys.stderr.write(f"nerf_step: {error}\n")
            return 1
        cases[size] = {method: _result(timings, method, peaks[method], options) for method in METHODS}
    make_console().print(_table(cases, options))
    write_timings(options, "cases", cases)
    return 0


def measure(size: str, options: argparse.Namespace) -> Timings:
    """Timings of all parts under all methods, in turn, so that a disturbance meets all of them."""
    steppers = {method: NeRFStepper(size, method, options) for method in METHODS}
    parts = {(method, name): part for method, stepper in steppers.items() for name, part in stepper.parts().items()}
    for _ in range(WARM_UP):
        for part in parts.values():
            part()
    if options.device == "cuda":
        for method, stepper in steppers.items():
            check_never_waits(stepper.step, f"{size}, {method}")
    timings: Timings = {method: {} for method in METHODS}
    for (method, name), timing in time_in_turn(parts, options.repeats, options.device).items():
        timings[method][name] = timing
    return timings


def _peak_megabytes(size: str, method: str, options: argparse.Namespace) -> float:
    """Peak memory of this process, which takes a few steps: on the CPU with PyTorch itself."""
    torch.set_num_threads(options.threads)
    stepper = NeRFStepper(size, method, options)
    memory = PeakMemory(torch.device(options.device))
    for _ in range(WARM_UP):
        stepper.step()
    return memory.megabytes()


def _result(timings: Timings, method: str, peak: float, options: argparse.Namespace) -> dict[str, Any]:
    """Pairs are of wall and of processor time; a GPU's work is in the former alone."""
    own = timings[method]
    fields = own["fields"].ratio_to(own["step"])
    encoding = own["encoding"].ratio_to(own["step"]) if "encoding" in own else None
    seconds = median(own["step"].wall)
    return {
        "milliseconds": 1000 * seconds,
        "cpu_milliseconds": 1000 * median(own["step"].cpu),
        "steps_per_second": 1 / seconds,
        "/bp": own["step"].ratio_to(timings["bp"]["step"]),
        "outside": [1 - share for share in fields],
        "encoding": encoding,
        "peak_mb": peak,
        "seconds": {part: timing.wall for part, timing in own.items()},
        "cpu_seconds": {part: timing.cpu for part, timing in own.items()},
    }


def _table(cases: dict[str, dict[str, Any]], options: argparse.Namespace) -> Table:
    table = Table(
        title=f"NeRF, {options.rays} rays × ({options.coarse} + {options.fine}) samples, {options.precision}"
        f"{', compiled' if options.compile else ''} · {where(options)} · wall (processor) time, medians",
        caption="outside: the step less the fields' forward and backward; encoding: the fields' own, of the step",
    )
    for heading in ("fields", "method", "ms", "steps/s", "/ bp", "outside", "encoding", "peak MB"):
        table.add_column(heading, justify="left" if heading in ("fields", "method") else "right")
    for size, results in cases.items():
        for method, result in results.items():
            table.add_row(size, method, *_cells(result))
    return table


def _cells(result: dict[str, Any]) -> Iterator[str]:
    yield f"{result['milliseconds']:.0f} ({result['cpu_milliseconds']:.0f})"
    yield f"{result['steps_per_second']:.2f}"
    yield "{:.2f} ({:.2f})".format(*result["/bp"])
    yield "{:.1%} ({:.1%})".format(*result["outside"])
    yield "{:.1%} ({:.1%})".format(*result["encoding"]) if result["encoding"] else "–"
    yield f"{result['peak_mb']:.0f}"


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m benchmarks.speed.nerf_step", description=__doc__.split("\n")[0])
    parser.add_argument("--rays", type=positive, default=1024, metavar="N", help="a step (1024)")
    parser.add_argument("--coarse", type=positive, default=64, metavar="N", help="samples of the coarse field (64)")
    parser.add_argument("--fine", type=positive, default=128, metavar="N", help="further samples of the fine one (128)")
    add_machine_options(parser, repeats=5)
    parser.add_argument("--compile", action="store_true", help="compile the fields and the renderer")
    options = parse(parser, arguments)
    if options.coarse < 3:
        parser.error(f"argument --coarse: {options.coarse} is less than 3")
    return options


if __name__ == "__main__":
    sys.exit(main())
