"""How weights and signals come to lie along the feedback (arXiv:2011.12428).

With layers a_l = W_l h_{l-1}, h_l = g(a_l) and signals δ_l = (F_l e) ⊙ g'(a_l), F_l the feedback of hidden layer l:

    weight alignment    cos(W_l, F_l F_{l-1}ᵀ) for l = 2 … L − 1, and cos(W_L, F_{L-1}ᵀ) of the output layer
    gradient alignment  cos(δ_l, dL/da_l), sample by sample, at every hidden layer

"Total" is one cosine of all layers' entries in one vector. For that of the weights F_l is the matrix as it was drawn,
as in the released code: F_l F_{l-1}ᵀ has the square of its scale and F_{L-1}ᵀ the scale, so that the scale decides how
much each layer has to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from benchmarks.tasks.images.data import Batch
from dfa_core import DFA, FeedbackPoint, Method

if TYPE_CHECKING:
    from benchmarks.tasks.images.cnn import CNN


class Stacked(Protocol):
    """Networks side by side: called with pixels ``(copies, n, inputs)``, scores ``(copies, n, classes)``."""

    activation: nn.Module
    points: nn.ModuleList

    def __call__(self, x: Tensor) -> Tensor: ...


WEIGHTS, SIGNALS = "feedback_weight_cosine", "preactivation_cosine"


def stack_dynamics(weights: Sequence[Tensor], model: Stacked, method: Method, batch: Batch) -> dict[str, float]:
    """Alignment within a stack of networks, and the cosine between them: means over its copies.

    Args:
        weights: of each layer, ``(copies, inputs, outputs)``.
        batch: ``(copies, n, …)``, on which signals are compared.

    Returns:
        ``seed_cosine``, the mean over pairs of copies of the cosine of all weights, and its standard error ``/error``
        (by leaving out each copy in turn); under ``dfa`` both alignments in total and ``/<layer>`` (the hidden layers
        from 1, then ``output``), the totals' standard errors over copies, and ``bottom_first``, the share of the copies
        whose hidden layers' weight alignment falls from each layer to the next.
    """
    cosine, error = _pairwise_cosine(torch.cat([w.detach().flatten(1) for w in weights], 1))
    found = {"seed_cosine": cosine, "seed_cosine/error": error}
    if not isinstance(method, DFA):
        return found
    feedback = [method.unscaled(f"points.{number}").T.double() for number in range(len(weights) - 1)]
    targets = [*(lower @ upper.T for lower, upper in pairwise(feedback)), feedback[-1]]  # (inputs, outputs) each
    aligned = [w.detach().double() for w in weights[1:]]
    by_layer = [_copies_cosine(w, target) for w, target in zip(aligned, targets, strict=True)]
    total = _copies_cosine(
        torch.cat([w.flatten(1) for w in aligned], 1), torch.cat([target.flatten() for target in targets])
    )
    names = [*(str(layer) for layer in range(2, len(weights))), "output"]
    found |= {f"{WEIGHTS}/total": total.mean().item(), f"{WEIGHTS}/total/error": _standard_error(total)}
    found |= {f"{WEIGHTS}/{name}": cosines.mean().item() for name, cosines in zip(names, by_layer, strict=True)}
    hidden = torch.stack(by_layer[:-1]) if len(by_layer) > 1 else torch.empty(0, len(total))
    found["bottom_first"] = (hidden[:-1] > hidden[1:]).all(0).double().mean().item()
    return found | _signal_cosines(model, method, batch)


def convolution_cosines(model: CNN, method: Method) -> dict[str, float]:
    """The weight alignment of the maps between neighbouring blocks without pooling, as matrices; none without dfa."""
    if not isinstance(method, DFA):
        return {}
    found: dict[str, float] = {}
    names = [f"blocks.{number}" for number in range(len(model.blocks))]
    for lower, upper in pairwise(names):
        linear, point = model.get_submodule(f"{upper}.linear"), model.get_submodule(f"{lower}.point")
        assert isinstance(point, FeedbackPoint)
        pool = model.get_submodule(upper)._modules.get("pool")
        if not isinstance(pool, nn.Identity) or len(point.features) != 3:
            continue
        target = method.matrix(f"{upper}.point").T @ method.matrix(f"{lower}.point")  # (outputs, inputs)
        matrix = matrix_of(linear, point.features).T
        found[f"{WEIGHTS}/{upper}"] = float((matrix * target).sum() / (matrix.norm() * target.norm()))
    return found


@torch.no_grad()
def matrix_of(layer: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """The matrix of an affine layer without its constant part, ``(inputs, outputs)``; inputs are of ``shape``."""
    size = torch.Size(shape).numel()
    basis = torch.eye(size).reshape(size, *shape)
    return (layer(basis) - layer(torch.zeros(1, *shape))).flatten(1)


def _signal_cosines(model: Stacked, method: DFA, batch: Batch) -> dict[str, float]:
    """The gradient alignment of each hidden layer and in total, mean over copies and samples."""
    before: list[Tensor] = []
    hook = model.activation.register_forward_hook(lambda module, inputs, output: before.append(inputs[0]))
    after: list[Tensor] = []
    hooks = [hook, *(p.register_forward_hook(lambda m, x, out: after.append(out)) for p in model.points)]
    try:
        with method.detached(), torch.enable_grad():
            scores = model(batch.images)
            loss = nn.functional.cross_entropy(scores.flatten(0, 1), batch.labels.flatten())
            error, *true = torch.autograd.grad(loss, [scores, *before], retain_graph=True)
            signals = [error @ method.matrix(f"points.{number}").to(error.dtype) for number in range(len(after))]
            sent = [
                torch.autograd.grad(h, a, signal, retain_graph=True)[0]
                for a, h, signal in zip(before, after, signals, strict=True)
            ]
    finally:
        for one in hooks:
            one.remove()
    layers = enumerate(zip(true, sent, strict=True), start=1)
    by_layer = {f"{SIGNALS}/{number}": _mean_cosines(a, b).mean().item() for number, (a, b) in layers}
    total = _mean_cosines(torch.cat(true, -1), torch.cat(sent, -1))
    return {SIGNALS: total.mean().item(), f"{SIGNALS}/error": _standard_error(total), **by_layer}


def _copies_cosine(weights: Tensor, target: Tensor) -> Tensor:
    """The cosine of each copy's weights ``(copies, …)`` with one target, ``(copies,)``; 0 where they are zero."""
    flat, wanted = weights.flatten(1), target.flatten()
    sizes = flat.norm(dim=1) * wanted.norm()
    return torch.where(sizes > 0, flat @ wanted / sizes.clamp(min=1e-300), 0.0)


