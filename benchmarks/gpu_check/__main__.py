"""Check the suite on a GPU, in at most eight minutes.

    python -m benchmarks.gpu_check --out gpu.json            everything, on the first CUDA device
    python -m benchmarks.gpu_check --device cpu --tiny       the same script where there is none

Three parts: gradients of every task and method beside the CPU's; steps of published size in fp32 and bf16 (none may
make the host wait, and dfa's time and memory stand beside backprop's); a minute of Lego for each of bp and dfa. Exit
status 1: a gradient differs, or a step waits.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.catalogue.discovery import representatives
from benchmarks.catalogue.methods import shipped_methods
from benchmarks.gpu_check.gradients import compared
from benchmarks.gpu_check.lego import trained
from benchmarks.gpu_check.report import Steps, show_gradients, show_lego, show_steps, verdict, write_json
from benchmarks.speed.forms import USUAL
from benchmarks.speed.rounds import BURST, WaitsForDevice
from benchmarks.speed.subjects import chosen
from benchmarks.speed.table import measure
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser
from benchmarks.terminal.console import make_console
from benchmarks.terminal.names import one_line
from benchmarks.training.machine import torch_device, tune_process
from benchmarks.workers.plan import matching_tasks

_LEGO_SECONDS = 60.0  # for each of two methods
_STEP_SECONDS = 2.0  # of timing a subject at a precision
_TINY_TASKS = ("citation/gcn_cora", "mnist/mlp")


@guard.command
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns 1 if a check failed, 2 for bad input."""
    options = _arguments(arguments)
    tune_process(options.threads)
    torch.backends.cudnn.allow_tf32 = False  # products of 10 bits are no check of a formula
    console = make_console(soft_wrap=True)
    with tempfile.TemporaryDirectory() as results:
        found = list(compared(options.tasks, list(shipped_methods()), options.device, results))
        show_gradients(found, console)
        steps = _steps(options)
        show_steps(steps, console)
        seconds, profile = (1.0, "smoke") if options.tiny else (_LEGO_SECONDS, "quick")
        lego = [trained(method, options.device, seconds, profile, results) for method in ("bp", "dfa")]
        show_lego(lego, console)
    if options.out:
        write_json(options.out, options.device, found, steps, lego)
    console.print(verdict(found, steps), highlight=False)
    return 0 if all(one.passed for one in found) and not steps.waiting else 1


def _steps(options: argparse.Namespace) -> Steps:
    steps = Steps([], [], [])
    for options.precision in ("fp32", "bf16"):
        for subject in options.subjects:
            try:
                steps.rows.extend(measure(subject, options))
            except WaitsForDevice as error:
                steps.waiting.append(str(error))
            except (NotImplementedError, torch.OutOfMemoryError) as error:  # a kernel, or memory, that the device lacks
                steps.left_out.append(f"{subject.task}, {options.precision}: {one_line(str(error))}")
    return steps


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m benchmarks.gpu_check", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--device", choices=tuple(BURST), default="cuda")
    parser.add_argument("--tasks", default="", help="names, folders or globs, comma between (one per architecture)")
    parser.add_argument("--tiny", action="store_true", help="two small tasks, laptop sizes, seconds: tries the script")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write everything there, as JSON")
    options = parser.parse_args(arguments)
    if options.out and not options.out.parent.is_dir():
        parser.error(f"argument --out: there is no folder {options.out.parent}")
    try:
        torch_device(options.device)
        asked = options.tasks.split(",") if options.tasks else list(_TINY_TASKS if options.tiny else representatives())
        options.tasks = matching_tasks(asked)
        options.subjects = chosen(options.tasks, ["laptop" if options.tiny else "published"])
    except ValueError as error:
        parser.error(
            str(error).replace("hardware.device=cuda", "--device cuda").replace("hardware=cpu", "--device cpu")
        )
    options.threads, options.forms, options.no_memory = torch.get_num_threads(), list(USUAL), options.tiny
    options.compiled = False
    options.repeats, options.seconds = (2, 0.1) if options.tiny else (40, _STEP_SECONDS)
    return options


if __name__ == "__main__":
    sys.exit(main())
