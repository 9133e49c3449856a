"""Matrix products of a step, counted while it runs: the limit that arithmetic sets to any ratio of step times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop, sdpa_flop

_aten = torch.ops.aten
#: Attention on a CPU, which PyTorch's own table leaves out.
_ON_CPU: dict[Any, Callable[..., int]] = {
    _aten._scaled_dot_product_flash_attention_for_cpu: sdpa_flop,
    _aten._scaled_dot_product_flash_attention_for_cpu_backward: sdpa_backward_flop,
}
_FORMULAS = {**flop_registry, **_ON_CPU}


def products(step: Callable[[], None]) -> int:
    """Floating-point operations of the matrix products and convolutions in ``step``, sparse ones by their entries."""
    counter = _Counter()
    with counter:
        step()
    return counter.operations


class _Counter(TorchDispatchMode):
    """Sees every operation, those of backward passes included."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        formula = _FORMULAS.get(_out_of_place(func._overloadpacket))
        if formula is not None:
            self.operations += _of_sparse(args, result) or formula(*args, **kwargs, out_val=result)
        return result


def _out_of_place(operation: Any) -> Any:
    """``addmm`` of ``addmm_``: what is counted does not depend on where the result goes."""
    name = operation.__name__
    return getattr(_aten, name.removesuffix("_"), operation) if name.endswith("_") else operation


def _of_sparse(args: tuple[Any, ...], result: Any) -> int:
    """Two operations for each entry of a sparse factor and each column of the result; 0 where no factor is sparse."""
    for factor in args:
        if isinstance(factor, Tensor) and factor.layout != torch.strided:
            return 2 * factor._nnz() * int(result.shape[-1])
    return 0
