"""Alignment: how far the feedback points where backprop would.

DFA learns when B_i e comes to lie within 90° of the true gradient dL/dh_i. The probe measures the angle on
*one* forward pass, so both gradients see the same dropout mask: at the activations, sample by sample, and at the
weights below them, which is where a training step is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dfa_core.errors import FeedbackError
from dfa_core.method import FeedbackMethod
from dfa_core.probe import Gradients, ProbedPass, chained, gradients_of, passes_of_visits, starts, uncut_forward
from dfa_core.step import Signals, check_signals


@dataclass(frozen=True)
class WeightAlignment:
    """Cosines between the gradients that one feedback point's weights get from its signal and from backprop.

    Let h be the point's activation, θ the parameters that h depends on down to the next cuts, and δ the signal
    (``dfa``: B e). With what the cuts pass on held constant, and summed over samples and forward passes,

        g_sent = (∂h/∂θ)ᵀ δ        g_true = (∂h/∂θ)ᵀ dL/dh

    are what θ learns from through this point. Of a parameter that is also used elsewhere (a tied embedding) only
    this part counts; `Alignment.parameters` has the whole.

    Attributes:
        cosine: of g_sent and g_true, the parameters' entries all in one vector.
        rows: of each row θ[j] (flattened) of the parameters with two or more dims, ``(rows,)`` on the CPU: of a
            linear map the weights into unit j, of an embedding those of entry j, of weights stacked by kernel or
            group a whole slice. Without angle, and left out, are rows that are zero in either gradient: an
            embedding's entries that the batch does not hold. Of a matrix alone, ``cosine`` is Σ_j w_j rows_j with
            w_j = |sent_j| |true_j| / (|g_sent| |g_true|): a row of little gradient counts little there, and as
            much as any in a mean of ``rows``. Where the signals of a unit have one sign over most samples its row
            is near ±1, so that rows say which units learn and which unlearn.
        parameters: of each parameter; one without angle is left out.
    """

    cosine: float
    rows: Tensor
    parameters: dict[str, float]


@dataclass(frozen=True)
class Alignment:
    """Cosines between a method's signals and backprop's gradients.

    Attributes:
        points: per feedback point, from the input upwards, the cosine of each sample: ``(samples,)`` on the
            CPU. A sample whose signal or gradient is zero has no angle and is left out.
        parameters: per parameter, the cosine of the two gradients. A parameter that gets none, or a zero one, from
            either side is left out.
        weights: per feedback point, in the same order, the cosines of the weights below it. A point without
            such weights, or with zero gradients, is left out.
    """

    points: dict[str, Tensor]
    parameters: dict[str, float]
    weights: dict[str, WeightAlignment]

    @property
    def deepest_point(self) -> str:
        """The point farthest from the error tap, the one the paper reports."""
        return next(iter(self.points))

    @property
    def deepest(self) -> Tensor:
        """The cosines of the deepest point's samples."""
        return self.points[self.deepest_point]

    def quantiles(self, point: str, q: tuple[float, ...] = (0.05, 0.25, 0.5, 0.75, 0.95)) -> list[float]:
        """Quantiles of one point's cosines over the samples."""
        return [float(value) for value in torch.quantile(self.points[point], torch.tensor(q))]


