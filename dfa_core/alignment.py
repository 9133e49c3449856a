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
from dfa_core.passes import Pass
from dfa_core.step import Signals, check_signals
from dfa_core.wrappers import check_not_sharded

Gradients = dict[Tensor, Tensor]  # by the tensor it belongs to (tensors hash by identity)


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
    loss, visits = _uncut_forward(method, closure)
    probed = _passes(visits, method.layout.tap_of)
    leaves = [visit.leaf for visit in visits]
    parameters = method.trainable_parameters()

    above = _gradients([loss], None, [*parameters.values(), *leaves])
    for found in probed:
        found.seen.error = above.get(found.tap.leaf)
    signals = method.signals_of([found.seen for found in probed])
    if not any(signal is not None for sent in signals for signal in sent.values()):
        raise FeedbackError(f"{type(method).__name__} sends no signals, so it has no alignment to measure")
    for found, sent in zip(probed, signals, strict=True):
        check_signals(found.seen, sent)

    true, true_below = _chained(above, visits, [*parameters.values(), *leaves])
    starts = {p: above[p] for p in parameters.values() if p in above} | _starts(probed, signals)
    sent_total, sent_below = _chained(starts, visits, list(parameters.values()))
    points = _point_cosines(method, probed, signals, true)
    below = {name: (true_below.get(name, {}), sent_below.get(name, {})) for name in points}
    weights = {name: _weight_alignment(parameters, *both) for name, both in below.items()}
    cosines = {n: _cosine(true[p], sent_total[p]) for n, p in parameters.items() if p in true and p in sent_total}
    return Alignment(
        points,
        {name: cosine for name, cosine in cosines.items() if cosine is not None},
        {name: found for name, found in weights.items() if found is not None},
    )


@dataclass(eq=False)
class _Visit:
    """One mark that ran: its input, attached to the graph below, and the leaf that it passed on."""

    name: str
    input: Tensor
    leaf: Tensor


@dataclass(eq=False)
class _ProbedPass:
    """A forward pass: the visit of its tap, those of its points by name, and what a method sees of it."""

    tap: _Visit
    points: dict[str, _Visit]
    seen: Pass


class _Probe:
    """Passes on leaves at all marks, so that the true gradient can be chained through every cut."""

    def __init__(self) -> None:
        self.visits: list[_Visit] = []

    def at_point(self, name: str, x: Tensor) -> Tensor:
        leaf = x.detach().requires_grad_()
        self.visits.append(_Visit(name, x, leaf))
        return leaf

    at_tap = at_point


def _uncut_forward(method: FeedbackMethod, closure: Callable[[], Tensor]) -> tuple[Tensor, list[_Visit]]:
    """Run ``closure`` with leaves at all marks. The method is attached as before afterwards."""
    if not isinstance(method, FeedbackMethod) or not method.layout.is_attached(method.recorder):
        raise FeedbackError(
            f"{type(method).__name__} is not a feedback method attached to its model, so it has no alignment "
            "to measure: make it with make_method and attach no other method afterwards"
        )
    check_not_sharded(method._model[0])
    probe = _Probe()
    before = method.layout.recorders()
    method.layout.attach(probe)
    try:
        with torch.enable_grad(), torch.compiler.set_stance("force_eager"):
            loss = closure()
    finally:
        method.layout.attach_each(before)
    return loss, probe.visits


def _passes(visits: Sequence[_Visit], tap_of: Mapping[str, str]) -> list[_ProbedPass]:
    """The visits in passes, each of which ends where its tap runs.

    Raises:
        FeedbackError: a point ran twice in one pass, or no tap ran.
    """
    passes: list[_ProbedPass] = []
    unfinished: dict[str, dict[str, _Visit]] = {}
    for visit in visits:
        if visit.name not in tap_of:
            points = unfinished.pop(visit.name, {})
            seen = Pass(visit.name, {name: point.leaf.detach() for name, point in points.items()})
            passes.append(_ProbedPass(visit, points, seen))
        elif unfinished.setdefault(tap_of[visit.name], {}).setdefault(visit.name, visit) is not visit:
            raise FeedbackError(f"feedback point '{visit.name}' ran twice in one pass: give each use its own")
    if not passes:
        raise FeedbackError("no error tap ran in the closure: run the model that the method was made for")
    return passes


def _starts(passes: Sequence[_ProbedPass], signals: Sequence[Signals]) -> Gradients:
    """With what the last part of a training step starts at each mark: the signals at the points, e at the taps."""
    starts: Gradients = {}
    for found, sent in zip(passes, signals, strict=True):
        starts[found.tap.leaf] = found.seen.error
        for name, signal in sent.items():
            if signal is not None:
                leaf = found.points[name].leaf
                starts[leaf] = signal.to(leaf.dtype)
    return starts


def _chained(
    starts: Gradients, visits: Sequence[_Visit], inputs: Sequence[Tensor]
) -> tuple[Gradients, dict[str, Gradients]]:
    """Gradients of ``inputs``, put together from the pieces between the cuts: the sum, and each mark's part.

    ``starts`` holds gradients at the marks' leaves, and of what lies above the taps. If the leaves are among the
    inputs it need hold the taps' alone, and the result is backprop's. Whatever was computed from a mark's leaf
    ran after the mark did. So in reverse order of the visits, a leaf has gathered the whole of dL/d(leaf) when
    its turn comes to hand it on through the tensor it stands for.
    """
    total = starts
    parts: dict[str, Gradients] = {}
    for visit in reversed(visits):
        if visit.leaf in total and visit.input.requires_grad:
            found = _gradients([visit.input], [total[visit.leaf]], inputs)
            total = _sum(total, found)
            parts[visit.name] = _sum(parts.get(visit.name, {}), found)
    return total, parts


def _gradients(roots: Sequence[Tensor], root_gradients: Sequence[Tensor] | None, inputs: Sequence[Tensor]) -> Gradients:
    # `grad`, not `backward`: it leaves .grad alone and fires no hook that is meant for a training step.
    found = torch.autograd.grad(roots, inputs, root_gradients, retain_graph=True, allow_unused=True)
    return {x: gradient for x, gradient in zip(inputs, found, strict=True) if gradient is not None}


def _sum(a: Gradients, b: Gradients) -> Gradients:
    return {**a, **{x: a[x] + gradient if x in a else gradient for x, gradient in b.items()}}


def _point_cosines(
    method: FeedbackMethod, passes: Sequence[_ProbedPass], signals: Sequence[Signals], true: Gradients
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
