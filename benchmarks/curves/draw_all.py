"""Many charts at once: each takes a tenth of a second, and no two have anything in common."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

from benchmarks.curves.chart import Chart
from benchmarks.curves.draw import svg

#: Fewer charts for a process than this are drawn sooner than it starts.
_FEWEST = 4


def svgs(charts: Sequence[Chart]) -> Iterator[str]:
    """Each chart as the text of an SVG file, in order; many are drawn on all cores, from now on."""
    processes = min(_cores(), len(charts) // _FEWEST)
    if processes < 2:
        return map(svg, charts)
    context = multiprocessing.get_context("fork")  # a new interpreter would import matplotlib for a second
    # Ctrl-C goes to all processes of the terminal: this one answers.
    pool = ProcessPoolExecutor(processes, context, signal.signal, (signal.SIGINT, signal.SIG_IGN))
    drawn = pool.map(svg, charts)
    pool.shutdown(wait=False)  # no more work comes; what there is goes on
    return drawn


def _cores() -> int:
    """The cores that this process may use; 1 where processes cannot be forked safely."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1
