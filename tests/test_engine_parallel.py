"""Data-parallel training: two processes over gloo on this machine."""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from engine_nets import WithHead, assert_same, batch, gradients, mse
from torch.nn.parallel import DistributedDataParallel

from dfa_core import make_method


def _model() -> WithHead:
    torch.manual_seed(0)
    return WithHead()


def _rank(rank: int, store: str, results: dict) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    try:
        torch.manual_seed(100 + rank)
        parallel = DistributedDataParallel(_model(), bucket_cap_mb=1e-4)  # many buckets
        method = make_method("dfa", parallel)
        x, y = batch(8, 5, 3)
        rows = slice(4 * rank, 4 * rank + 4)
        for _ in range(2):  # the reducer must be ready for a second step
            parallel.zero_grad()
            method.backward(mse(parallel, (x[rows], y[rows])))
        results[rank] = {name: g.numpy() for name, g in gradients(parallel.module).items()}
    finally:
        dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path, monkeypatch):
    """Without it ranks could hold different matrices, or reduce before the second backward added its part."""
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    with mp.Manager() as manager:
        results = manager.dict()
        mp.spawn(_rank, args=(str(tmp_path / "store"), results), nprocs=2)
        found = {rank: {n: torch.from_numpy(g) for n, g in results[rank].items()} for rank in (0, 1)}
    model = _model()
    make_method("dfa", model).backward(mse(model, batch(8, 5, 3)))
    assert_same(found[0], found[1])
    assert_same(found[0], gradients(model), rtol=1e-5, atol=1e-7)
