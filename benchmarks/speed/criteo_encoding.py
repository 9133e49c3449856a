"""Encoding a file of Criteo's format in a process of its own, to know its time and its peak memory."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.terminal import guard
from benchmarks.training.machine import resident_peak
from datasets.core.source import Source
from datasets.criteo.load import CriteoData, Preprocessing, load_criteo
from datasets.registry import find_dataset


@dataclass(frozen=True)
class Encoding:
    """The cost of encoding so many rows.

    seconds: on the clock. cpu_seconds: of all threads together. peak_mb: largest resident size of the process, its
    libraries included.
    """

    rows: int
    seconds: float
    cpu_seconds: float
    peak_mb: float

    def __str__(self) -> str:
        speed, cpu_speed = self.rows / self.seconds, self.rows / self.cpu_seconds
        return (
            f"{self.rows:,} rows in {self.seconds:.0f} s, {speed:,.0f} rows/s "
            f"({cpu_speed:,.0f} per second of processor time), peak memory {self.peak_mb:,.0f} MB"
        )


def start(text: Path, cache: Path) -> subprocess.Popen[str]:
    """Start a process that encodes the file in the folder `text` into a cache."""
    command = [sys.executable, "-m", "benchmarks.speed.criteo_encoding", str(text), str(cache)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def encode(text: Path, cache: Path, rows: int) -> Encoding:
    """Encode a file of so many rows in a fresh process. Raises ChildProcessError if that fails."""
    process = start(text, cache)
    out, _ = process.communicate()
    if process.returncode:
        raise ChildProcessError(f"encoding {text} ended with exit code {process.returncode}")
    return Encoding(rows, **json.loads(out))


def load(text: Path, cache: Path) -> CriteoData:
    """The encoded rows of the file in the folder `text`."""
    with _cache_at(cache):
        return load_criteo(Source("real", find_dataset("criteo"), text, "generated"), Preprocessing())


def digests(cache: Path) -> dict[str, str]:
    """SHA-256 of each file of the encoded rows, by name."""
    found = {}
    for path in sorted((cache / "criteo").glob("[!.]*/*")):
        with path.open("rb") as stream:
            found[path.name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found


@contextmanager
def _cache_at(cache: Path) -> Iterator[None]:
    before = os.environ.get("DFA_CACHE_DIR")
    os.environ["DFA_CACHE_DIR"] = str(cache)
    try:
        yield
    finally:
        if before is None:
            del os.environ["DFA_CACHE_DIR"]
        else:
            os.environ["DFA_CACHE_DIR"] = before


@guard.command
def main() -> None:
    """Encode and print what it took."""
    text, cache = map(Path, sys.argv[1:])
    started, cpu_started = time.perf_counter(), time.process_time()
    load(text, cache)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    sys.stdout.write(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": resident_peak()}))


if __name__ == "__main__":
    main()
