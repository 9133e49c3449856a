"""The buffers of a model at one moment, which a further run of its forward pass must not move."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class _Buffer(NamedTuple):
    """A buffer of a module, and the values that it had; None for one without tensor, which a pass may assign."""

    module: nn.Module
    name: str
    tensor: Tensor | None
    value: Tensor | None


class Buffers:
    """The buffers of ``model`` as they are now: the tensors, and what stands in them."""

    @torch.no_grad()
    def __init__(self, model: nn.Module) -> None:
        self._kept = [
            _Buffer(module, name, buffer, None if buffer is None else _stored(buffer).clone())
            for module in model.modules()
            for name, buffer in module._buffers.items()
        ]

    def moved(self) -> bool:
        """Whether a buffer is another tensor now, or has other values."""
        return any(
            one.module._buffers.get(one.name) is not one.tensor
            or (one.tensor is not None and one.value is not None and not _equal(_stored(one.tensor), one.value))
            for one in self._kept
        )

    @torch.no_grad()
    def restore(self) -> None:
        """Put back every tensor, where a forward pass assigned another, and its values, where it changed them."""
        for one in self._kept:
            one.module._buffers[one.name] = one.tensor
            if one.tensor is not None and one.value is not None:
                # Past autograd's count of changes: batch norm saves its running statistics and never reads them again.
                _stored(one.tensor.data).copy_(one.value)


def _equal(a: Tensor, b: Tensor) -> bool:
    """Whether the entries are the same; of sparse and nested ones nobody can tell, so that they count as changed."""
    return a.layout is torch.strided and not a.is_nested and torch.equal(a, b)


def _stored(buffer: Tensor) -> Tensor:
    """The entries of a buffer that memory holds once: an expanded one repeats them, and refuses to be written to."""
    if buffer.layout is not torch.strided or buffer.is_nested or 0 not in buffer.stride():
        return buffer
    for dim, step in enumerate(buffer.stride()):
        if step == 0 and buffer.shape[dim] > 1:
            buffer = buffer.narrow(dim, 0, 1)
    return buffer
