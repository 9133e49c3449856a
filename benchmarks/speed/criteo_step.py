"""Time whole training steps of DeepFM at published size: loading, gradients, update, for bp and dfa.

    python -m benchmarks.speed.criteo_step [--repeats N] [--threads N] [--rows N]

The rows are generated: the published number of values in each field, of heavy-tailed frequency, memory-mapped from a
temporary folder. The update is sparse or, for comparison, dense (PyTorch's Adam on all rows of the tables).
"""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from rich.table import Table

from benchmarks.settings.schema import HardwareConfig
from benchmarks.speed.stepper import Stepper
from benchmarks.tasks.criteo.click_prediction import ClickPrediction
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser, positive
from benchmarks.terminal.console import make_console
from benchmarks.training.machine import keep_freed_memory
from datasets.criteo.load import CriteoData

#: Values of each field of the whole file at a threshold of 10: 1,086,810 in all.
FIELD_SIZES = (
    *(49, 101, 126, 45, 223, 118, 84, 76, 95, 9, 30, 40, 75),
    *(1458, 555, 193949, 138801, 306, 19, 11970, 634, 4, 42646, 5178, 192773, 3175),
    *(27, 11422, 181075, 11, 4654, 2032, 5, 189657, 18, 16, 59697, 86, 45571),
)
FORMS = [(method, update) for update in ("sparse", "dense") for method in ("bp", "dfa")]
PARTS = ("loading", "gradients", "update")
Form = tuple[str, str]

_CPU = HardwareConfig(precision="fp32")


class CriteoStepper(Stepper[ClickPrediction]):
    """One form of training, step by step."""

    def __init__(self, form: Form, data: CriteoData) -> None:
        method, update = form
        overrides = ["task=criteo/deepfm", f"method={method}", f"task.embedding_update={update}"]
        super().__init__(overrides, lambda settings: ClickPrediction(settings, data, seed=0), _CPU)

    def timed_step(self) -> list[float]:
        """One training step; seconds of each of :data:`PARTS`."""
        times = [time.perf_counter()]
        batch = next(self.batches)
        times.append(time.perf_counter())
        self.loop.gradients(batch)
        times.append(time.perf_counter())
        self.loop.update()
        times.append(time.perf_counter())
        return [end - start for start, end in pairwise(times)]


def write_rows(folder: Path, n_rows: int) -> None:
    """Rows as the preprocessing writes them. The value of rank r of a field has a probability of about 1 / r."""
    rng = np.random.default_rng(0)
    offsets = np.cumsum((0, *FIELD_SIZES[:-1]))
    ranks = np.exp(rng.random((n_rows, len(FIELD_SIZES))) * np.log(FIELD_SIZES)).astype(np.int64)
    np.save(folder / "rows.npy", (np.minimum(ranks, FIELD_SIZES) - 1 + offsets).astype(np.int32))
    np.save(folder / "labels.npy", (rng.random(n_rows) < 0.25).astype(np.uint8))


def read_rows(folder: Path) -> CriteoData:
    """The rows, memory-mapped."""
    rows, labels = (torch.from_numpy(np.load(folder / f"{name}.npy", mmap_mode="c")) for name in ("rows", "labels"))
    return CriteoData(rows, labels, FIELD_SIZES)


def peak_megabytes(form: Form, folder: Path) -> float:
    """Highest resident memory of a process of its own that takes a few steps: PyTorch, model, moments, a step."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_steps_alone, form, folder, torch.get_num_threads()).result()


def _steps_alone(form: Form, folder: Path, threads: int) -> float:
    torch.set_num_threads(threads)
    stepper = CriteoStepper(form, read_rows(folder))
    for _ in range(3):
        stepper.step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(data: CriteoData, repeats: int) -> dict[Form, list[list[float]]]:
    """Seconds of each part of each timed step, by form. All forms step in turn; the first rounds warm up."""
    steppers = {form: CriteoStepper(form, data) for form in FORMS}
    times: dict[Form, list[list[float]]] = {form: [] for form in FORMS}
    for repeat in range(repeats + 2):
        for form, stepper in steppers.items():
            taken = stepper.timed_step()
            if repeat >= 2:
                times[form].append(taken)
    return times


def table(times: dict[Form, list[list[float]]], peaks: dict[Form, float]) -> Table:
    """A row per form: medians of the parts, throughput, ratio to bp with the same update in the same rounds."""
    built = Table(
        title=f"DeepFM, {sum(FIELD_SIZES):,} features, batch 2048, {torch.get_num_threads()} threads: ms of a step"
    )
    for heading in ("method", "update", *PARTS, "of it loading", "samples/s", "/ bp", "/ dense", "peak MB"):
        built.add_column(heading, justify="left" if heading in ("method", "update") else "right")
    for (method, update), steps in times.items():
        parts = [statistics.median(part) for part in zip(*steps, strict=True)]
        built.add_row(
            method,
            update,
            *(f"{1000 * seconds:.1f}" for seconds in parts),
            f"{parts[0] / sum(parts):.1%}",
            f"{2048 / statistics.median(map(sum, steps)):,.0f}",
            f"{_ratio(steps, times['bp', update]):.2f}",
            f"{_ratio(steps, times[method, 'dense']):.2f}",
            f"{peaks[method, update]:.0f}",
        )
    return built


def _ratio(steps: list[list[float]], others: list[list[float]]) -> float:
    return statistics.median(sum(a) / sum(b) for a, b in zip(steps, others, strict=True))


@guard.command
def main(arguments: Sequence[str] | None = None) -> int:
    """Generate, measure, print; returns the exit status."""
    parser = Parser(prog="python -m benchmarks.speed.criteo_step", description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=positive, default=20, help="timed steps of each form")
    parser.add_argument("--threads", type=positive, help="threads of PyTorch")
    parser.add_argument("--rows", type=positive, default=500_000, help="generated rows")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory(prefix="criteo_step_") as name:
        write_rows(Path(name), options.rows)
        peaks = {form: peak_megabytes(form, Path(name)) for form in FORMS}
        keep_freed_memory()
        times = measure(read_rows(Path(name)), options.repeats)
    make_console().print(table(times, peaks))
    return 0


if __name__ == "__main__":
    sys.exit(main())
