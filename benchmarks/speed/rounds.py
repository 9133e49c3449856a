"""Timing steps in turn, and the memory of a process that does nothing else."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import torch
from scipy.stats import quantile_test

from benchmarks.training.machine import PeakMemory

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")

WARM_UP = 3  # calls
FEWEST = 6  # rounds, for an interval of 95%
BURST = {"cpu": 1, "cuda": 10}  # calls between two looks at the clock: a GPU works behind the host's back


class WaitsForDevice(RuntimeError):
    """A training step made the host wait for the GPU."""


@dataclass(frozen=True)
class Timing:
    """The cost of one form's step, round by round.

    Attributes:
        wall: seconds of each timed step.
        cpu: processor seconds of each timed step, all threads together. Other processes that take a core stretch
            ``wall`` and leave this nearly alone.
    """

    wall: list[float]
    cpu: list[float]

    def ratio_to(self, other: Timing) -> tuple[float, float]:
        """Median over the rounds of wall and of processor time, relative to ``other``'s in the same round."""
        return statistics.median(_paired(self.wall, other.wall)), statistics.median(_paired(self.cpu, other.cpu))

    def interval_to(self, other: Timing) -> tuple[float, float]:
        """95% interval of the median ratio of wall times, by order statistics; NaN with fewer than six rounds."""
        ratios = _paired(self.wall, other.wall)
        found = quantile_test(ratios, q=1.0, p=0.5).confidence_interval()
        return float(found.low), float(found.high)


def _paired(mine: list[float], theirs: list[float]) -> list[float]:
    return [a / b for a, b in zip(mine, theirs, strict=True)]


def warm_up(step: Callable[[], None]) -> None:
    """Three calls, or two where those take a second or more: memory and caches are filled by the second call."""
    started = time.perf_counter()
    for number in range(WARM_UP):
        if number >= WARM_UP - 1 and time.perf_counter() - started > 1:
            return
        step()


def time_in_turn(
    parts: Mapping[Key, Callable[[], None]], rounds: int, device: str, seconds: float = float("inf")
) -> dict[Key, Timing]:
    """Timings of all parts, called in turn (A B C A B C …), so that a disturbance meets all of them.

    They have to be warm. After ``seconds`` no further round begins, but there are `FEWEST` of them if as many are
    asked for.
    """
    taken: dict[Key, list[tuple[float, float]]] = {key: [] for key in parts}
    started = time.perf_counter()
    for number in range(rounds):
        if number >= FEWEST and time.perf_counter() - started > seconds:
            break
        for key, part in parts.items():
            taken[key].append(_timed(part, BURST[device], device))
    return {key: Timing(*(list(clock) for clock in zip(*times, strict=True))) for key, times in taken.items()}


def _timed(part: Callable[[], None], calls: int, device: str) -> tuple[float, float]:
    """Wall and processor seconds of one call, the mean over several; a GPU is waited for before and after all."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(calls):
        part()
    wait()
    return (time.perf_counter() - wall) / calls, (time.process_time() - cpu) / calls


def peak_megabytes(step: Callable[[], None], device: str = "cpu", calls: int = 2) -> float:
    """Memory that some calls take at most, in MB, beyond what there is before; true in a process of its own."""
    before = PeakMemory(torch.device(device)).megabytes()
    mark = PeakMemory(torch.device(device))
    for _ in range(calls):
        step()
    return mark.megabytes() - before


def check_never_waits(step: Callable[[], None], what: str) -> None:
    """Raise :class:`WaitsForDevice` if the step does; for a GPU, and a step that is warm."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    except RuntimeError as error:
        raise WaitsForDevice(f"{what}: a step waits for the GPU: {str(error).splitlines()[0]}") from error
    finally:
        torch.cuda.set_sync_debug_mode("default")


def in_own_process(function: Callable[..., Result], *arguments: object) -> Result:
    """The result of ``function(*arguments)`` in a new process, whose memory is nobody else's.

    It gives every freed tensor back to the system: what fragments is the allocator's, not the step's.
    """
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", "65536")  # read by the process from which all others are forked
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([function.__module__, "torch._dynamo"])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()