def _pairwise_cosine(vectors: Tensor) -> tuple[float, float]:
    """The mean cosine over all pairs of the rows, and its jackknife standard error; 0 of a single row."""
    count = len(vectors)
    if count < 2:
        return 0.0, 0.0
    unit = nn.functional.normalize(vectors.double(), dim=1)
    cosines = unit @ unit.T
    cosines.fill_diagonal_(0)
    total = cosines.sum() / 2
    mean = float(total / (count * (count - 1) / 2))
    if count < 3:
        return mean, 0.0
    left = (total - cosines.sum(1)) / ((count - 1) * (count - 2) / 2)
    return mean, float(((count - 1) / count * (left - left.mean()).square().sum()).sqrt())


def _mean_cosines(a: Tensor, b: Tensor) -> Tensor:
    """For each copy the mean over the samples ``(copies, n, width)`` that are not zero in either; 0 where all are."""
    sizes = a.norm(dim=-1) * b.norm(dim=-1)
    cosines = torch.where(sizes > 0, (a * b).sum(-1) / sizes.clamp(min=1e-38), 0.0)
    return cosines.sum(1) / (sizes > 0).sum(1).clamp(min=1)


def _standard_error(values: Tensor) -> float:
    return float(values.std() / len(values) ** 0.5) if len(values) > 1 else 0.0
