"""Batch norm over the parts of a batch that several processes have (`nn.SyncBatchNorm` wants a GPU)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def shared_statistics(model: nn.Module) -> Iterator[None]:
    """Let each batch norm of ``model`` use the mean and variance of all processes' samples, inside the block."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    for norm in norms:
        norm.forward = partial(_normalised, norm)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward


class _Summed(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _sum(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _sum(gradient)


def _sum(x: Tensor) -> Tensor:
    total = x.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total


def _normalised(norm: _BatchNorm, x: Tensor) -> Tensor:
    """``norm(x)`` of ``(n, channels, …)``, by the statistics of all processes (Ioffe & Szegedy 2015, algorithm 1)."""
    if not norm.training:
        return type(norm).forward(norm, x)
    dims = [dim for dim in range(x.ndim) if dim != 1]
    column = [1, -1, *[1] * (x.ndim - 2)]
    n = _sum(torch.tensor(x.numel() / x.shape[1], device=x.device))
    mean = _Summed.apply(x.float().sum(dims)) / n
    centred = x.float() - mean.view(column)
    variance = _Summed.apply(centred.square().sum(dims)) / n
    if norm.track_running_stats:
        _move_statistics(norm, mean.detach(), variance.detach() * n / (n - 1))
    normal = centred * (variance + norm.eps).rsqrt().view(column)
    if norm.affine:
        normal = normal * norm.weight.view(column) + norm.bias.view(column)
    return normal.to(x.dtype)


@torch.no_grad()
def _move_statistics(norm: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    assert norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None
    norm.num_batches_tracked += 1
    momentum = norm.momentum if norm.momentum is not None else 1 / float(norm.num_batches_tracked)
    norm.running_mean.lerp_(mean, momentum)
    norm.running_var.lerp_(variance, momentum)
