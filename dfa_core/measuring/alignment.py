"""Alignment: how far the feedback points where backprop would.

DFA learns when B_i e comes to lie within 90° of the true gradient dL/dh_i. The probe measures the angle on
*one* forward pass, so both gradients see the same dropout mask: at the activations, sample by sample, and at the
weights below them, which is where a training step is taken. Methods that send no signals to points are measured at the
weights alone, with the same random numbers in their passes and in backprop's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dfa_core.errors import FeedbackError
from dfa_core.families.feedback_method import FeedbackMethod
from dfa_core.families.rewind import Rewind
from dfa_core.measuring.cosines import PointStatistics, angle, cosine, point_statistics, row_cosines, sums
from dfa_core.measuring.probe import (
    Gradients,
    ProbedPass,
    ProbedVisit,
    chained,
    dense,
    fed_on,
    gradients_of,
    passes_of_visits,
    sent_to,
    starts,
    uncut_forward,
)
from dfa_core.method import Method
from dfa_core.recording.step import Signals, check_signals
from dfa_core.supervision import Supervision


@dataclass(frozen=True)
class WeightAlignment:
    """Cosines between the gradients that one feedback point's weights get from its signal and from backprop.

    Let h be the point's activation, θ the parameters that h depends on down to the next cuts, and δ the signal
    (``dfa``: B e). With what the cuts pass on held constant, and summed over samples and forward passes,

        g_sent = (∂h/∂θ)ᵀ δ        g_true = (∂h/∂θ)ᵀ dL/dh

    are what θ learns from through this point. Of a parameter that is also used elsewhere (a tied embedding) only
    this part counts; `Alignment.parameters` has the whole. Methods without cuts send no δ: there, the whole gradients
    of the same parameters are compared.

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
        statistics: per feedback point, what its cosines are to be read with; empty where there are no signals.
    """

    points: dict[str, Tensor]
    parameters: dict[str, float]
    weights: dict[str, WeightAlignment]
    statistics: dict[str, PointStatistics] = field(default_factory=dict)

    @property
    def deepest_point(self) -> str:
        """The point farthest from the error tap, the one the paper reports."""
        return next(iter(self.points or self.weights))

    @property
    def deepest(self) -> Tensor:
        """The cosines of the deepest point's samples."""
        return self.points[self.deepest_point]

    def quantiles(self, point: str, q: tuple[float, ...] = (0.05, 0.25, 0.5, 0.75, 0.95)) -> list[float]:
        """Quantiles of one point's cosines over the samples."""
        return [float(value) for value in torch.quantile(self.points[point], torch.tensor(q))]


def measure_alignment(
    method: Method, closure: Callable[[], Tensor], supervision: Supervision | None = None
) -> Alignment:
    """Compare ``method`` with backprop on one forward pass; parameters' ``.grad`` stays untouched.

    Args:
        method: the method attached to the model (one of this package's, or your own).
        closure: runs the model and returns the scalar loss. A compiled model runs in eager mode here; of a
            model wrapped in DistributedDataParallel, call the inner ``.module``.
        supervision: as of `Method.step`.

    Raises:
        FeedbackError: the method sends no signals (``shallow``), or the pass used the marks wrongly.
    """
    method.check_supervision(supervision)
    if not isinstance(method, FeedbackMethod) or not method.sends_signals:
        return _of_gradients(method, closure, supervision)
    with method.in_step(closure, supervision, learning=False):
        with Rewind(method.model).again():  # a training that is measured stays the training that it was
            loss, visits = uncut_forward(method, closure)
        probed = passes_of_visits(visits, method.layout.tap_of)
        above, true, true_below = _backprop(method, loss, visits)
        signals = sent_to(method, probed, above, fed_on(probed, true_below))
    if not any(signal is not None for sent in signals for signal in sent.values()):
        raise FeedbackError(f"{type(method).__name__} sends no signals, so it has no alignment to measure")
    for found, sent in zip(probed, signals, strict=True):
        check_signals(found.seen, sent)

    parameters = method.trainable_parameters()
    begin = {p: above[p] for p in parameters.values() if p in above} | starts(probed, signals)
    sent_total, sent_below = chained(begin, visits, list(parameters.values()))
    points, statistics = _at_points(method, probed, signals, true)
    below = {name: (true_below.get(name, {}), sent_below.get(name, {})) for name in points}
    weights = {name: _weight_alignment(parameters, *both) for name, both in below.items()}
    return Alignment(points, _by_parameter(parameters, true, sent_total), _known(weights), statistics)


def _backprop(
    method: Method, loss: Tensor, visits: Sequence[ProbedVisit]
) -> tuple[Gradients, Gradients, dict[str, Gradients]]:
    """Backprop's gradients of parameters and leaves: above the taps, in all, and each point's part."""
    inputs = [*method.trainable_parameters().values(), *(visit.leaf for visit in visits)]
    above = gradients_of([loss], None, inputs)
    return (above, *chained(above, visits, inputs))


