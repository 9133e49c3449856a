"""Counted products: those of formulas, under each form of training."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.speed.forms import FORMS, USUAL
from benchmarks.speed.products import products
from dfa_core import ErrorTap, FeedbackPoint

BATCH, WIDTH, DEPTH, CLASSES = 8, 16, 4, 5
#: A product of the batch with one hidden layer's weights, and with the first (of equal width), in operations.
LAYER = 2 * BATCH * WIDTH * WIDTH
HEAD = 2 * BATCH * WIDTH * CLASSES


def mlp() -> nn.Sequential:
    blocks = [nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), FeedbackPoint(WIDTH)) for _ in range(DEPTH)]
    return nn.Sequential(*blocks, nn.Linear(WIDTH, CLASSES), ErrorTap(CLASSES))


#: Forward, weight gradients, what passes errors on. Without gradients of the input the first layer passes none on.
EXPECTED = {
    "bp": (DEPTH + DEPTH + DEPTH - 1) * LAYER + 3 * HEAD,
    "bp_recompute": (2 * DEPTH + DEPTH + DEPTH - 1) * LAYER + 3 * HEAD,  # the head is in no block
    "dfa": 2 * DEPTH * LAYER + 2 * HEAD + HEAD,  # points of equal width share one projection
    "dfa, recomputing": 3 * DEPTH * LAYER + 3 * HEAD + HEAD,
    "dfa, re-entrant": (DEPTH + DEPTH + DEPTH - 1) * LAYER
    + 3 * HEAD
    + DEPTH * HEAD,  # and nobody reads what is passed on
    "shallow": DEPTH * LAYER + 2 * HEAD,
}


@pytest.mark.parametrize("form", USUAL)
def test_an_mlps_products_are_those_of_the_formula(form):
    """Without it a limit could count what does not run, or miss the backward pass."""
    torch.manual_seed(0)
    model = mlp()
    method, x, y = FORMS[form](model), torch.randn(BATCH, WIDTH), torch.randint(CLASSES, (BATCH,))
    counted = products(lambda: method.step(lambda: F.cross_entropy(model(x), y)))
    assert counted == EXPECTED[form]


def test_a_sparse_product_counts_its_entries():
    """Without it an adjacency of a thousandth of its size would count as a dense one."""
    sparse = torch.eye(10).to_sparse_csr()
    assert products(lambda: sparse @ torch.randn(10, 7)) == 2 * 10 * 7


def test_a_product_that_is_added_in_place_counts():
    """The vocabulary's gradient is one, a seventh of the Transformer's step, and was not counted."""
    a, b, total = torch.randn(3, 4), torch.randn(4, 5), torch.zeros(3, 5)
    assert products(lambda: total.addmm_(a, b)) == products(lambda: torch.addmm(total, a, b)) == 2 * 3 * 4 * 5
