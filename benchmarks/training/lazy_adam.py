"""Adam for models with large tables, of which a batch touches few rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class LazyAdam(torch.optim.Adam):
    """Adam that updates only the touched rows of a table whose gradient is sparse.

    Rows that a batch does not touch keep value and moments, where Adam would go on moving them by their fading
    momentum. Touched rows are updated as Adam does, with the bias corrections of the table's step: where every row is
    touched in every step, both agree. State and state dict are Adam's. Tables have no weight decay.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no loop here has a closure
        tables = [(group, p) for group in self.param_groups for p in group["params"] if _is_sparse(p.grad)]
        orders: list[_Order] = []
        for group, table in tables:
            self._update_rows(table, group, *_sums(table.grad, orders))
        with _without_gradients([table for _, table in tables]):  # which Adam refuses
            super().step()

    def _update_rows(self, table: Tensor, group: dict[str, Any], rows: Tensor, g: Tensor) -> None:
        """One step of Adam (Kingma & Ba 2015, algorithm 1) for ``rows`` of a table with gradients ``g``."""
        state, (beta1, beta2) = self.state[table], group["betas"]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(table), torch.zeros_like(table)
        state["step"] += 1
        step = state["step"].item()
        m = state["exp_avg"].index_select(0, rows).lerp_(g, 1 - beta1)
        v = state["exp_avg_sq"].index_select(0, rows).mul_(beta2).addcmul_(g, g, value=1 - beta2)
        state["exp_avg"].index_copy_(0, rows, m)
        state["exp_avg_sq"].index_copy_(0, rows, v)
        denominator = v.sqrt_().div_(math.sqrt(1 - beta2**step)).add_(group["eps"])
        table.index_add_(0, rows, m.div_(denominator), alpha=-group["lr"] / (1 - beta1**step))


class _Order(NamedTuple):
    """The entries of a gradient, sorted by row: their rows as they stand there, each row once, the entries' order, and
    where a row's entries begin in it.
    """

    indices: Tensor
    rows: Tensor
    order: Tensor
    begins: Tensor


def _sums(gradient: Tensor | None, orders: list[_Order]) -> tuple[Tensor, Tensor]:
    """Touched rows ``(rows,)`` of a sparse gradient and the sums of their entries ``(rows, width)``, as `coalesce` has.

    PyTorch's `coalesce` takes a tenth of DeepFM's step. Here the sums are a bag of embeddings each, in a fifth of its
    time, and tables with equal indices share the sorting, which is kept in ``orders`` for this step.
    """
    assert gradient is not None
    if gradient.is_coalesced():
        return gradient.indices()[0], gradient.values()
    indices, values = gradient._indices()[0], gradient._values()
    known = next((one for one in orders if torch.equal(one.indices, indices)), None)
    if known is None:
        found, order = torch.sort(indices, stable=True)
        rows, counts = torch.unique_consecutive(found, return_counts=True)
        known = _Order(indices, rows, order, counts.cumsum(0) - counts)
        orders.append(known)
    return known.rows, F.embedding_bag(known.order, values, known.begins, mode="sum")


def _is_sparse(gradient: Tensor | None) -> bool:
    return gradient is not None and gradient.is_sparse


@contextmanager
def _without_gradients(parameters: list[Tensor]) -> Iterator[None]:
    gradients = [p.grad for p in parameters]
    for p in parameters:
        p.grad = None
    try:
        yield
    finally:
        for p, gradient in zip(parameters, gradients, strict=True):
            p.grad = gradient
