"""Learning curves and alignment over training, drawn from histories.

    python -m benchmarks.curves --tasks 'nerf_synthetic/*' --profile long      rewrite results/figures/long/…
    python -m benchmarks.curves --x seconds --metrics valid_psnr,valid_ssim

One SVG per task, ``<profile>/<task>.svg``, and where alignment was measured on the way ``<task>_alignment.svg``.
Lines show the runs behind the tables' cells: newest settings, runs that ended well. Others may draw the charts
elsewhere: `charts_of` gives the numbers, `svg` the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.curves.alignment import alignment_chart
from benchmarks.curves.chart import AXES, Chart, Panel, Series
from benchmarks.curves.draw import line_id, svg
from benchmarks.curves.draw_all import svgs
from benchmarks.curves.learning import learning_chart
from benchmarks.curves.runs import TaskRuns, task_runs
from benchmarks.records import metrics
from benchmarks.records.record import write_atomically
from benchmarks.terminal.names import inside

__all__ = ["AXES", "Chart", "Panel", "Series", "TaskRuns", "charts_of", "line_id", "svg", "svgs", "task_runs", "write"]


def charts_of(found: Sequence[TaskRuns], x: str = "step", chosen: Sequence[str] = ()) -> list[Chart]:
    """All charts of the runs that `task_runs` found: learning curves of ``chosen`` metrics, and alignment.

    Raises:
        ValueError: an unknown metric or axis, or no history has what was chosen; one line.
    """
    if x not in AXES:
        raise ValueError(f"x={x}: choose {' or '.join(AXES)}")
    for name in chosen:
        metrics.lookup(name)
    learning = [learning_chart(runs, AXES[x], chosen) for runs in found]
    if not any(learning):
        wanted = ", ".join(chosen) or "train_loss or a validation metric"
        columns = sorted({name for runs in found for name in runs.columns if "/" not in name})
        raise ValueError(f"no history has {wanted} over {AXES[x].column}; their columns are {', '.join(columns)}")
    pairs = zip(learning, [alignment_chart(runs, AXES[x]) for runs in found], strict=True)
    return [chart for pair in pairs for chart in pair if chart is not None]


def write(charts: Sequence[Chart], folder: Path) -> list[Path]:
    """Write ``charts`` below ``folder`` as SVG, all drawn before the first is written; returns the files.

    Raises:
        ValueError: a link leads out of ``folder``; one line.
    """
    paths = [inside(folder, folder / f"{chart.name}.svg") for chart in charts]
    for path, text in zip(paths, list(svgs(charts)), strict=True):
        write_atomically(path, text)
    return paths
