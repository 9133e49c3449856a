"""Checks of a checkpoint: does it hold what its run needs to go on from it?

PyTorch loads less carefully than a run needs: moments of any shape (which a fused optimizer reads past their end),
weights of another type, learning rates that are no numbers. A file that was edited, or put together from two, would
end the run in the middle, again at every try, or train on something else in silence.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from benchmarks.settings.schema import TaskConfig
from benchmarks.training.loop import Loop

_COUNTS = ("step", "epoch", "batch", "evaluations_since_best", "samples")
_SECONDS = ("train_seconds", "compile_seconds", "eval_seconds", "alignment_seconds")
_COLUMNS = ("step", "epoch", "train_loss", "lr", "train_seconds")  # of every row of a history


def check_state(state: Any, loop: Loop) -> None:
    """Raise ``ValueError`` unless ``state`` is one that ``loop``, not yet trained, can continue from."""
    own = loop.state_dict()
    _check_keys("the loop's state", state, own)
    for part in ("model", "method"):
        _check_like(part, state[part], own[part])
    if state["best_weights"] != {}:
        _check_like("best_weights", state["best_weights"], own["model"])
    _check_optimizer(state["optimizer"], loop, rates_move=bool(own["schedule"]))
    for key, value in own["schedule"].items():
        _check_like(f"schedule.{key}", _dictionary("schedule", state["schedule"]).get(key), value)
    _check_keys("progress", state["progress"], own["progress"])
    _check_progress(state["progress"], loop.config)
    _check_best(state, loop.task.selection)
    _check_loss(state["loss"])


def _check_optimizer(found: Any, loop: Loop, rates_move: bool) -> None:
    """Groups as the run's settings make them; moments of the shapes of their parameters."""
    own = loop.optimizer.state_dict()
    _check_keys("optimizer", found, own)
    _check_like("optimizer.param_groups", found["param_groups"], own["param_groups"])
    for number, (group, mine) in enumerate(zip(found["param_groups"], own["param_groups"], strict=True)):
        changed = {key for key in mine if group[key] != mine[key]} - ({"lr"} if rates_move else set())
        _require(not changed, f"optimizer group {number} has another {', '.join(sorted(changed))} than the settings")
    parameters = [p for group in loop.optimizer.param_groups for p in group["params"]]
    momentum = "momentum_buffer" if any(group.get("momentum") for group in own["param_groups"]) else None
    names = {"step", "exp_avg", "exp_avg_sq"} if isinstance(loop.optimizer, torch.optim.Adam) else {momentum} - {None}
    for index, moments in _dictionary("optimizer.state", found["state"]).items():
        _require(index in range(len(parameters)), f"optimizer.state has a parameter {index!r}")
        _check_keys(f"optimizer.state[{index}]", moments, names)
        for name, value in moments.items():
            like = torch.zeros(()) if name == "step" else parameters[index]
            _check_like(f"optimizer.state[{index}].{name}", value, like)


def _check_progress(progress: Mapping[str, Any], config: TaskConfig) -> None:
    """Counts, seconds and flags are some, and agree with each other and with the settings."""
    for name in _COUNTS:
        _require(type(progress[name]) is int and progress[name] >= 0, f"progress.{name} is {progress[name]!r}")
    for name in _SECONDS:
        seconds = progress[name]
        _require(_is_number(seconds) and 0 <= seconds < math.inf, f"progress.{name} is {seconds!r}")
    for name in ("finished", "diverged"):
        _require(type(progress[name]) is bool, f"progress.{name} is {progress[name]!r}")
    step, done = progress["step"], progress["step"] if config.steps is not None else progress["epoch"]
    total = config.steps if config.steps is not None else config.epochs or 0
    patience = config.patience
    over = done >= total or (patience is not None and progress["evaluations_since_best"] >= patience)
    _require(done <= total, f"{done} of {total} are done")
    _require(step >= progress["epoch"] + progress["batch"], f"{step} steps are too few for the epochs that are done")
    _require(progress["finished"] == (over or progress["diverged"]), f"progress.finished is {progress['finished']}")
    rows = done // config.eval_every + (done >= total and done % config.eval_every > 0)
    _check_history(progress["history"], rows, step)


def _check_history(history: Any, rows: int, step: int) -> None:
    _require(isinstance(history, list) and len(history) == rows, f"the history does not have {rows} rows")
    before = 0
    for row in history:
        good = isinstance(row, dict) and all(isinstance(key, str) and _is_number(row[key]) for key in row)
        _require(good and all(name in row for name in _COLUMNS), f"the history has a row {str(row)[:80]}")
        _require(before < row["step"] <= step, f"the history has step {row['step']} out of order")
        before = row["step"]


def _check_best(state: Mapping[str, Any], selection: str) -> None:
    """The best value, the metrics that it is one of and the weights that had it: all there or none."""
    best, metrics = state["progress"]["best"], state["progress"]["best_metrics"]
    if best is None:
        _require(metrics == {} and state["best_weights"] == {}, "progress.best is missing")
        return
    good = isinstance(metrics, dict) and all(_is_number(value) and math.isfinite(value) for value in metrics.values())
    _require(good and metrics.get(selection) == best, f"progress.best is {best!r}, the best metrics are {metrics}")
    _require(state["best_weights"] != {}, "the best weights are missing")


def _check_loss(found: Any) -> None:
    """The sum of losses since the last evaluation, and their number."""
    _require(isinstance(found, list) and len(found) == 2, "loss is no pair")
    total, count = found
    if total is None:
        _require(count == 0, f"loss has no sum of {count!r}")
    else:
        good = isinstance(total, Tensor) and total.ndim == 0 and total.is_floating_point()
        _require(good and type(count) is int and count > 0, "loss is no sum of a number of losses")


def _check_like(name: str, found: Any, own: Any) -> None:
    """``found`` is made as ``own`` is: the same keys, lengths, shapes and types. Values may differ."""
    if isinstance(own, Mapping):
        _check_keys(name, found, own)
        for key, value in own.items():
            _check_like(f"{name}.{key}", found[key], value)
    elif isinstance(own, Tensor):
        fits = isinstance(found, Tensor) and (found.shape, found.dtype) == (own.shape, own.dtype)
        _require(fits, f"{name} is no tensor of shape {tuple(own.shape)} and {own.dtype}")
    elif isinstance(own, list | tuple):
        _require(isinstance(found, list | tuple) and len(found) == len(own), f"{name} does not have {len(own)} entries")
        for number, value in enumerate(own):
            _check_like(f"{name}[{number}]", found[number], value)
    elif _is_number(own):
        _require(_is_number(found) and not math.isnan(found), f"{name} is {str(found)[:80]}, no number")
    else:
        _require(type(found) is type(own), f"{name} is a {type(found).__name__}, not a {type(own).__name__}")


def _check_keys(name: str, found: Any, own: Collection[Any]) -> None:
    other = set(_dictionary(name, found)) ^ set(own)
    _require(not other, f"{name} lacks, or has beside its own: {', '.join(sorted(map(str, other)))[:200]}")


def _dictionary(name: str, found: Any) -> Mapping[Any, Any]:
    _require(isinstance(found, Mapping), f"{name} is no dictionary")
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _require(true: bool, otherwise: str) -> None:
    if not true:
        raise ValueError(otherwise)