def measure_alignment(method: FeedbackMethod, closure: Callable[[], Tensor]) -> Alignment:
    """Compare ``method`` with backprop on one forward pass; parameters' ``.grad`` stays untouched.

    Args:
        method: the feedback method attached to the model (``dfa``, or one of your own that sends signals).
        closure: runs the model and returns the scalar loss. A compiled model runs in eager mode here; of a
            model wrapped in DistributedDataParallel, call the inner ``.module``.

    Raises:
        FeedbackError: the method sends no signals (``shallow``), or the pass used the marks wrongly.
    """
    loss, visits = uncut_forward(method, closure)
    probed = passes_of_visits(visits, method.layout.tap_of)
    leaves = [visit.leaf for visit in visits]
    parameters = method.trainable_parameters()

    above = gradients_of([loss], None, [*parameters.values(), *leaves])
    for found in probed:
        found.seen.error = above.get(found.tap.leaf)
    signals = method.signals_of([found.seen for found in probed])
    if not any(signal is not None for sent in signals for signal in sent.values()):
        raise FeedbackError(f"{type(method).__name__} sends no signals, so it has no alignment to measure")
    for found, sent in zip(probed, signals, strict=True):
        check_signals(found.seen, sent)

    true, true_below = chained(above, visits, [*parameters.values(), *leaves])
    begin = {p: above[p] for p in parameters.values() if p in above} | starts(probed, signals)
    sent_total, sent_below = chained(begin, visits, list(parameters.values()))
    points = _point_cosines(method, probed, signals, true)
    below = {name: (true_below.get(name, {}), sent_below.get(name, {})) for name in points}
    weights = {name: _weight_alignment(parameters, *both) for name, both in below.items()}
    cosines = {n: _cosine(true[p], sent_total[p]) for n, p in parameters.items() if p in true and p in sent_total}
    return Alignment(
        points,
        {name: cosine for name, cosine in cosines.items() if cosine is not None},
        {name: found for name, found in weights.items() if found is not None},
    )


def _point_cosines(
    method: FeedbackMethod, passes: Sequence[ProbedPass], signals: Sequence[Signals], true: Gradients
) -> dict[str, Tensor]:
    cosines: dict[str, list[Tensor]] = {}
    for found, sent in zip(passes, signals, strict=True):
        for name, visit in found.points.items():
            signal = sent.get(name)
            if signal is not None and visit.leaf in true:
                width = method.layout.points[name].width
                cosines.setdefault(name, []).append(_row_cosines(true[visit.leaf], signal, width))
    return {name: torch.cat(parts) for name, parts in cosines.items()}


def _weight_alignment(parameters: Mapping[str, Tensor], true: Gradients, sent: Gradients) -> WeightAlignment | None:
    """The cosines of one point's weights; None where it has none, or either gradient is zero."""
    pairs = {name: (true[p].float(), sent[p].float()) for name, p in parameters.items() if p in true and p in sent}
    if not pairs:
        return None
    # Three sums a parameter: in one vector, large embedding tables would be copied.
    sums = {name: _sums(a, b) for name, (a, b) in pairs.items()}
    whole = _angle(torch.stack([*sums.values()]).sum(0))
    if whole is None:
        return None
    rows = [_row_cosines(a, b, a[0].numel()) for a, b in pairs.values() if a.ndim > 1]
    angles = {name: _angle(parts) for name, parts in sums.items()}
    return WeightAlignment(
        whole,
        torch.cat(rows) if rows else torch.empty(0),
        {name: cosine for name, cosine in angles.items() if cosine is not None},
    )


def _cosine(a: Tensor, b: Tensor) -> float | None:
    """The cosine of two gradients; None where one is zero."""
    return _angle(_sums(a.float(), b.float()))


def _sums(a: Tensor, b: Tensor) -> Tensor:
    """(a·b, a·a, b·b) in fp64."""
    return torch.stack([(a * b).sum(), (a * a).sum(), (b * b).sum()]).double()


def _angle(sums: Tensor) -> float | None:
    """The cosine from the sums (a·b, a·a, b·b); None where a or b is zero."""
    inner, a, b = sums.tolist()
    return inner / math.sqrt(a * b) if a * b > 0 else None


def _row_cosines(a: Tensor, b: Tensor, width: int) -> Tensor:
    """Cosine of each row of ``width`` entries; rows that are zero in ``a`` or ``b`` are left out."""
    a, b = (t.detach().float().reshape(-1, width) for t in (a, b))
    lengths = a.norm(dim=1) * b.norm(dim=1)
    defined = lengths > 0
    cosines: Tensor = (a * b).sum(1)[defined] / lengths[defined]
    return cosines.cpu()
