"""Processes that are started once for all tests of a module, and for all workers of pytest-xdist."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from filelock import FileLock


def outcomes_of(
    process: Callable[[int, int, str], None],
    worlds: Sequence[int],
    tmp_path_factory: pytest.TempPathFactory,
    worker_id: str,
    prepare: Callable[[Path], None] = lambda folder: None,
) -> dict[int, list[Any]]:
    """By number of processes and rank: what ``process(rank, number, folder)`` saved as ``folder/rank.pt``.

    Args:
        process: of a module that every process imports; a forkserver imports it, and PyTorch, once for all.
        prepare: is called once with the folder above those of the numbers.
    """
    folder = shared_folder(process, tmp_path_factory, worker_id)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            folder.mkdir()
            prepare(folder)
            multiprocessing.get_context("forkserver").set_forkserver_preload([process.__module__, "torch._dynamo"])
            for world in worlds:
                (folder / str(world)).mkdir()
                arguments = (world, str(folder / str(world)))
                mp.start_processes(process, args=arguments, nprocs=world, start_method="forkserver")
    return {world: [torch.load(folder / str(world) / f"{rank}.pt") for rank in range(world)] for world in worlds}


def shared_folder(
    process: Callable[[int, int, str], None], tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Path:
    """The folder of all workers for what ``process`` saves."""
    base = tmp_path_factory.getbasetemp()
    return (base if worker_id == "master" else base.parent) / process.__module__
