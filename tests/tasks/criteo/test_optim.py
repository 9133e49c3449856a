"""Sparse updates of embedding tables: Adam's where rows are touched, nothing where they are not."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.settings.schema import OptimConfig
from benchmarks.tasks.criteo.config import FMConfig
from benchmarks.tasks.criteo.fields import Fields
from benchmarks.tasks.criteo.fm import FM
from benchmarks.training import lazy_adam
from benchmarks.training.lazy_adam import LazyAdam
from benchmarks.training.optim import Schedule, clip_gradients

ROWS, FIELDS = 24, 3


def network(sparse: bool) -> nn.Module:
    """A factorization machine: a table of width 4, one of width 1, and a bias."""
    torch.manual_seed(0)
    return FM(FMConfig(embedding=4, linear_std=0.1), Fields(FIELDS, ROWS, sparse))


def batch(number: int, everywhere: bool = False) -> tuple[Tensor, Tensor]:
    """32 samples of the table's first half, or of all of it with no row left out."""
    generator = torch.Generator().manual_seed(number)
    rows = torch.randint(ROWS if everywhere else ROWS // 2, (32, FIELDS), generator=generator)
    if everywhere:
        rows.view(-1)[:ROWS] = torch.arange(ROWS)
    return rows.int(), torch.randint(2, (32,), generator=generator).float()


def train(model: nn.Module, optimizer: torch.optim.Optimizer, numbers: range, everywhere: bool = False, clip=None):
    for number in numbers:
        rows, labels = batch(number, everywhere)
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(model(rows), labels).backward()
        if clip is not None:
            clip_gradients(model.parameters(), clip)
        optimizer.step()


def assert_same(a: nn.Module, b: nn.Module, **tolerance: float) -> None:
    for name, value in a.state_dict().items():
        torch.testing.assert_close(value, b.state_dict()[name], **tolerance, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("clip", [None, 0.05])
@pytest.mark.parametrize("eps", [1e-8, 1e-3])
def test_equals_adam_where_every_row_is_touched(clip, eps):
    """Without it the sparse update could be another optimizer: PyTorch's own places eps elsewhere, as 1e-3 shows."""
    sparse, dense = network(True), network(False)
    settings = {"lr": 0.05, "betas": (0.8, 0.95), "eps": eps}
    train(sparse, LazyAdam(sparse.parameters(), **settings), range(12), True, clip)
    train(dense, torch.optim.Adam(dense.parameters(), **settings), range(12), True, clip)
    assert_same(sparse, dense, rtol=1e-4, atol=1e-6)
    assert not torch.equal(dense.embedding.weight, network(False).embedding.weight)


def test_is_adam_itself_where_no_gradient_is_sparse():
    """Without it the tasks without tables would move by a rounding, and their records with them."""
    ours, adams = network(False), network(False)
    train(ours, LazyAdam(ours.parameters(), lr=0.05, weight_decay=0.1), range(5))
    train(adams, torch.optim.Adam(adams.parameters(), lr=0.05, weight_decay=0.1), range(5))
    assert_same(ours, adams, rtol=0, atol=0)


def test_rows_that_no_batch_touches_stay_bit_for_bit():
    """Without it the update could cost as much as the dense one, or drag rows along by their momentum."""
    model = network(True)
    optimizer = LazyAdam(model.parameters(), lr=0.05)
    train(model, optimizer, range(3), everywhere=True)  # so that every row has momentum
    before, moments = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict()["state"])
    train(model, optimizer, range(3, 6))
    for index, table in enumerate(("embedding.weight", "linear.table.weight")):
        now, rest = model.state_dict()[table], slice(ROWS // 2, None)
        assert torch.equal(now[rest], before[table][rest]) and not torch.equal(now, before[table])
        (number,) = (i for i, (name, _) in enumerate(model.named_parameters()) if name == table)
        for moment in ("exp_avg", "exp_avg_sq"):
            kept, then = optimizer.state_dict()["state"][number][moment], moments[number][moment]
            assert torch.equal(kept[rest], then[rest]) and not torch.equal(kept, then), (index, moment)


def test_gradients_are_there_after_the_step():
    """Without it whoever logs gradients would find the tables' gone."""
    model = network(True)
    train(model, LazyAdam(model.parameters(), lr=0.05), range(1))
    assert all(p.grad is not None for p in model.parameters()) and model.embedding.weight.grad.is_sparse


def test_resumed_is_uninterrupted():
    """Without it an interrupted run would continue with the tables' moments at zero."""
    whole = network(True)
    train(whole, LazyAdam(whole.parameters(), lr=0.05), range(8))
    first, second = network(True), network(True)
    optimizer = LazyAdam(first.parameters(), lr=0.05)
    train(first, optimizer, range(4))
    second.load_state_dict(first.state_dict())
    continued = LazyAdam(second.parameters(), lr=0.7)
    continued.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(second, continued, range(4, 8))
    assert_same(second, whole, rtol=0, atol=0)


def test_a_schedule_reaches_the_tables():
    """Without it a warm-up or a decay would hold for the dense part alone."""
    model = network(True)
    optimizer = LazyAdam(model.parameters(), lr=0.05)
    config = OptimConfig(lr=0.05, schedule="exponential", schedule_steps=1, schedule_factor=0.0)
    schedule = Schedule(optimizer, config, higher_is_better=True)
    train(model, optimizer, range(1))
    schedule.after_step()  # from now on the rate is zero
    before = copy.deepcopy(model)
    train(model, optimizer, range(2))
    assert_same(model, before, rtol=0, atol=0)


def test_clipping_counts_and_scales_sparse_gradients():
    """Without it DCN's tables would escape the published clipping, or a row that is touched twice count as two."""
    gradients = []
    for sparse in (True, False):
        model = network(sparse)
        rows, labels = batch(0)
        F.binary_cross_entropy_with_logits(model(rows), labels).backward()
        if sparse:
            clip_gradients(model.parameters(), 1e-3)
        else:
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
        gradients.append(torch.cat([p.grad.to_dense().flatten() for p in model.parameters()]))
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=0)
    assert gradients[0].norm().item() == pytest.approx(1e-3, rel=1e-2)


def test_clipping_leaves_small_gradients_alone():
    """Without it every gradient could be scaled up to the bound."""
    model = network(True)
    rows, labels = batch(0)
    F.binary_cross_entropy_with_logits(model(rows), labels).backward()
    before = [p.grad.coalesce().to_dense() if p.grad.is_sparse else p.grad.clone() for p in model.parameters()]
    clip_gradients(model.parameters(), 100.0)
    for p, gradient in zip(model.parameters(), before, strict=True):
        assert torch.equal(p.grad.to_dense(), gradient)


def test_sums_by_row_are_those_of_coalesce():
    """Without it an entry could be counted for another row; two tables of one batch are sorted once."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(50, (400,), generator=generator)
    orders = []
    for width in (10, 1):
        values = torch.randn(400, width, generator=generator)
        gradient = torch.sparse_coo_tensor(ids[None], values, (60, width), check_invariants=True)
        rows, sums = lazy_adam._sums(gradient, orders)
        expected = gradient.coalesce()
        assert torch.equal(rows, expected.indices()[0])
        torch.testing.assert_close(sums, expected.values())
        assert all(map(torch.equal, lazy_adam._sums(expected, []), (rows, expected.values())))
    assert len(orders) == 1
