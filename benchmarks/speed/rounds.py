"""Timing parts of training steps in turn, and the memory of a process that does nothing else."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

import torch

from benchmarks.speed.measure import Timing

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")

WARM_UP = 3  # rounds: compiled code is captured as a CUDA graph in the second one
BURST = {"cpu": 1, "cuda": 10}  # calls between two looks at the clock: a GPU works behind the host's back


class WaitsForDevice(RuntimeError):
    """A training step made the host wait for the GPU."""


def time_in_turn(parts: Mapping[Key, Callable[[], None]], rounds: int, device: str) -> dict[Key, Timing]:
    """Timings of all parts, called in turn (A B C A B C …), so that a disturbance meets all of them.

    They have to be warm.
    """
    taken: dict[Key, list[tuple[float, float]]] = {key: [] for key in parts}
    for _ in range(rounds):
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
    """The result of ``function(*arguments)`` in a new process, whose memory is nobody else's."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()
