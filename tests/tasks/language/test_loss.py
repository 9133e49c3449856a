"""The chunked vocabulary loss against cross-entropy of all logits at once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.tasks.language import vocabulary_loss as module
from benchmarks.tasks.language.vocabulary_loss import vocabulary_loss

TOKENS, WIDTH, VOCABULARY = 10, 5, 7


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    """Three chunks, the last one shorter."""
    monkeypatch.setattr(module, "_CPU_CHUNK", 4)


def inputs(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, TOKENS // 2, WIDTH), (VOCABULARY, WIDTH), (VOCABULARY,))
    hidden, weight, bias = (torch.randn(s, generator=generator, dtype=dtype).requires_grad_() for s in shapes)
    return hidden, weight, bias, torch.randint(VOCABULARY, (2, TOKENS // 2), generator=generator)


def plain(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(hidden, weight, bias).flatten(0, 1), targets.flatten())


def test_loss_and_gradients_are_those_of_cross_entropy():
    """Without it a chunk left out, or counted with another's size, would look like another learning rate."""
    *leaves, targets = inputs()
    expected = torch.autograd.grad(3 * plain(*leaves, targets), leaves)
    loss = vocabulary_loss(*leaves, targets)
    torch.testing.assert_close(loss, plain(*leaves, targets))
    for found, true in zip(torch.autograd.grad(3 * loss, leaves), expected, strict=True):
        torch.testing.assert_close(found, true, rtol=1e-12, atol=1e-14)


def test_gradients_are_finite_differences():
    """Without it the loss and its gradient could share a mistake with what they are compared to."""
    *leaves, targets = inputs()
    assert torch.autograd.gradcheck(lambda *x: vocabulary_loss(*x, targets), leaves)


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_an_input_without_gradient_changes_nothing_for_the_others(frozen):
    """Without it a frozen projection could stop the error that feeds every point."""
    *leaves, targets = inputs()
    expected = torch.autograd.grad(plain(*leaves, targets), leaves)
    leaves[frozen].requires_grad_(False)
    vocabulary_loss(*leaves, targets).backward()
    for i, (leaf, true) in enumerate(zip(leaves, expected, strict=True)):
        if i == frozen:
            assert leaf.grad is None
        else:
            torch.testing.assert_close(leaf.grad, true)


def test_gradients_can_be_asked_for_twice():
    """Without it the engine's compiled path, which reads the loss's graph twice, could get a gradient doubled."""
    *leaves, targets = inputs()
    loss = vocabulary_loss(*leaves, targets)
    once = torch.autograd.grad(loss, leaves, retain_graph=True)
    for first, second in zip(once, torch.autograd.grad(loss, leaves), strict=True):
        assert torch.equal(first, second)


def test_autocast_rounds_the_products_only():
    """Without it a bf16 loss of two digits would be told as a perplexity, or gradients would be summed in bf16."""
    *leaves, targets = inputs(torch.float32)
    rounded = [x.detach().bfloat16().double().requires_grad_() for x in leaves]
    true = torch.autograd.grad(plain(*rounded, targets), rounded)
    with torch.autocast("cpu", torch.bfloat16):
        loss = vocabulary_loss(*leaves, targets)
    loss.backward()
    assert loss.dtype == torch.float32
    logits = F.linear(*(x.detach().bfloat16() for x in leaves)).double()
    torch.testing.assert_close(
        loss.double(), F.cross_entropy(logits.flatten(0, 1), targets.flatten()), rtol=1e-6, atol=0
    )
    for leaf, gradient in zip(leaves, true, strict=True):
        assert leaf.grad.dtype == torch.float32
        assert F.cosine_similarity(leaf.grad.double().flatten(), gradient.flatten(), dim=0) > 0.9999


def largest_tensor(function, *arguments) -> int:
    """Entries of the largest tensor that any operation returns."""

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        largest = 0

        def __torch_dispatch__(self, op, types, args=(), kwargs=None):
            out = op(*args, **(kwargs or {}))
            for x in out if isinstance(out, tuple | list) else [out]:
                self.largest = max(self.largest, x.numel() if isinstance(x, Tensor) else 0)
            return out

    with Watch() as watch:
        function(*arguments)
    return watch.largest


def test_no_tensor_holds_the_logits_of_all_tokens():
    """Without it the memory could come back unseen, with the same loss."""
    generator = torch.Generator().manual_seed(0)
    hidden, weight = torch.randn(1, 40, 2, generator=generator), torch.randn(50, 2, generator=generator)
    arguments = (hidden, weight.requires_grad_(), torch.zeros(50), torch.zeros(1, 40, dtype=torch.long))
    assert largest_tensor(plain, *arguments) == 40 * 50
    assert largest_tensor(vocabulary_loss, *arguments) == 4 * 50


def test_evaluation_computes_no_gradients(monkeypatch):
    """Without it every evaluation would pay for gradients that nobody asks for."""
    *leaves, targets = inputs()
    expected = plain(*leaves, targets).detach()
    monkeypatch.setattr(module, "_add_product", None)  # would fail if it were called
    with torch.no_grad():
        torch.testing.assert_close(vocabulary_loss(*leaves, targets), expected)
