"""Products with a fixed sparsity pattern: what graph layers and bag-of-words inputs are made of.

A graph layer that gathers ``(edges, layers, channels)`` tensors spends its time moving memory. The two products
below work on the nonzeros in place, and each is the other's gradient:

    spmm   out[r] = Σ_c values[r, c] · dense[c]          over the pattern's nonzeros (r, c)
    sddmm  values[r, c] = ⟨left[r], right[c]⟩            at the pattern's nonzeros
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

# Said by PyTorch about compressed sparse tensors as such, whatever one does with them.
warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")


class Pattern:
    """Positions of the nonzeros of a ``(rows, columns)`` matrix, by row and by column.

    ``values`` belonging to a pattern are ``(nonzeros,)``, ordered by row and within it by column.

    Args:
        row, column: ``(nonzeros,)`` integers, sorted by (row, column), each position once.
        shape: (rows, columns).
    """

    def __init__(self, row: Tensor, column: Tensor, shape: tuple[int, int]) -> None:
        self.shape = shape
        self.row_starts = _starts(row, shape[0])
        self.column = column.int()
        self.by_column = torch.argsort(column, stable=True)  # the nonzeros in column-major order
        self.column_starts = _starts(column, shape[1])
        self.row = row[self.by_column].int()

    def matrix(self, values: Tensor) -> Tensor:
        """The ``(rows, columns)`` matrix with these nonzeros."""
        return torch.sparse_csr_tensor(self.row_starts, self.column, values, self.shape, check_invariants=False)

    def transposed(self, values: Tensor) -> Tensor:
        """Its transpose, ``(columns, rows)``."""
        return torch.sparse_csr_tensor(
            self.column_starts,
            self.row,
            values.index_select(0, self.by_column),
            self.shape[::-1],
            check_invariants=False,
        )


def spmm(pattern: Pattern, values: Tensor, dense: Tensor) -> Tensor:
    """Sparse × dense: ``(rows, columns) @ (columns, channels) → (rows, channels)``."""
    return _SpMM.apply(values, dense, pattern)


def sddmm(pattern: Pattern, left: Tensor, right: Tensor) -> Tensor:
    """Dense × dense at the nonzeros: ``left (rows, channels)``, ``right (columns, channels)`` → ``(nonzeros,)``."""
    return _SDDMM.apply(left, right, pattern)


def _sampled(pattern: Pattern, left: Tensor, right: Tensor) -> Tensor:
    out = pattern.matrix(left.new_zeros(pattern.column.numel()))
    torch.sparse.sampled_addmm(out, left, right.t(), beta=0.0, out=out)  # in place: it would copy the indices too
    return out.values()


def _product(matrix: Tensor, dense: Tensor) -> Tensor:
    out = dense.new_empty(matrix.size(0), dense.size(1))
    return torch.addmm(out, matrix, dense, beta=0.0, out=out)  # in place: it would fill with zeros and copy them


class _SpMM(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, dense: Tensor, pattern: Pattern) -> Tensor:
        ctx.pattern = pattern
        ctx.save_for_backward(values, dense)
        return _product(pattern.matrix(values), dense)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        values, dense = ctx.saved_tensors
        grad = grad.contiguous()
        d_values = _sampled(ctx.pattern, grad, dense) if ctx.needs_input_grad[0] else None
        d_dense = _product(ctx.pattern.transposed(values), grad) if ctx.needs_input_grad[1] else None
        return d_values, d_dense, None


class _SDDMM(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, pattern: Pattern) -> Tensor:
        ctx.pattern = pattern
        ctx.save_for_backward(left, right)
        return _sampled(pattern, left, right)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        left, right = ctx.saved_tensors
        d_left = _product(ctx.pattern.matrix(grad), right) if ctx.needs_input_grad[0] else None
        d_right = _product(ctx.pattern.transposed(grad), left) if ctx.needs_input_grad[1] else None
        return d_left, d_right, None


def _starts(sorted_or_not: Tensor, size: int) -> Tensor:
    counts = torch.bincount(sorted_or_not, minlength=size)
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)]).int()
