"""Where the time of a step goes: data, forward pass, projection of errors, backward pass, optimizer."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.speed.subjects import Stepper

PARTS = ("data", "forward", "projection", "backward", "optimizer")


def shares(stepper: Stepper, steps: int = 3) -> dict[str, float]:
    """The share of each of `PARTS` in a step, medians over some; the loop's own steps, looked at from outside.

    For methods with one forward pass in a step: of a second one, the backward parts within would count as forward.
    """
    taken = [_seconds(stepper) for _ in range(steps)]
    total = statistics.median(sum(parts.values()) for parts in taken)
    return {part: statistics.median(parts[part] for parts in taken) / total for part in PARTS}


def _seconds(stepper: Stepper) -> dict[str, float]:
    spent = dict.fromkeys(PARTS, 0.0)
    started = time.perf_counter()
    batch = next(stepper.batches)
    spent["data"] = time.perf_counter() - started
    with _timed(stepper.task, "loss", spent, "forward"), _timed(stepper.method, "signals_of", spent, "projection"):
        started = time.perf_counter()
        stepper.loop.gradients(batch)
        spent["backward"] = time.perf_counter() - started - spent["forward"] - spent["projection"]
    started = time.perf_counter()
    stepper.loop.update()
    spent["optimizer"] = time.perf_counter() - started
    return spent


@contextmanager
def _timed(owner: Any, name: str, spent: dict[str, float], part: str) -> Iterator[None]:
    """Add the seconds of a method of ``owner`` to a part, inside the block; a method that is not there takes none."""
    original: Callable[..., Any] | None = getattr(owner, name, None)
    if original is None:
        yield
        return

    def timed(*arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        try:
            return original(*arguments, **options)
        finally:
            spent[part] += time.perf_counter() - started

    object.__setattr__(owner, name, timed)
    try:
        yield
    finally:
        object.__delattr__(owner, name)