def _of_gradients(method: Method, closure: Callable[[], Tensor], supervision: Supervision | None) -> Alignment:
    """The alignment of what a whole step gives the parameters, for methods without signals at points."""
    if method.exact or method.leaves_parameters_untrained:
        if not method.layout.is_attached(method.recorder):
            raise FeedbackError(f"{type(method).__name__} is not attached to its model: attach no other afterwards")
        raise FeedbackError(f"{type(method).__name__} sends no signals, so it has no alignment to measure")
    rewind, parameters = Rewind(method.model), method.trainable_parameters()
    with rewind.again():
        loss, visits = uncut_forward(method, closure)
    _, true, true_below = _backprop(method, loss, visits)
    with _gradients_set_aside([*parameters.values(), *method.parameters()]), rewind.again():
        method.gradients(closure, supervision)
        sent: Gradients = {p: dense(p.grad.detach()) for p in parameters.values() if p.grad is not None}
    segments = {visit.name: true_below[visit.name] for visit in visits if visit.name in true_below}
    weights = {
        name: _weight_alignment(parameters, {p: true[p] for p in segment if p in true}, sent)
        for name, segment in segments.items()
        if name in method.layout.points
    }
    if not weights:
        raise FeedbackError(f"{type(method).__name__} sends no signals, so it has no alignment to measure")
    return Alignment({}, _by_parameter(parameters, true, sent), _known(weights))


@contextmanager
def _gradients_set_aside(parameters: Sequence[Tensor]) -> Iterator[None]:
    """Take gradients, and hooks that wait for them, off ``parameters`` inside the block; put them back afterwards.

    Such hooks (``register_post_accumulate_grad_hook``) hold optimizers, which would train while it is measured. Those
    that change a gradient on its way belong to it, and stay.
    """
    before = [p.grad for p in parameters]
    # Emptied and filled again, since handles that remove a hook know this very dictionary.
    waiting = [hooks for p in parameters if (hooks := getattr(p, "_post_accumulate_grad_hooks", None)) is not None]
    held = [dict(hooks) for hooks in waiting]
    for hooks in waiting:
        hooks.clear()
    for p in parameters:
        p.grad = None
    try:
        yield
    finally:
        for p, gradient in zip(parameters, before, strict=True):
            p.grad = gradient
        for hooks, kept in zip(waiting, held, strict=True):
            hooks.update(kept)


def _at_points(
    method: Method, passes: Sequence[ProbedPass], signals: Sequence[Signals], true: Gradients
) -> tuple[dict[str, Tensor], dict[str, PointStatistics]]:
    """The cosines of each point's samples, and its statistics in the first pass that reached it."""
    cosines: dict[str, list[Tensor]] = {}
    statistics: dict[str, PointStatistics] = {}
    for found, sent in zip(passes, signals, strict=True):
        for name, visit in found.points.items():
            signal = sent.get(name)
            if signal is not None and visit.leaf in true:
                width = method.layout.points[name].width
                cosines.setdefault(name, []).append(row_cosines(true[visit.leaf], signal, width))
                if name not in statistics:
                    statistics[name] = point_statistics(visit.leaf, true[visit.leaf], signal, width)
    return {name: torch.cat(parts) for name, parts in cosines.items()}, statistics


def _by_parameter(parameters: Mapping[str, Tensor], true: Gradients, sent: Gradients) -> dict[str, float]:
    cosines = {n: cosine(true[p], sent[p]) for n, p in parameters.items() if p in true and p in sent}
    return {name: value for name, value in cosines.items() if value is not None}


def _known(weights: Mapping[str, WeightAlignment | None]) -> dict[str, WeightAlignment]:
    return {name: found for name, found in weights.items() if found is not None}


def _weight_alignment(parameters: Mapping[str, Tensor], true: Gradients, sent: Gradients) -> WeightAlignment | None:
    """The cosines of one point's weights; None where it has none, or either gradient is zero."""
    pairs = {name: (true[p].float(), sent[p].float()) for name, p in parameters.items() if p in true and p in sent}
    if not pairs:
        return None
    # Three sums a parameter: in one vector, large embedding tables would be copied.
    summed = {name: sums(a, b) for name, (a, b) in pairs.items()}
    whole = angle(torch.stack([*summed.values()]).sum(0))
    if whole is None:
        return None
    rows = [row_cosines(a, b, a[0].numel()) for a, b in pairs.values() if a.ndim > 1]
    angles = {name: angle(parts) for name, parts in summed.items()}
    return WeightAlignment(
        whole,
        torch.cat(rows) if rows else torch.empty(0),
        {name: cosine for name, cosine in angles.items() if cosine is not None},
    )
