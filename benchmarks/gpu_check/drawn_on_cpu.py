"""Random numbers drawn on the CPU whatever the device, so that two devices can be compared."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

_CPU = torch.device("cpu")


class DrawnOnCPU(TorchDispatchMode):
    """Run every random operation inside the block on the CPU, and move its result to the device that was asked for.

    A generator of another device stands for one of the CPU with the same seed, from its beginning. Operations that
    draw by the way (attention with dropout) are meant as well, so a network should train without dropout here.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags or "attention" in func.name():
            return func(*args, **kwargs)
        tensors = [argument for argument in args if isinstance(argument, Tensor)]
        device = torch.device(kwargs.get("device") or (tensors[0].device if tensors else _CPU))
        drawn = func(*tree_map(_to_cpu, args), **tree_map(_to_cpu, kwargs))
        if func._schema.is_mutable:  # in place
            return args[0].copy_(drawn)
        return tree_map(lambda value: value.to(device) if isinstance(value, Tensor) else value, drawn)


def _to_cpu(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.to(_CPU)
    if isinstance(value, torch.device):
        return _CPU
    if isinstance(value, torch.Generator) and value.device != _CPU:
        return torch.Generator().manual_seed(value.initial_seed())
    return value
