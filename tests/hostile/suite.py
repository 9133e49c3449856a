"""A suite of hostile inputs: how its examples are made, tried and counted."""

from __future__ import annotations

import contextlib
import importlib
import io
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

#: Each is a module here with a class `Hostile`.
SUITES = ("records", "overrides", "data")


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
        yield importlib.import_module(f"tests.hostile.{name}").Hostile(Path(place).resolve())
