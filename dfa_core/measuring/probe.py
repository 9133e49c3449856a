"""The probe: one forward pass with leaves at all marks, and gradients chained through every cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dfa_core.distributed.wrappers import check_not_sharded
from dfa_core.errors import FeedbackError
from dfa_core.families.feedback_method import FeedbackMethod
from dfa_core.method import Method
from dfa_core.recording.graph import chained_error
from dfa_core.recording.passes import Pass
from dfa_core.recording.step import Signals, check_scalar

Gradients = dict[Tensor, Tensor]  # by the tensor it belongs to (tensors hash by identity)


@dataclass(eq=False)
class ProbedVisit:
    """One mark that ran: its input, attached to the graph below, and the leaf that it passed on."""

    name: str
    input: Tensor
    leaf: Tensor


@dataclass(eq=False)
class ProbedPass:
    """A forward pass: the visit of its tap, those of its points by name, and what a method sees of it."""

    tap: ProbedVisit
    points: dict[str, ProbedVisit]
    seen: Pass


class _Probe:
    """Passes on leaves at all marks, so that the true gradient can be chained through every cut."""

    without_grad = False

    def __init__(self) -> None:
        self.visits: list[ProbedVisit] = []

    def at_point(self, name: str, x: Tensor) -> Tensor:
        leaf = x.detach().requires_grad_()
        self.visits.append(ProbedVisit(name, x, leaf))
        return leaf

    def at_tap(self, name: str, x: Tensor) -> Tensor:
        return self.at_point(name, x).clone()  # so that what follows may change it in place


def uncut_forward(method: Method, closure: Callable[[], Tensor]) -> tuple[Tensor, list[ProbedVisit]]:
    """Run ``closure`` with leaves at all marks. The method is attached as before afterwards."""
    if not method.layout.is_attached(method.recorder):
        raise FeedbackError(
            f"{type(method).__name__} is not attached to its model, so it has no alignment to measure: make it with "
            "make_method and attach no other method afterwards"
        )
    check_not_sharded(method.model)
    probe = _Probe()
    with method.layout.lent(probe), torch.enable_grad(), torch.compiler.set_stance("force_eager"):
        loss = closure()
    check_scalar(loss)
    return loss, probe.visits


def passes_of_visits(visits: Sequence[ProbedVisit], tap_of: Mapping[str, str]) -> list[ProbedPass]:
    """The visits in passes, each of which ends where its tap runs.

    Raises:
        FeedbackError: a point ran twice in one pass, or no tap ran.
    """
    passes: list[ProbedPass] = []
    unfinished: dict[str, dict[str, ProbedVisit]] = {}
    for visit in visits:
        if visit.name not in tap_of:
            points = unfinished.pop(visit.name, {})
            nth = sum(earlier.tap.name == visit.name for earlier in passes)
            activations = {name: point.leaf.detach() for name, point in points.items()}
            seen = Pass(visit.name, nth, activations, visit.leaf.detach())
            passes.append(ProbedPass(visit, points, seen))
        elif unfinished.setdefault(tap_of[visit.name], {}).setdefault(visit.name, visit) is not visit:
            raise FeedbackError(f"feedback point '{visit.name}' ran twice in one pass: give each use its own")
    if not passes:
        raise FeedbackError("no error tap ran in the closure: run the model that the method was made for")
    return passes


def fed_on(passes: Sequence[ProbedPass], below: Mapping[str, Gradients]) -> list[Tensor]:
    """The leaves of the taps whose output a later pass read: ``below`` has the gradients that go on from each mark."""
    return [found.tap.leaf for found in passes if any(found.tap.leaf in part for part in below.values())]


def sent_to(
    method: FeedbackMethod, passes: Sequence[ProbedPass], above: Gradients, fed: Sequence[Tensor]
) -> Sequence[Signals]:
    """The signals of each pass, which also gets its error: as in a step, from the last pass to the first if chained."""
    arrived = dict(above)
    for found in passes:
        found.seen.error = above.get(found.tap.leaf)
    if not fed:
        return method.signals_of([found.seen for found in passes])
    if method.compares_passes:
        read = next(found.seen.tap for found in passes if found.tap.leaf is fed[0])
        raise chained_error(passes[-1].seen.tap, read, f"which {type(method).__name__} cannot put together")
    signals: list[Signals] = []
    for found in reversed(passes):
        leaf = found.tap.leaf
        found.seen.error = error = arrived.get(leaf, torch.zeros_like(leaf))
        (sent,) = method.signals_of([found.seen])
        signals.append(sent)
        begin = [(found.tap.input, error)]
        begin += [(found.points[name].input, signal) for name, signal in sent.items() if signal is not None]
        learning = [(root, gradient.to(root.dtype)) for root, gradient in begin if root.requires_grad]
        if learning:
            roots, gradients = zip(*learning, strict=True)
            arrived = _sum(arrived, gradients_of(roots, gradients, fed))
    return signals[::-1]


def starts(passes: Sequence[ProbedPass], signals: Sequence[Signals]) -> Gradients:
    """The gradients at the marks that step 3 of a training step starts from: signals at the points, e at the taps."""
    starts: Gradients = {}
    for found, sent in zip(passes, signals, strict=True):
        starts[found.tap.leaf] = found.seen.error
        for name, signal in sent.items():
            if signal is not None:
                leaf = found.points[name].leaf
                starts[leaf] = signal.to(leaf.dtype)
    return starts


def chained(
    starts: Gradients, visits: Sequence[ProbedVisit], inputs: Sequence[Tensor]
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
            found = gradients_of([visit.input], [total[visit.leaf]], inputs)
            total = _sum(total, found)
            parts[visit.name] = _sum(parts.get(visit.name, {}), found)
    return total, parts


def gradients_of(
    roots: Sequence[Tensor], root_gradients: Sequence[Tensor] | None, inputs: Sequence[Tensor]
) -> Gradients:
    # `grad`, not `backward`: it leaves .grad alone and fires no hook that is meant for a training step.
    found = torch.autograd.grad(roots, inputs, root_gradients, retain_graph=True, allow_unused=True)
    return {x: dense(gradient) for x, gradient in zip(inputs, found, strict=True) if gradient is not None}


def dense(gradient: Tensor) -> Tensor:
    """A gradient of all entries, where an embedding gives those of its rows in use alone."""
    return gradient.to_dense() if gradient.is_sparse else gradient


def _sum(a: Gradients, b: Gradients) -> Gradients:
    return {**a, **{x: a[x] + gradient if x in a else gradient for x, gradient in b.items()}}
