"""Encoding a text in WikiText's layout in a process of its own, to know its time and its peak memory."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.terminal import guard
from benchmarks.training.machine import resident_peak
from datasets.core.source import Source
from datasets.registry import find_dataset
from datasets.wikitext.encode import log
from datasets.wikitext.load import Tokenization, load_wikitext


@dataclass(frozen=True)
class Encoding:
    """The cost of encoding so many words (all splits).

    training, cpu_training: seconds until the tokenizer was trained, on the clock and of all threads together.
    seconds, cpu_seconds: until everything was done. peak_mb: largest resident size of the process, its libraries
    included.
    """

    words: int
    tokens: int
    training: float
    cpu_training: float
    seconds: float
    cpu_seconds: float
    peak_mb: float

    def __str__(self) -> str:
        encoding = (self.seconds - self.training, self.cpu_seconds - self.cpu_training)
        return (
            f"{self.words:,} words, {self.tokens:,} tokens: "
            f"tokenizer {self._speed(self.training, self.cpu_training)}, ids {self._speed(*encoding)}, "
            f"both {self._speed(self.seconds, self.cpu_seconds)}; peak memory {self.peak_mb:,.0f} MB"
        )

    def _speed(self, seconds: float, cpu_seconds: float) -> str:
        per_second, per_cpu_second = self.words / seconds, self.words / cpu_seconds
        return f"{seconds:.0f} s = {per_second:,.0f} words/s ({per_cpu_second:,.0f} per second of processor time)"


class _Clock(logging.Handler):
    """Notes the times at which the encoder says something; the first thing it says is that the tokenizer is there."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[tuple[float, float]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.times.append((time.perf_counter(), time.process_time()))


def encode(text: Path, cache: Path, vocabulary: int) -> Encoding:
    """Encode the splits in the folder `text` in a fresh process. Raises ChildProcessError if that fails."""
    command = [sys.executable, "-m", "benchmarks.speed.wikitext_encoding", str(text), str(vocabulary)]
    environment = {**os.environ, "DFA_CACHE_DIR": str(cache)}
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=False)
    if process.returncode:
        raise ChildProcessError(f"encoding {text} ended with exit code {process.returncode}")
    return Encoding(**json.loads(process.stdout))


@guard.command
def main() -> None:
    """Encode and print what it took."""
    clock = _Clock()
    log.addHandler(clock)
    log.setLevel(logging.INFO)
    started, cpu_started = time.perf_counter(), time.process_time()
    source = Source("real", find_dataset("wikitext103"), Path(sys.argv[1]), "generated")
    data = load_wikitext(source, Tokenization(vocabulary=int(sys.argv[2])))
    trained, cpu_trained = clock.times[0]
    result = Encoding(
        words=sum(data.words.values()),
        tokens=sum(data.tokens.values()),
        training=trained - started,
        cpu_training=cpu_trained - cpu_started,
        seconds=time.perf_counter() - started,
        cpu_seconds=time.process_time() - cpu_started,
        peak_mb=resident_peak(),
    )
    sys.stdout.write(json.dumps(vars(result)))


if __name__ == "__main__":
    main()
