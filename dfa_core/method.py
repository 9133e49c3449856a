"""The protocol of a training method: how a model's parameters get their gradients."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, ParamSpec

from torch import Tensor, nn

from dfa_core.errors import FeedbackError
from dfa_core.information import Information
from dfa_core.layout import Layout, parameters_of, reattached_on_error
from dfa_core.recording.recorder import Recorder
from dfa_core.supervision import Supervision
from dfa_core.wrap import wrapped

log = logging.getLogger(__name__)
P = ParamSpec("P")


def _attaching(constructor: Callable[P, None]) -> Callable[P, None]:
    """A constructor that leaves the former method attached if it fails, wherever it has attached its own by then."""

    @wraps(constructor)
    def guarded(*args: P.args, **options: P.kwargs) -> None:
        with ExitStack() as former:
            for given in (*args[1:], *options.values()):
                if isinstance(given, nn.Module):
                    former.enter_context(reattached_on_error(given))
            constructor(*args, **options)

    return guarded


class Method(nn.Module):
    """How a model's parameters get their gradients; an instance is attached to one model.

    A training step calls :meth:`step`, which runs the forward pass as well. For methods that have no say in it (all
    but those that `needs` something, and those that replace weights), :meth:`backward` in place of
    ``loss.backward()`` is enough. The state dict holds what the method itself needs to continue (feedback matrices,
    what it has learned, how many steps were taken); save it beside the model's.

    A method's own parameters (learned feedback, decoders) are registered in it as those of any module. They get their
    gradients in the same step, and an optimizer takes them from :meth:`parameter_groups`.

    Args:
        model: a model with an :class:`ErrorTap` and feedback points. A method attached before is replaced, unless the
            constructor raises: then it stays.
        feedback_seed: seeds whatever random feedback the method draws.
    """

    #: What a step needs of the task, set by `register`: "replay" (the forward pass again), "heads", "targets".
    needs: frozenset[str] = frozenset()
    #: What it needs to know and what it costs, for the table of all methods; None for one that does not say.
    information: Information | None = None
    #: Whether its gradients are those of backprop.
    exact = False
    #: Whether its steps run a compiled model as compiled code; other methods refuse it, or run it in eager mode.
    compiles = True
    #: Whether this method leaves parameters behind cuts without gradient on purpose.
    leaves_parameters_untrained = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            cls.__init__ = _attaching(cls.__init__)  # type: ignore[method-assign]

    @_attaching
    def __init__(self, model: nn.Module, *, feedback_seed: int = 0) -> None:
        super().__init__()
        self.feedback_seed = feedback_seed
        self.layout = Layout.of(model)
        self.recorder: Recorder | None = None
        # In tuples: model and parameters are not to be registered a second time here.
        self._model = (model,)
        self._reported = False
        self.layout.attach(None)

    @property
    def model(self) -> nn.Module:
        """The model that the method is attached to."""
        return self._model[0]

    def step(self, closure: Callable[[], Tensor], supervision: Supervision | None = None) -> Tensor:
        """One step: accumulate gradients into ``.grad`` of the model's parameters and of the method's own.

        Args:
            closure: runs the model and returns the scalar loss. Methods that `needs` "replay" call it several times.
                It must not call ``zero_grad()``: some methods have gradients before the closure returns.
            supervision: what the task offers besides its loss; see :class:`Supervision`.

        Returns:
            The loss, detached.

        Raises:
            FeedbackError: the method needs something that ``supervision`` does not have, or ``closure`` is none.
        """
        if not callable(closure):
            raise FeedbackError(
                f"step got a {type(closure).__name__}: give it a closure, which runs the model and returns the loss"
            )
        self.check_supervision(supervision)
        loss = self.gradients(closure, supervision)
        self.advance()
        return loss

    def gradients(self, closure: Callable[[], Tensor], supervision: Supervision | None) -> Tensor:
        """The gradients of a step, without going on to the next one: called again, it does the same again."""
        loss = closure()
        self.backward(loss)
        return loss.detach()

    def advance(self) -> None:
        """The end of a step: whatever counts steps or decays moves on."""

    def backward(self, loss: Tensor) -> None:
        """Accumulate gradients of the scalar ``loss`` into the parameters' ``.grad``."""
        raise FeedbackError(
            f"{type(self).__name__} has a say in the forward pass: call method.step(closure), with a closure that runs "
            "the model and returns the loss, in place of method.backward(loss)"
        )

    def check_supervision(self, supervision: Supervision | None) -> None:
        """Raise :class:`FeedbackError` unless ``supervision`` has what the method needs."""
        offered = supervision.offered if supervision is not None else frozenset()
        if missing := self.needs - offered - {"replay"}:
            raise FeedbackError(
                f"{type(self).__name__} needs the task's {' and '.join(sorted(missing))}: call "
                "method.step(closure, Supervision(...)) with them"
            )

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The method's own parameters as an optimizer's groups; a group without ``lr`` takes the optimizer's."""
        own = [p for p in self.parameters() if p.requires_grad]
        return [{"params": own, "weight_decay": 0.0}] if own else []

    def wrap(self, loss: Tensor) -> Tensor:
        """A loss equal to ``loss`` whose own ``.backward()`` calls this method's.

        For training loops that call ``loss.backward()`` themselves: Lightning's automatic optimisation, accelerate,
        the Hugging Face Trainer. The wrapped loss may be scaled, divided or added to those of other passes. A pass goes
        backward once: losses of one output are added up first, ``wrap(l1 + l2)``.
        """
        if type(self).backward is Method.backward:
            self.backward(loss)  # says why not
        return wrapped(loss, self.backward)

    @contextmanager
    def detached(self) -> Iterator[None]:
        """Make the marks identities inside the block, so that true gradients pass through the model.

        For input gradients (saliency, gradient penalties), ``torch.func`` and forward-mode differentiation.
        """
        with self.layout.lent(None):
            yield

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

    def _check_materialised(self) -> None:
        """Raise :class:`FeedbackError` if the model is on the meta device: there is nothing that can be drawn there."""
        if any(p.is_meta for p in self.model.parameters()):
            raise FeedbackError(
                f"{type(self).__name__} learns or follows the weights, which the meta device does not have: make it "
                "after model.to_empty(device=...), once the weights have their values"
            )

    def _check_initialised(self) -> None:
        """Raise :class:`FeedbackError` if a lazy module has no weights yet."""
        for name, p in parameters_of(self.model):
            if isinstance(p, nn.parameter.UninitializedParameter):
                raise FeedbackError(
                    f"{type(self).__name__} needs the weights, but '{name}' of a lazy module has no shape yet: run one "
                    "batch through the model first"
                )

    def _report_untrained(self) -> None:
        if self._reported:
            return
        names, parameters = self.untrained_parameters(), self.trainable_parameters()
        if len(names) == len(parameters):
            return  # sharded ones get theirs in the step that synchronises; hooks of an optimizer have taken all others
        self._reported = True
        names = [name for name in names if not getattr(parameters[name], "_post_accumulate_grad_hooks", None)]
        if names:
            level = logging.INFO if self.leaves_parameters_untrained else logging.WARNING
            log.log(level, "%s leaves without gradient: %s", type(self).__name__, ", ".join(names))
