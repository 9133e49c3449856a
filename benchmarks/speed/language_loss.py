"""Time and memory of the vocabulary projection and its loss, forward and backward, three ways.

    python -m benchmarks.speed.language_loss [--tokens N] [--width N] [--vocabulary N] [--repeats N] [--threads N]
        [--precision fp32|bf16] [--device cpu|cuda] [--json PATH]

chunked: `benchmarks.tasks.language.vocabulary_loss`, which the Transformer trains with; plain: the logits of all
tokens, then PyTorch's cross-entropy; linear: PyTorch's own chunked `linear_cross_entropy`, where it has one. The latter
ignores autocast; in bf16 it gets inputs of that type, and its loss has it too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from statistics import median
from typing import Any

import torch
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from benchmarks.speed.options import add_machine_options, parse, where, write_timings
from benchmarks.speed.rounds import Timing, in_own_process, peak_megabytes, time_in_turn
from benchmarks.tasks.language.vocabulary_loss import vocabulary_loss
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser, positive
from benchmarks.terminal.console import make_console
from benchmarks.training.machine import tune_process

Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def plain_loss(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """The same, of logits ``(tokens, vocabulary)``."""
    return F.cross_entropy(F.linear(hidden, weight, bias), targets)


def linear_loss(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """The same, by PyTorch."""
    if torch.is_autocast_enabled(hidden.device.type):
        product = torch.get_autocast_dtype(hidden.device.type)
        hidden, weight, bias = hidden.to(product), weight.to(product), bias.to(product)
    chunks = torch.nn.LinearCrossEntropyOptions()
    return F.linear_cross_entropy(hidden, weight, targets, linear_bias=bias, options=chunks)


FORMS: dict[str, Loss] = {"chunked": vocabulary_loss, "plain": plain_loss}
if hasattr(F, "linear_cross_entropy"):
    FORMS["linear"] = linear_loss


@guard.command
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print; returns the exit status."""
    options = _arguments(arguments)
    # In processes that give freed memory back, unlike this one.
    memory = {form: in_own_process(_megabytes, form, options) for form in FORMS}
    tune_process(options.threads)
    calls = _calls(options)
    for call in calls.values():
        call()  # to warm up
    timings = time_in_turn(calls, options.repeats, options.device)
    results = {form: result(timings, form) | {"peak_mb": memory[form]} for form in FORMS}
    make_console().print(_table(results, options))
    write_timings(options, "forms", results)
    return 0


def result(timings: dict[str, Timing], form: str) -> dict[str, Any]:
    """The report on a form. Pairs are of wall and of processor time; a GPU's work is in the former alone."""
    own = timings[form]
    return {
        "milliseconds": (1000 * median(own.wall), 1000 * median(own.cpu)),
        "/plain": own.ratio_to(timings["plain"]),
        "seconds": own.wall,
        "cpu_seconds": own.cpu,
    }


def _calls(options: argparse.Namespace) -> dict[str, Callable[[], None]]:
    """Forward and backward of each form on the same inputs."""
    generator, device = torch.Generator().manual_seed(0), torch.device(options.device)
    hidden = torch.randn(options.tokens, options.width, generator=generator)
    weight = torch.randn(options.vocabulary, options.width, generator=generator) / options.width**0.5
    leaves = [x.to(device).requires_grad_() for x in (hidden, weight, torch.zeros(options.vocabulary))]
    targets = torch.randint(options.vocabulary, (options.tokens,), generator=generator).to(device)

    def call(loss: Loss) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=options.precision == "bf16"):
            value = loss(leaves[0], leaves[1], leaves[2], targets)
        value.backward()
        for leaf in leaves:
            leaf.grad = None

    return {form: partial(call, loss) for form, loss in FORMS.items()}


def _megabytes(form: str, options: argparse.Namespace) -> float:
    """Peak memory of a call, gradients included, above what this process had before."""
    torch.set_num_threads(options.threads)
    return peak_megabytes(_calls(options)[form], options.device, calls=1)


def _table(results: dict[str, dict[str, Any]], options: argparse.Namespace) -> Table:
    table = Table(
        title=f"projection and loss, {options.vocabulary:,} entries, {options.tokens:,} tokens of width "
        f"{options.width}, {options.precision} · {where(options)}",
        caption="medians of wall (processor) time; MB: peak above what there was before, gradients included",
    )
    for heading in ("form", "ms", "/ plain", "MB"):
        table.add_column(heading, justify="left" if heading == "form" else "right")
    for form, told in results.items():
        table.add_row(form, *_cells(told))
    return table


def _cells(told: dict[str, Any]) -> Iterator[str]:
    yield "{:.0f} ({:.0f})".format(*told["milliseconds"])
    yield "{:.2f} ({:.2f})".format(*told["/plain"])
    yield f"{told['peak_mb']:.0f}"


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m benchmarks.speed.language_loss", description=__doc__.split("\n")[0])
    parser.add_argument("--tokens", type=positive, default=8192, metavar="N", help="a step (8192)")
    parser.add_argument("--width", type=positive, default=512, metavar="N", help="of a token (512)")
    parser.add_argument("--vocabulary", type=positive, default=32_000, metavar="N", help="entries (32000)")
    add_machine_options(parser, repeats=3)
    options = parse(parser, arguments)
    return options


if __name__ == "__main__":
    sys.exit(main())
