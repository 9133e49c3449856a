"""How far a run is."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.records.run_history import Row


@dataclass
class Progress:
    """How far a run is; all of it goes into a checkpoint."""

    step: int = 0
    epoch: int = 0
    batch: int = 0  # batches of the current epoch that are done
    best: float | None = None
    best_metrics: Row = field(default_factory=dict)
    evaluations_since_best: int = 0
    finished: bool = False
    diverged: bool = False
    samples: int = 0  # of timed steps
    train_seconds: float = 0.0
    compile_seconds: float = 0.0  # of steps that compile, in none of the others
    eval_seconds: float = 0.0
    alignment_seconds: float = 0.0  # of `probe`
    history: list[Row] = field(default_factory=list)
