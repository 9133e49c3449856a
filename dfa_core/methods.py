"""Methods: how credit is assigned. Backprop, the shallow control, and Direct Feedback Alignment."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dfa_core.backward import Signals, backpropagate_to_taps, local_roots
from dfa_core.errors import FeedbackError
from dfa_core.feedback import FeedbackMatrices
from dfa_core.layout import Layout, plain_path
from dfa_core.passes import Pass, group_into_passes
from dfa_core.recorder import Recorder
from dfa_core.registry import register

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
        # A list of pairs: the parameters are the model's, not to be registered a second time here.
        self._parameters_by_name = [(plain_path(name), p) for name, p in model.named_parameters()]
        self._reported = False
        self.layout.attach(None)

    def backward(self, loss: Tensor) -> None:
        """Accumulate gradients of the scalar ``loss`` into the parameters' ``.grad``."""
        raise NotImplementedError(f"{type(self).__name__} does not define backward")

    def reset(self) -> None:
        """Forget a forward pass that will not be followed by :meth:`backward`."""

    def trainable_parameters(self) -> dict[str, nn.Parameter]:
        """The model's parameters that require a gradient, by name."""
        return {name: p for name, p in self._parameters_by_name if p.requires_grad}

    def untrained_parameters(self) -> list[str]:
        """Names of the trainable parameters that the last :meth:`backward` left without gradient."""
        return [name for name, p in self.trainable_parameters().items() if p.grad is None]

    def _report_untrained(self) -> None:
        if self._reported:
            return
        self._reported = True
        if names := self.untrained_parameters():
            level = logging.INFO if self.leaves_parameters_untrained else logging.WARNING
            log.log(level, "%s leaves without gradient: %s", type(self).__name__, ", ".join(names))


@register("bp")
class Backprop(Method):
    """The true gradient of the whole network. The marks stay identities."""

    def backward(self, loss: Tensor) -> None:
        if not self.layout.is_attached(None):
            raise FeedbackError(
                "another method was attached to the model after this Backprop, so its marks cut the graph: "
                "make the method anew before training with it"
            )
        torch.autograd.backward(loss)
        self._report_untrained()


class FeedbackMethod(Method):
    """Base of all methods that cut the graph at the feedback points and send a signal to each.

    A subclass defines :meth:`signal` for one point, or :meth:`signals` for all points of a pass at once.
    The step is then: backward from the loss down to the taps; the signals; and one multi-root backward from
    all points and taps, in which every layer gets its local gradient.
    """

    def __init__(self, model: nn.Module, *, feedback_seed: int = 0) -> None:
        super().__init__(model, feedback_seed=feedback_seed)
        self.recorder = Recorder()
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

    def signals(self, forward_pass: Pass) -> dict[str, Tensor | None]:
        """The update signals of all points that ran in ``forward_pass``, by name."""
        error = forward_pass.error
        return {
            name: self.signal(name, activation.detach(), error) for name, activation in forward_pass.activations.items()
        }

    def backward(self, loss: Tensor) -> None:
        passes = group_into_passes(self.recorder.take(), self.layout)
        backpropagate_to_taps(loss, passes)
        roots, gradients = local_roots(passes, self.signals_of(passes))
        if roots:
            torch.autograd.backward(roots, gradients)
        self._report_untrained()

    @torch.no_grad()
    def signals_of(self, passes: Sequence[Pass]) -> list[Signals]:
        """The signals of each pass; the passes' errors are known."""
        return [self.signals(forward_pass) for forward_pass in passes]

    def reset(self) -> None:
        self.recorder.clear()


@register("shallow")
class Shallow(FeedbackMethod):
    """The control: the same cuts and no feedback, so that only what lies above the last cut learns.

    The other parameters keep ``.grad`` as it was; behind a compiled region they get zeros, because one
    backward function serves the whole region. An optimizer with weight decay skips the former and
    shrinks the latter.
    """

    leaves_parameters_untrained = True

    def signals(self, forward_pass: Pass) -> dict[str, Tensor | None]:
        return {}


@register("dfa")
class DFA(FeedbackMethod):
    """Direct Feedback Alignment (Nøkland 2016): the signal at h_i is B_i e, with B_i fixed and random.

    Args:
        model: see :class:`Method`.
        feedback_seed: with the name of a point (or tap) it determines the matrix.
        feedback: distribution of the matrices, see :class:`FeedbackMatrices`.
        scaling: how they are scaled with the widths, see :class:`FeedbackMatrices`.
        scale: a further factor on all of them.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.signal is not FeedbackMethod.signal and cls.signals is DFA.signals:
            raise FeedbackError(
                f"{cls.__name__} defines signal, which DFA never calls: it projects to all points at once. Define "
                "signals(forward_pass), or derive from FeedbackMethod"
            )

    def __init__(
        self,
        model: nn.Module,
        *,
        feedback_seed: int = 0,
        feedback: str = "shared_uniform",
        scaling: str = "widest",
        scale: float = 1.0,
    ) -> None:
        super().__init__(model, feedback_seed=feedback_seed)
        self.feedback = nn.ModuleDict()
        for tap, mark in self.layout.taps.items():
            self.feedback[_key(tap)] = FeedbackMatrices(
                tap,
                mark.width,
                {name: point.width for name, point in self.layout.points_of(tap).items()},
                feedback_seed=feedback_seed,
                kind=feedback,
                scaling=scaling,
                scale=scale,
            )
        if self._parameters_by_name:
            self.to(self._parameters_by_name[0][1].device)

    def matrix(self, point: str) -> Tensor:
        """B_i of a feedback point as a view ``(error, width)``."""
        return self._matrices(self.layout.tap_of[point]).matrix(point)

    def signals(self, forward_pass: Pass) -> dict[str, Tensor | None]:
        """B_i e for each point that ran, shaped as its activation (Nøkland 2016, equation 7)."""
        tap = self.layout.taps[forward_pass.tap]
        batch = forward_pass.error.shape[: tap.batch_dims]
        projected = self._matrices(forward_pass.tap)(forward_pass.error.reshape(*batch, tap.width))
        signals: dict[str, Tensor | None] = {}
        for name, activation in forward_pass.activations.items():
            own_batch = activation.shape[: self.layout.points[name].batch_dims]
            if own_batch != batch:
                raise FeedbackError(
                    f"feedback point '{name}' has batch shape {tuple(own_batch)}, its error tap "
                    f"'{forward_pass.tap}' has {tuple(batch)}: declare batch_dims so that both count the "
                    "same samples (a dim that the output lacks belongs to the point's features)"
                )
            signals[name] = projected[name].reshape(activation.shape)
        return signals

    def _matrices(self, tap: str) -> FeedbackMatrices:
        matrices = self.feedback[_key(tap)]
        assert isinstance(matrices, FeedbackMatrices)
        return matrices


def _key(tap: str) -> str:
    return tap.replace(".", "/")  # module names may not hold dots
