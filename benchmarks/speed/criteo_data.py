"""Measure Criteo's data pipeline on a generated file in the real format, with the real file's heavy tails.

    python -m benchmarks.speed.criteo_data [--rows 5000000] [--kill] [--folder DIR] [--batch-size 2048]

Writes the file (240 MB per million rows) into a temporary folder, encodes it in a fresh process, whose peak memory
is taken, and reads batches. Memory is measured at a fifth of the rows as well, so that the line through both tells
what the whole of Criteo's file would take. `--kill` adds the kills of `criteo_kill`. Exit status 1: what they left
was wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch

from benchmarks.speed.criteo_encoding import Encoding, digests, encode, load
from benchmarks.speed.criteo_kill import kill_and_restart
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser, positive
from datasets.criteo.format import CATEGORIES, COLUMNS, FILE, N_INTEGERS
from datasets.criteo.load import CriteoData, batches
from datasets.criteo.standin import draw_values
from datasets.criteo.text_writer import append_lines

_CRITEO_ROWS = 45_840_617
_CHUNK = 250_000  # rows written at a time
_CLICK_RATE = 0.25
_LOADER_SECONDS = 3.0
_LEAST_ROWS = 50_000  # with fewer, the processes are done before anything can be measured


@guard.command
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measurement; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.rows < _LEAST_ROWS:
        parser.error(f"--rows must be at least {_LEAST_ROWS}")
    with tempfile.TemporaryDirectory(prefix="criteo_data_", dir=options.folder) as name:
        return _measure(Path(name), options)


def write_file(folder: Path, rows: int) -> None:
    """Write so many rows as `train.txt`."""
    folder.mkdir(parents=True)
    with (folder / FILE).open("wb") as stream:
        for number, first in enumerate(range(0, rows, _CHUNK)):
            rng = np.random.default_rng([rows, number])
            n_rows = min(_CHUNK, rows - first)
            append_lines(stream, draw_values(rng, n_rows), (rng.random(n_rows) < _CLICK_RATE).astype(np.uint8))


def extrapolate(small: Encoding, large: Encoding, rows: int) -> Encoding:
    """The estimate for so many rows: time in proportion, memory on the line through both measurements."""
    slope = (large.peak_mb - small.peak_mb) / (large.rows - small.rows)
    peak = large.peak_mb + max(slope, 0) * (rows - large.rows)
    factor = rows / large.rows
    return Encoding(rows, large.seconds * factor, large.cpu_seconds * factor, peak)


def loader_speed(data: CriteoData, batch_size: int, threads: int) -> float:
    """Samples per second of shuffled batches, the drawing of each epoch's order included."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    indices = data.split(seed=0).train
    samples, epoch, started = 0, 0, time.perf_counter()
    while time.perf_counter() - started < _LOADER_SECONDS:
        samples += sum(len(batch.labels) for batch in batches(data, indices, batch_size, order_seed=epoch))
        epoch += 1
    speed = samples / (time.perf_counter() - started)
    torch.set_num_threads(before)
    return speed


def _measure(root: Path, options: argparse.Namespace) -> int:
    small = _write_and_encode(root / "fifth", options.rows // 5)
    large = _write_and_encode(root / "all", options.rows)
    _say("extrapolated:", extrapolate(small, large, _CRITEO_ROWS))
    text, cache = root / "all" / "text", root / "all" / "cache"
    data = load(text, cache)
    _say(f"{sum(data.field_sizes):,} features; largest field {max(data.field_sizes):,} of {_distinct(text)} raw values")
    for threads in sorted({1, os.cpu_count() or 1}):
        speed = loader_speed(data, options.batch_size, threads)
        _say(f"shuffled batches of {options.batch_size}, {threads} thread(s): {speed:,.0f} samples/s")
    if not options.kill:
        return 0
    problems = kill_and_restart(text, root / "killed", options.rows, digests(cache), _say)
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    return 1 if problems else 0


def _write_and_encode(folder: Path, rows: int) -> Encoding:
    started = time.perf_counter()
    write_file(folder / "text", rows)
    size = (folder / "text" / FILE).stat().st_size
    _say(f"wrote {rows:,} rows, {size / 1e6:,.0f} MB, in {time.perf_counter() - started:.0f} s")
    encoding = encode(folder / "text", folder / "cache", rows)
    _say("encoded:", encoding)
    return encoding


def _distinct(text: Path) -> str:
    """Raw values of C3, the field with the most."""
    name = f"column_{1 + N_INTEGERS + CATEGORIES.index('C3')}"
    schema = {f"column_{number}": pl.String for number in range(COLUMNS)}
    lines = pl.scan_csv(text / FILE, has_header=False, separator="\t", schema=schema)
    return f"{lines.select(pl.col(name).n_unique()).collect(engine='streaming').item():,}"


def _say(*parts: object) -> None:
    sys.stdout.write(" ".join(map(str, parts)) + "\n")
    sys.stdout.flush()


def _parser() -> Parser:
    parser = Parser(
        prog="python -m benchmarks.speed.criteo_data",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", type=positive, default=5_000_000)
    parser.add_argument("--kill", action="store_true", help="kill the encoding and compare what the restart makes")
    parser.add_argument("--folder", type=Path, help="where the temporary folder goes (520 MB per million rows)")
    parser.add_argument("--batch-size", type=positive, default=2048)
    return parser


if __name__ == "__main__":
    sys.exit(main())
