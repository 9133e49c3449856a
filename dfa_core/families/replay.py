"""Several forward passes of one step, equal but for what the feedback points are told to change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from dfa_core.distributed.wrappers import spread
from dfa_core.errors import FeedbackError, UnsuitableError
from dfa_core.families.rewind import Rewind
from dfa_core.layout import Layout
from dfa_core.recording.passes import Visited
from dfa_core.recording.recorder import Recorder, in_backward
from dfa_core.recording.trace import Trace
from dfa_core.supervision import Supervision

#: What a feedback point passes on in place of its activation.
Change = Callable[[Visited, Tensor], Tensor]
#: Values by pass: the tap's name, and the pass's number among those through this tap.
Outputs = dict[tuple[str, int], Tensor]


class Replay:
    """Marks of a pass without cuts: every point passes on what ``change`` makes of it, every tap's output is kept.

    Passes are numbered as those of the first run, whose marks heard of passes with gradients alone. A run that is
    itself without gradients cannot tell which those were, and numbers all.
    """

    def __init__(self, layout: Layout, change: Change) -> None:
        self.without_grad = not torch.is_grad_enabled()
        self._layout, self._change = layout, change
        self._nth: Counter[str] = Counter()
        self.outputs: Outputs = {}

    def at_point(self, name: str, x: Tensor) -> Tensor:
        if torch.compiler.is_compiling():
            raise FeedbackError(
                f"feedback point '{name}' is compiled, but this method runs passes of its own: it must not be"
            )
        changed = self._change(self._visit(name), x)
        if changed.shape != x.shape:
            raise FeedbackError(f"feedback point '{name}': {tuple(x.shape)} was changed into {tuple(changed.shape)}")
        return changed

    def at_tap(self, name: str, x: Tensor) -> Tensor:
        self.outputs[name, self._nth[name]] = x
        self._nth[name] += 1
        return x.clone()  # so that what follows may change it in place

    def _visit(self, point: str) -> Visited:
        tap = self._layout.tap_of[point]
        return Visited(tap, self._nth[tap], point)


class ChangingRecorder(Recorder):
    """A recorder of passes whose points may pass on something else than they were given.

    Attributes:
        places: for each pass that the loss of the step depends on, by its tap and number among these, the tap and its
            number among all that the closure ran: `Replay` and ``change`` number those too that the loss does not read.
    """

    def __init__(self, tap_of: Mapping[str, str]) -> None:
        super().__init__(tap_of)
        self._nth: Counter[str] = Counter()
        self._place_of: dict[int, tuple[str, int]] = {}  # by the number of a pass's trace
        self._change: Change | None = None
        self._tied: Collection[tuple[str, int]] = ()
        self._zeros: list[Tensor] = []  # that depend on the taps of these passes
        self.places: dict[tuple[str, int], tuple[str, int]] = {}

    @contextmanager
    def changing(self, change: Change | None, tied: Collection[tuple[str, int]] = ()) -> Iterator[None]:
        """Let points pass on what ``change`` makes of their activations, for one run of the closure in the block.

        Args:
            tied: the passes that `tie` is to make a loss of this run depend on.
        """
        self._change, self._tied = change, tied
        self._nth.clear()
        self._place_of.clear()
        try:
            with self.whole_passes():
                yield
        finally:
            self._change, self._tied = None, ()
            self._zeros.clear()

    def tie(self, loss: Tensor) -> Tensor:
        """A loss of the same value that depends on the taps of the passes to be tied too, with an error of 0.

        A step finds the passes of a loss by their taps.
        """
        for zero in self._zeros:
            loss = loss + zero.to(loss)
        return loss

    @contextmanager
    def stepping(self, traces: list[Trace]) -> Iterator[None]:
        if outside := [trace.tap for trace in traces if trace.number not in self._place_of]:
            raise FeedbackError(
                f"the loss depends on a pass through error tap '{outside[0]}' that ran outside of the closure: this "
                "method runs every pass several times, so run the model within it"
            )
        read: Counter[str] = Counter()
        self.places = {}
        for trace in traces:
            self.places[trace.tap, read[trace.tap]] = self._place_of[trace.number]
            read[trace.tap] += 1
        with super().stepping(traces):
            yield

    def at_point(self, name: str, x: Tensor) -> Tensor:
        if in_backward():
            raise FeedbackError(
                f"feedback point '{name}' ran again in a backward pass, where it cannot pass on what it did before: "
                "with this method, put no activation checkpointing around feedback points"
            )
        return super().at_point(name, x)

    def at_tap(self, name: str, x: Tensor) -> Tensor:
        output = super().at_tap(name, x)
        if not in_backward():
            self._place_of[self._closed - 1] = place = (name, self._nth[name])
            self._nth[name] += 1
            if place in self._tied:
                self._zeros.append(output.flatten()[:0].sum())  # of no entries: 0 times infinity would be no zero
        return output

    def _passed_on(self, name: str, x: Tensor) -> Tensor:
        if self._change is None:
            return super()._passed_on(name, x)
        tap = self._tap_of[name]
        with torch.no_grad():
            return self._change(Visited(tap, self._nth[tap], name), x.detach())


def replayed(layout: Layout, rewind: Rewind, closure: Callable[[], Tensor], change: Change) -> tuple[Tensor, Outputs]:
    """Run ``closure`` once more with changed activations: its loss, and what each tap passed on.

    Gradients are followed if they are enabled here, through all points and taps.
    """
    replay = Replay(layout, change)
    with layout.lent(replay), rewind.again():
        loss = closure()
    return loss, replay.outputs


def check_replayable(model: nn.Module, method: str) -> None:
    """Raise :class:`FeedbackError` if further passes of ``model`` would not equal the first.

    A compiled model is a place in a table that stays empty (:class:`UnsuitableError`).
    """
    if spread():
        raise FeedbackError(f"{method} runs several passes in a step, which models spread over processes do not allow")
    if is_compiled(model):
        raise UnsuitableError(f"{method} runs several passes with equal random numbers: do not compile the model")


def is_compiled(model: nn.Module) -> bool:
    """Whether ``torch.compile(module)`` made the model or a part of it, or ``module.compile()`` was called."""
    return any(map(_is_compiled, model.modules()))


def _is_compiled(module: nn.Module) -> bool:
    in_place = getattr(module, "_compiled_call_impl", None) is not None
    return in_place or type(module).__name__ == "OptimizedModule"  # by its name: importing it imports the compiler


def sample_count(error: Tensor, tap: str, batch_dims: int, supervision: Supervision) -> Tensor:
    """The number of samples that the loss is a mean of, as a tensor: it is a sum of so many parts.

    The task may state it. Else it is the number of samples that have an error, at least 1: a sample is what the tap's
    ``batch_dims`` count, of a radiance field a point on a ray, though the loss is a mean over rays. A sample whose
    error is 0 to the last bit, as that of one without label is, does not count.

    Raises:
        FeedbackError: the task states less than one sample.
    """
    if supervision.samples is None:
        return error.flatten(batch_dims).count_nonzero(dim=-1).count_nonzero().clamp(min=1)
    count = supervision.samples(tap)
    if count < 1:
        raise FeedbackError(f"Supervision.samples says {count} at error tap '{tap}': it must be 1 or more")
    return torch.tensor(count, device=error.device)
