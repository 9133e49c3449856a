"""Methods: how credit is assigned. Backprop, the shallow control, and Direct Feedback Alignment."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from dfa_core.backward import backpropagate_to_taps
from dfa_core.errors import FeedbackError
from dfa_core.feedback import FeedbackMatrices
from dfa_core.layout import Layout
from dfa_core.recorder import Pass, Recorder

log = logging.getLogger(__name__)

_METHODS: dict[str, type[Method]] = {}
M = TypeVar("M", bound="type[Method]")


class Method(nn.Module):
    """How a model's parameters get their gradients; an instance is attached to one model.

    A training step calls :meth:`backward` where it would call ``loss.backward()``. The state dict holds what
    the method itself needs to continue (feedback matrices); save it beside the model's.

    Args:
        model: a model with an :class:`ErrorTap` and feedback points. Attaching replaces a method attached before.
        feedback_seed: seeds whatever random feedback the method draws.
    """

    #: Does this method leave parameters behind cuts without gradient on purpose?
    leaves_parameters_untrained = False

    def __init__(self, model: nn.Module, *, feedback_seed: int = 0) -> None:
        super().__init__()
        self.feedback_seed = feedback_seed
        self.layout = Layout.of(model)
        self._parameters_by_name = list(model.named_parameters())  # a list: not to be registered again
        self._reported = False
        self.layout.attach(None)

    def backward(self, loss: Tensor) -> None:
        """Accumulate gradients of the scalar ``loss`` into the parameters' ``.grad``."""
        raise NotImplementedError(f"{type(self).__name__} does not define backward")

    def reset(self) -> None:
        """Forget a forward pass that will not be followed by :meth:`backward`."""

    def untrained_parameters(self) -> list[str]:
        """Names of the parameters that the last :meth:`backward` left without gradient."""
        return [name for name, p in self._parameters_by_name if p.requires_grad and p.grad is None]

    def _report_untrained(self) -> None:
        if self._reported:
            return
        self._reported = True
        if names := self.untrained_parameters():
            level = logging.INFO if self.leaves_parameters_untrained else logging.WARNING
            log.log(level, "%s leaves %d parameter(s) without gradient: %s", type(self).__name__, len(names), names)


class Backprop(Method):
    """The true gradient of the whole network. The marks stay identities."""

    def backward(self, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]
        self._report_untrained()


class FeedbackMethod(Method):
    """Base of all methods that cut the graph at the feedback points and send a signal to each.

    A subclass defines :meth:`signal` for one point, or :meth:`signals` for all points of a pass at once.
    The step is then: backward from the loss down to the taps; the signals; and one multi-root backward from all
    points and taps, in which every layer gets its local gradient.
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
            name: self.signal(name, activation.detach(), error)
            for name, activation in forward_pass.activations.items()
        }

    def backward(self, loss: Tensor) -> None:
        passes = self.recorder.take(self.layout)
        backpropagate_to_taps(loss, passes)
        roots: list[Tensor] = []
        gradients: list[Tensor] = []
        for forward_pass in passes:
            with torch.no_grad():
                signals = self.signals(forward_pass)
            for name, signal in signals.items():
                activation = forward_pass.activations[name]
                if signal is not None and activation.requires_grad:
                    roots.append(activation)
                    gradients.append(_fitted(name, signal, activation))
            if forward_pass.arrived.requires_grad:
                roots.append(forward_pass.arrived)
                gradients.append(forward_pass.error)
        if roots:
            torch.autograd.backward(roots, gradients)
        self._report_untrained()

    def reset(self) -> None:
        self.recorder.clear()


class Shallow(FeedbackMethod):
    """The control: the same cuts and no feedback, so that only what lies above the last cut learns."""

    leaves_parameters_untrained = True

    def signals(self, forward_pass: Pass) -> dict[str, Tensor | None]:
        return {}


class DFA(FeedbackMethod):
    """Direct Feedback Alignment (Nøkland 2016): the signal at h_i is B_i e, with B_i fixed and random.

    Args:
        model: see :class:`Method`.
        feedback_seed: with the name of a point (or tap) it determines the matrix.
        feedback: distribution of the matrices, see :class:`FeedbackMatrices`.
        scaling: how they are scaled with the widths, see :class:`FeedbackMatrices`.
        scale: a further factor on all of them.
    """

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
            widths = {name: point.width for name, point in self.layout.points_of(tap).items()}
            self.feedback[_key(tap)] = FeedbackMatrices(
                tap, mark.width, widths, feedback_seed=feedback_seed, kind=feedback, scaling=scaling, scale=scale
            )
        if self._parameters_by_name:
            self.to(self._parameters_by_name[0][1].device)

    def matrix(self, point: str) -> Tensor:
        """B_i of a feedback point as a view ``(error, width)``."""
        return self._matrices(self.layout.tap_of[point]).matrix(point)

    def signals(self, forward_pass: Pass) -> dict[str, Tensor | None]:
        tap = self.layout.taps[forward_pass.tap]
        batch = forward_pass.error.shape[: tap.batch_dims]
        projected = self._matrices(forward_pass.tap)(forward_pass.error.reshape(*batch, tap.width))
        signals: dict[str, Tensor | None] = {}
        for name, activation in forward_pass.activations.items():
            point = self.layout.points[name]
            if activation.shape[: point.batch_dims] != batch:
                raise FeedbackError(
                    f"feedback point '{name}' has batch shape {tuple(activation.shape[: point.batch_dims])}, its error "
                    f"tap '{forward_pass.tap}' has {tuple(batch)}: declare batch_dims so that both count the same "
                    "samples (a dim that the output lacks belongs to the point's features)"
                )
            signals[name] = projected[name].reshape(activation.shape)
        return signals

    def _matrices(self, tap: str) -> FeedbackMatrices:
        matrices = self.feedback[_key(tap)]
        assert isinstance(matrices, FeedbackMatrices)
        return matrices


def register(name: str) -> Callable[[M], M]:
    """Class decorator: make a :class:`Method` available as ``make_method(name, …)``."""

    def add(method: M) -> M:
        if name in _METHODS:
            raise FeedbackError(f"a method named '{name}' is already registered ({_METHODS[name].__qualname__})")
        _METHODS[name] = method
        return method

    return add


def make_method(name: str, model: nn.Module, **options: Any) -> Method:
    """Attach the method registered as ``name`` to ``model``; ``options`` go to its constructor.

    Raises:
        FeedbackError: no such method; the message names the nearest ones.
    """
    if name not in _METHODS:
        near = difflib.get_close_matches(name, _METHODS, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise FeedbackError(f"unknown method '{name}': {hint}registered are {', '.join(sorted(_METHODS))}")
    return _METHODS[name](model, **options)


def method_class(name: str) -> type[Method]:
    """The class registered as ``name`` (``KeyError`` if none is)."""
    return _METHODS[name]


def registered_methods() -> list[str]:
    """Names of all registered methods, in order of registration."""
    return list(_METHODS)


def _key(tap: str) -> str:
    return tap.replace(".", "/")  # module names may not hold dots


def _fitted(point: str, signal: Tensor, activation: Tensor) -> Tensor:
    if signal.shape != activation.shape:
        raise FeedbackError(
            f"the signal for feedback point '{point}' has shape {tuple(signal.shape)}, its activation "
            f"{tuple(activation.shape)}: a method returns one entry per entry of the activation"
        )
    return signal.to(activation.dtype)


register("bp")(Backprop)
register("dfa")(DFA)
register("shallow")(Shallow)
