"""Hostile inputs, made from a seed: does any of them end in a traceback, or in a file outside the results folder?

    python -m tests.hostile --count 1000                   all suites, 1,000 examples each
    python -m tests.hostile --count 1000 --suite records   one suite; --seed N draws others

A suite makes examples with hypothesis and tries each (`Suite`). `SUITES` names the modules; `make test` runs a few
examples of every suite (`tests/test_hostile.py`). Ends with exit code 1 if an example fails, and prints the smallest
one that does.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import logging
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

sys.path.insert(0, str(Path(__file__).parent))

#: Modules with a class `Hostile`, each a suite.
SUITES = {"records": "hostile_records", "overrides": "hostile_overrides", "data": "hostile_data"}
#: Bytes of address space: an example that asks for more than a machine has fails, and takes nobody else's memory.
MOST_MEMORY = 16_000_000_000


class Suite(Protocol):
    """Examples of one kind, and how to try one."""

    examples: SearchStrategy[Any]

    def __init__(self, folder: Path) -> None:
        """Prepare what all examples share, in an empty folder."""

    def attempt(self, example: Any) -> str:
        """Try one example; returns what it was, for the summary. Raises AssertionError if it fails."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


def call(main: Callable[[Sequence[str]], int | None], arguments: Sequence[str]) -> Ended:
    """Call a command's main function in this process; any exception but SystemExit passes through."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # numpy's would be lines on standard error
        try:
            code = main(arguments) or 0
        except SystemExit as end:
            code = 0 if end.code is None else end.code if isinstance(end.code, int) else 1
    return Ended(code, out.getvalue(), err.getvalue())


def check(ended: Ended, allowed: Sequence[int] = (0, 2), most_lines: int = 12) -> None:
    """The exit code is one of ``allowed``, and standard error has lines that say why it is 2, and no more than that."""
    lines = ended.err.splitlines()
    assert ended.code in allowed, f"exit code {ended.code}: {ended.err}"
    assert ended.code != 2 or lines, "exit code 2, and not a word why"
    assert len(lines) <= most_lines and all(line.strip() for line in lines), ended.err
    assert "Traceback" not in ended.err and "Warning" not in ended.err, ended.err


def listing(folder: Path, without: Path) -> dict[str, tuple[int, int]]:
    """Every file below ``folder`` but those in ``without``: size and time of its last change."""
    found = (path for path in folder.rglob("*") if not path.is_relative_to(without) and not path.is_dir())
    return {str(path): ((stat := path.lstat()).st_size, stat.st_mtime_ns) for path in found}


@dataclass
class Report:
    """What a run of a suite came to."""

    tried: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


def run(suite: Suite, count: int, seed: int | None = None, progress: Callable[[Report], None] | None = None) -> Report:
    """Try ``count`` examples; ``seed`` None draws the same ones at each call. Raises what the smallest failure does."""
    report, started = Report(), time.perf_counter()

    def attempt(example: Any) -> None:
        report.kinds[suite.attempt(example)] += 1
        report.tried += 1
        report.seconds = time.perf_counter() - started
        if progress:
            progress(report)

    test = settings(
        max_examples=count,
        derandomize=seed is None,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )(given(suite.examples)(attempt))
    (test if seed is None else hypothesis.seed(seed)(test))()
    return report


@contextlib.contextmanager
def prepared(name: str) -> Iterator[Suite]:
    """The suite of that name, in a folder of its own that is gone afterwards."""
    with tempfile.TemporaryDirectory() as place:
        yield importlib.import_module(SUITES[name]).Hostile(Path(place).resolve())


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="examples of each suite (default: 1000)")
    parser.add_argument("--suite", choices=list(SUITES), action="append", help="only this one (default: all)")
    parser.add_argument("--seed", type=int, help="draw other examples (default: the same at each call)")
    chosen = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    log = logging.getLogger("hostile")

    def progress(report: Report) -> None:
        if report.tried % 100 == 0:
            log.info("  %d tried, %.0f s", report.tried, report.seconds)

    for name in chosen.suite or SUITES:
        log.info("%s: %d examples", name, chosen.count)
        try:
            with prepared(name) as suite:
                report = run(suite, chosen.count, chosen.seed, progress)
        except BaseException:
            again = "" if chosen.seed is None else f" --seed {chosen.seed}"
            log.error("%s FAILED: python -m tests.hostile --suite %s --count %d%s", name, name, chosen.count, again)
            raise
        kinds = ", ".join(f"{kind} {number}" for kind, number in sorted(report.kinds.items()))
        log.info("%s: %d examples, none failed, %.0f s: %s", name, report.tried, report.seconds, kinds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
