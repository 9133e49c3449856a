"""The recorder: what the marks hand over while forward passes run.

A pass is kept by its own graph: the node behind the tap's output holds the *trace* of the pass. So a step finds the
passes of its loss by looking into the graph of the loss, and a pass whose output is dropped (an evaluation that forgot
``torch.no_grad()``) is freed with it. The recorder itself holds only the points whose tap has not run yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from weakref import WeakSet

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from dfa_core.distributed.data_parallel import reducing
from dfa_core.errors import FeedbackError
from dfa_core.recording import region
from dfa_core.recording.trace import Activation, Trace, Visit, keep


@dataclass(eq=False)
class _OpenPass:
    """The points that ran since their tap last did."""

    points: dict[str, Activation] = field(default_factory=dict)
    twice: str = ""
    reduced_by: set[DistributedDataParallel] = field(default_factory=set)


class Recorder:
    """Cuts the graph at every mark, and keeps what a step needs of it.

    Args:
        tap_of: the error tap of each feedback point, by name.
    """

    without_grad = False

    def __init__(self, tap_of: Mapping[str, str]) -> None:
        self._tap_of = tap_of
        self._open: dict[str, _OpenPass] = {}
        self._closed = 0
        self._alive: WeakSet[Trace] = WeakSet()  # their graphs hold them
        self._key = region.enrol(self)
        # Visits of compiled regions form a chain: appending to a list there would make `torch.compile` guard on its
        # length, and compile every further pass of a step anew. For that reason it starts at a visit of no mark.
        nothing = torch.empty(0, device="cpu")
        self._last = self._start = Visit("", nothing, nothing, None)
        self._region_reduced_by: set[DistributedDataParallel] = set()  # of the regions that ran last
        self._ran: set[str] | None = None  # the marks of the step in progress; None between steps
        self.seen: set[str] = set()  # the marks of all steps so far
        self._errors: list[Tensor] = []  # what a compiled region's taps must receive in this step

    def __reduce__(self) -> tuple[type[Recorder], tuple[Mapping[str, str]]]:
        return type(self), (self._tap_of,)  # a copy starts empty

    def at_point(self, name: str, x: Tensor) -> Tensor:
        """Keep the attached activation; pass it on cut, *not* requiring a gradient."""
        cut = x.detach()
        if torch.compiler.is_compiling():
            self._last = Visit(name, x, cut, self._last)
        elif in_backward():
            self._check_recomputed("feedback point", name)
        else:
            self.collect()
            cut = self._passed_on(name, x)
            self._add(name, Activation(cut, x if x.requires_grad else None, cut._version), reducing())
        return cut

    def _passed_on(self, name: str, x: Tensor) -> Tensor:
        """The activation that a point passes on in eager mode, without a graph."""
        return x.detach()

    def at_tap(self, name: str, x: Tensor) -> Tensor:
        """Cut here too, but pass on a tensor that gathers the error."""
        if torch.compiler.is_compiling():
            # A compiled region cannot create a leaf: its output itself is passed on, and a step stops there.
            output = self._output_of_region(x)

            self._last = Visit(name, x, output, self._last)
            return output
        # A clone, so that what follows may change it in place.
        output = x.detach().requires_grad_().clone()
        assert output.grad_fn is not None
        output.grad_fn.register_prehook(partial(self._gradient_arrived, name))
        if in_backward():
            self._check_recomputed("error tap", name)
        else:
            self.collect()
            self._close(name, output, attached=x, reduced_by=reducing())
        return output

    def _output_of_region(self, x: Tensor) -> Tensor:
        attached = self._last.input
        output: Tensor
        if not x.requires_grad and attached.requires_grad:
            output = region.tap_behind_point(x, attached, self._key)
        else:
            output = region.tap(x, self._key)
        return output

    def at_compiled_tap(self) -> None:
        """A compiled region's tap is about to run: what ran before belongs to earlier passes."""
        self.collect()
        self._region_reduced_by = reducing()

    def collect(self) -> None:
        """Sort in the visits of compiled regions that ran since."""
        visits: list[Visit] = []
        visit = self._last
        while visit.previous is not None:
            visits.append(visit)
            visit = visit.previous
        self._last = self._start
        for visit in reversed(visits):
            if visit.name in self._tap_of:
                self._add(visit.name, Activation(visit.output, visit.input if visit.input.requires_grad else None))
            else:
                self._close(visit.name, visit.output, attached=None, reduced_by=self._region_reduced_by)

    @property
    def oldest(self) -> int:
        """The number of the first pass whose graph exists; all others may have read its output."""
        return min((trace.number for trace in self._alive), default=0)

    @property
    def has_several(self) -> bool:
        """Whether several passes have graphs that still exist; otherwise none can read another's output."""
        return len(self._alive) > 1

    def clear(self) -> None:
        """Forget the points of a pass that will not be finished."""
        self.collect()
        self._open.clear()

    @contextmanager
    def whole_passes(self) -> Iterator[None]:
        """Forget the points of a pass that breaks off inside the block, so that the next step does not find them."""
        with ExitStack() as on_error:
            on_error.callback(self.clear)
            yield
            on_error.pop_all()

    def take_unfinished(self) -> str:
        """The last point that ran without its tap, "" if none did; all of them are forgotten."""
        self.collect()
        names = [name for unfinished in self._open.values() for name in unfinished.points]
        self._open.clear()
        return names[-1] if names else ""

    @contextmanager
    def stepping(self, traces: list[Trace]) -> Iterator[None]:
        """Allow gradients at the taps inside the block, and further runs of the marks of ``traces`` (checkpointing)."""
        self._ran = {name for trace in traces for name in (trace.tap, *trace.points)}
        self.seen |= self._ran
        try:
            yield
        finally:
            self._ran = None
            self._errors = []

    def expect_at_regions(self, errors: list[Tensor]) -> None:
        """The gradients that the taps of compiled regions have to receive in this step, and no others."""
        self._errors = errors

    def check_step(self, tap: str) -> None:
        """A gradient arrived at a tap: raise :class:`FeedbackError` unless a step of the method sent it."""
        if self._ran is None:
            where = f"error tap '{tap}'" if tap else "an error tap"
            raise FeedbackError(
                f"a backward pass that is not the method's reached {where}, behind which the graph is cut: call "
                "method.backward(loss) in place of loss.backward(); where that call is not yours, let it have "
                "method.wrap(loss); to differentiate through the uncut model (a generator behind this "
                "discriminator, saliency, a gradient penalty), run the forward pass within method.detached()"
            )

    def _gradient_arrived(self, tap: str, _gradients: object) -> None:
        self.check_step(tap)

    def check_compiled_tap(self, gradient: Tensor) -> None:
        """Check as :meth:`check_step` does, and that nothing in the tap's own compiled region reads its output."""
        self.check_step("")
        if self._errors and not any(_agree(gradient, error) for error in self._errors):
            raise FeedbackError(
                "an error tap in a compiled region is read inside that region too, so its error is not the whole "
                "one: compile the layers above a tap apart from those below it"
            )

    def _add(self, name: str, activation: Activation, reduced_by: Iterable[DistributedDataParallel] = ()) -> None:
        unfinished = self._open.setdefault(self._tap_of[name], _OpenPass())
        if name in unfinished.points:
            unfinished.twice = name  # an error if the pass is ever finished; till then the last visit is enough
        unfinished.points[name] = activation
        unfinished.reduced_by.update(reduced_by)

    def _close(
        self, tap: str, output: Tensor, attached: Tensor | None, reduced_by: set[DistributedDataParallel]
    ) -> None:
        """The tap returned ``output``; ``attached`` is what it was given, ``None`` in a compiled region."""
        ran = self._open.pop(tap, None) or _OpenPass()
        node = output.grad_fn
        if node is None:  # nothing in the region needs a gradient
            return
        reduced_by = reduced_by | ran.reduced_by
        trace = Trace(self, tap, self._closed, ran.points, attached, output.output_nr, ran.twice, reduced_by)
        self._closed += 1
        self._alive.add(trace)
        keep(trace, node)

    def _check_recomputed(self, kind: str, name: str) -> None:
        """A checkpointed region runs again during the backward pass. What it recomputes was recorded before."""
        if self._ran is not None and name not in self._ran:
            raise FeedbackError(
                f"{kind} '{name}' ran in the backward pass but not in the forward pass: activation checkpointing "
                "with use_reentrant=True runs the forward pass without gradients; use use_reentrant=False"
            )


def in_backward() -> bool:
    """Whether a backward pass is running, in which a checkpointed region runs its forward pass again."""
    return torch._C._current_graph_task_id() != -1


def _agree(a: Tensor, b: Tensor) -> bool:
    if a.shape == b.shape and not (b.numel() and a.isfinite().all() and b.isfinite().all()):
        return True  # no samples; or an overflow, which `GradScaler` finds and skips
    return a.shape == b.shape and torch.allclose(a.float(), b.float(), rtol=1e-2, atol=1e-2 * float(b.abs().max()))
