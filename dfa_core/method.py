"""The protocol of a training method: how a model's parameters get their gradients."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from dfa_core.layout import Layout, parameters_of
from dfa_core.passes import Pass
from dfa_core.recorder import Recorder
from dfa_core.step import Signals, feedback_step
from dfa_core.wrap import wrapped
from dfa_core.wrappers import Wrappers, spread

log = logging.getLogger(__name__)


class Method(nn.Module):
    """How a model's parameters get their gradients; an instance is attached to one model.

    A training step calls :meth:`backward` where it would call ``loss.backward()``. The state dict holds what
    the method itself needs to continue (feedback matrices); save it beside the model's.

    Args:
        model: a model with an :class:`ErrorTap` and feedback points. A method attached before is replaced.
        feedback_seed: seeds whatever random feedback the method draws.
    """

    #: Does this method leave parameters behind cuts without gradient on purpose?
    leaves_parameters_untrained = False

    def __init__(self, model: nn.Module, *, feedback_seed: int = 0) -> None:
        super().__init__()
        self.feedback_seed = feedback_seed
        self.layout = Layout.of(model)
        self.recorder: Recorder | None = None
        # In tuples: model and parameters are not to be registered a second time here.
        self._model = (model,)
        self._reported = False
        self.layout.attach(None)

    def backward(self, loss: Tensor) -> None:
        """Accumulate gradients of the scalar ``loss`` into the parameters' ``.grad``."""
        raise NotImplementedError(f"{type(self).__name__} does not define backward")

    def wrap(self, loss: Tensor) -> Tensor:
        """A loss equal to ``loss`` whose own ``.backward()`` calls this method's.

        For training loops that call ``loss.backward()`` themselves: Lightning's automatic optimisation, accelerate,
        the Hugging Face Trainer. The wrapped loss may be scaled, divided or added to others.
        """
        return wrapped(loss, self.backward)

    @contextmanager
    def detached(self) -> Iterator[None]:
        """Within, the model is the true network: its marks are identities, and gradients pass through it.

        For input gradients (saliency, gradient penalties), ``torch.func`` and forward-mode differentiation.
        """
        before = self.layout.recorders()
        self.layout.attach(None)
        try:
            yield
        finally:
            self.layout.attach_each(before)

    def detach(self) -> None:
        """Take the method off its model for good: the marks are identities again, as under backprop."""
        self.layout.attach(None)

    def reset(self) -> None:
        """Forget a forward pass that will not be followed by :meth:`backward`."""

    def trainable_parameters(self) -> dict[str, nn.Parameter]:
        """The model's parameters that require a gradient, by name."""
        # Looked up anew: wrappers that shard a model replace its parameters.
        return {name: p for name, p in parameters_of(self._model[0]) if p.requires_grad}

    def untrained_parameters(self) -> list[str]:
        """Names of the trainable parameters that the last :meth:`backward` left without gradient."""
        return [name for name, p in self.trainable_parameters().items() if p.grad is None]

    def _report_untrained(self) -> None:
        if self._reported:
            return
        names, parameters = self.untrained_parameters(), self.trainable_parameters()
        if len(names) == len(parameters) and any(hasattr(p, "full_tensor") for p in parameters.values()):
            return  # sharded parameters get their gradient in the step that synchronises
        self._reported = True
        if names:
            level = logging.INFO if self.leaves_parameters_untrained else logging.WARNING
            log.log(level, "%s leaves without gradient: %s", type(self).__name__, ", ".join(names))


class FeedbackMethod(Method):
    """Base of all methods that cut the graph at the feedback points and send a signal to each.

    A subclass defines :meth:`signal` for one point, or :meth:`signals` for all points of a pass at once.
    :mod:`dfa_core.step` says what a step does.

    Raises:
        FeedbackError: the model has no feedback point, or an error tap serves none: it would be trained by backprop.
    """

    recorder: Recorder

    def __init__(self, model: nn.Module, *, feedback_seed: int = 0) -> None:
        super().__init__(model, feedback_seed=feedback_seed)
        self.layout.check_points(type(self).__name__)
        self._wrappers = Wrappers(model)
        self.recorder = Recorder(self.layout.tap_of)
        self.layout.attach(self.recorder)

    def signal(self, point: str, activation: Tensor, error: Tensor) -> Tensor | None:
        """The update signal that stands in for dL/dh_i.

        Args:
            point: name of the feedback point.
            activation: h_i, ``(*batch, *features)``; not to be changed.
            error: e = dL/d(output) at the point's tap, ``(*batch, *error features)``.

        Returns:
            A tensor of the activation's shape, or ``None`` for no update.
        """
        raise NotImplementedError(f"{type(self).__name__} defines neither signal nor signals")

    def signals(self, forward_pass: Pass) -> Signals:
        """The update signals of all points that ran in ``forward_pass``, by name."""
        error = forward_pass.error
        return {name: self.signal(name, activation, error) for name, activation in forward_pass.activations.items()}

    def backward(self, loss: Tensor) -> None:
        self.layout.check_attached(self._model[0], self.recorder)
        if spread():
            self._wrappers = Wrappers(self._model[0])  # they may have come after the method
        feedback_step(loss, self.recorder, self.signals_of, self._wrappers)
        self._report_untrained()

    def _report_untrained(self) -> None:
        if not self._reported and (idle := [name for name in self.layout.points if name not in self.recorder.seen]):
            log.warning(
                "%s trains through feedback points that did not run in the first step: %s",
                type(self).__name__,
                ", ".join(idle),
            )
        super()._report_untrained()

    @torch.no_grad()
    def signals_of(self, passes: Sequence[Pass]) -> list[Signals]:
        """The signals of each pass; the passes' errors are known."""
        return [self.signals(forward_pass) for forward_pass in passes]

    def reset(self) -> None:
        self.recorder.clear()
