"""Time whole training steps of the Transformer under bp, dfa (macro and micro) and shallow.

    python -m benchmarks.speed.language_step [--streams N] [--context N] [--width N] [--layers N] [--vocabulary N]
        [--repeats N] [--threads N] [--precision fp32|bf16] [--device cpu|cuda] [--json PATH]

A step is what `benchmarks.training.loop` does between two batches, for the published settings (dropout included, also
of the attention weights); the tokens are random. Published are 64 streams and 32,000 entries: a step of more than ten
seconds on two cores, so the default is less of both. What a step computes beside its products of matrices does not
depend on the method; with fewer streams the update weighs more, and the ratios lie nearer to 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

import torch
from rich.table import Table

from benchmarks.speed.language_stepper import FORMS, HEAD_WIDTH, LanguageStepper
from benchmarks.speed.measure import Timing
from benchmarks.speed.options import add_machine_options, parse, where, write_timings
from benchmarks.speed.rounds import WARM_UP, WaitsForDevice, check_never_waits, in_own_process, time_in_turn
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser, positive
from benchmarks.terminal.console import make_console
from benchmarks.training.machine import PeakMemory, tune_process

Timings = Mapping[tuple[str, str], Timing]  # by form and part


@guard.command
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print; returns the exit status."""
    options = _arguments(arguments)
    # In processes that give freed memory back, unlike this one.
    peaks = {form: in_own_process(_peak_megabytes, form, options) for form in FORMS}
    tune_process(options.threads)
    try:
        timings = measure(options)
    except WaitsForDevice as error:
        sys.stderr.write(f"language_step: {error}\n")
        return 1
    results = {form: result(timings, form, options) | {"peak_mb": peaks[form]} for form in FORMS}
    make_console().print(_table(results, options))
    write_timings(options, "forms", results)
    return 0


def measure(options: argparse.Namespace) -> Timings:
    """Timings of all parts of all forms' steps, side by side."""
    steppers = {form: LanguageStepper(form, options) for form in FORMS}
    for stepper in steppers.values():
        for _ in range(WARM_UP):
            stepper.step()
    if options.device == "cuda":
        for form, stepper in steppers.items():
            check_never_waits(stepper.step, form)
    parts = {(form, name): part for form, stepper in steppers.items() for name, part in stepper.parts().items()}
    return time_in_turn(parts, options.repeats, options.device)


def result(timings: Timings, form: str, options: argparse.Namespace) -> dict[str, Any]:
    """The report on a form. Pairs are of wall and of processor time; a GPU's work is in the former alone."""
    own = {part: timing for (name, part), timing in timings.items() if name == form}
    step = own["step"]
    return {
        "milliseconds": (1000 * median(step.wall), 1000 * median(step.cpu)),
        "tokens_per_second": options.streams * options.context / median(step.wall),
        "/bp": step.ratio_to(timings["bp", "step"]),
        "forward": own["forward"].ratio_to(step),
        "update": own["update"].ratio_to(step),
        "seconds": {part: timing.wall for part, timing in own.items()},
        "cpu_seconds": {part: timing.cpu for part, timing in own.items()},
    }


def _peak_megabytes(form: str, options: argparse.Namespace) -> float:
    """Peak memory of this process, which takes a few steps: on the CPU with PyTorch itself."""
    torch.set_num_threads(options.threads)
    stepper = LanguageStepper(form, options)
    memory = PeakMemory(torch.device(options.device))
    for _ in range(WARM_UP):
        stepper.step()
    return memory.megabytes()


def _table(results: dict[str, dict[str, Any]], options: argparse.Namespace) -> Table:
    table = Table(
        title=f"Transformer {options.layers}×{options.width}, {options.vocabulary:,} entries, "
        f"{options.streams}×{options.context} tokens, {options.precision} · {where(options)}",
        caption="medians of wall (processor) time; of the step: forward, the vocabulary's gradients included; "
        "update, clipping and Adam",
    )
    for heading in ("form", "ms", "tokens/s", "/ bp", "forward", "update", "peak MB"):
        table.add_column(heading, justify="left" if heading == "form" else "right")
    for form, told in results.items():
        table.add_row(form, *_cells(told))
    return table


def _cells(told: dict[str, Any]) -> Iterator[str]:
    yield "{:.0f} ({:.0f})".format(*told["milliseconds"])
    yield f"{told['tokens_per_second']:,.0f}"
    yield "{:.2f} ({:.2f})".format(*told["/bp"])
    yield "{:.1%} ({:.1%})".format(*told["forward"])
    yield "{:.1%} ({:.1%})".format(*told["update"])
    yield f"{told['peak_mb']:.0f}"


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m benchmarks.speed.language_step", description=__doc__.split("\n")[0])
    parser.add_argument("--streams", type=positive, default=16, metavar="N", help="texts side by side (16)")
    parser.add_argument("--context", type=positive, default=128, metavar="N", help="tokens of each in a step (128)")
    parser.add_argument("--width", type=positive, default=512, metavar="N", help=f"multiple of {HEAD_WIDTH} (512)")
    parser.add_argument("--layers", type=positive, default=6, metavar="N", help="blocks (6)")
    parser.add_argument("--vocabulary", type=positive, default=8000, metavar="N", help="entries (8000)")
    add_machine_options(parser, repeats=5)
    options = parse(parser, arguments)
    if options.width % HEAD_WIDTH:
        parser.error(f"argument --width: {options.width} is no multiple of {HEAD_WIDTH}, the width of a head")
    return options


if __name__ == "__main__":
    sys.exit(main())
