"""Backprop that recomputes activations: the honest baseline of every claim about memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dfa_core.errors import UnsuitableError
from dfa_core.families.model_state import ModelState
from dfa_core.families.replay import is_compiled
from dfa_core.information import Information
from dfa_core.marks import FeedbackPoint
from dfa_core.method import Method
from dfa_core.recording.step import check_scalar
from dfa_core.registry import register
from dfa_core.supervision import Supervision


@register("bp_recompute", title="bp, recomputing", colour="#888888", order=5, like="bp")
class RecomputingBackprop(Method):
    """Backprop with activation checkpointing (Chen et al. 2016, arXiv:1604.06174): the same gradients in less memory.

    The innermost submodules that hold feedback points (blocks, radiance fields, a recommender's MLP) keep their input
    alone, and run once more in the backward pass, from the buffers and random numbers of their first run. Buffers and
    random numbers move once.

    Raises:
        FeedbackError: no submodule holds a feedback point: there is nothing to recompute; or the model is compiled; or
            (in a step) a segment changes frozen parameters, which its second run would change again.
    """

    information = Information(
        family="backprop",
        exact="everything",
        replaced="nothing",
        transports="all",
        labels="loss",
        space="the error through every layer above",
        time="after the backward pass has come down",
        passes="2 forward, 1 backward",
        products="2 F + X + W",
        memory="the segments' inputs, and one segment",
    )

    exact = True
    compiles = False

    def __init__(self, model: nn.Module, *, feedback_seed: int = 0) -> None:
        super().__init__(model, feedback_seed=feedback_seed)
        if is_compiled(model):
            raise UnsuitableError("a compiled model cannot be recomputed by its parts: do not compile the model")
        self._segments = tuple(_segments(model))  # in a tuple: they are the model's
        if not self._segments:
            raise UnsuitableError(
                "no submodule holds feedback points, so that none can be recomputed by itself: put the layers between "
                "two points into modules of their own"
            )

    def gradients(self, closure: Callable[[], Tensor], supervision: Supervision | None) -> Tensor:
        self.layout.check_attached(self.model, None)
        # In eager mode, since the model may have been compiled after this method was made. The backward pass is in the
        # block, too: checkpointing around a segment runs it again.
        with torch.compiler.set_stance("force_eager"), _checkpointing(self._segments):
            loss = closure()
            check_scalar(loss)
            torch.autograd.backward(loss)
        self._report_untrained()
        return loss.detach()


def _segments(model: nn.Module) -> Iterator[nn.Module]:
    """The innermost modules with a forward pass that hold feedback points."""
    for module in model.modules():
        if module is not model and _holds_points(module) and not any(map(_holds_points, _inner(module))):
            yield module


def _inner(module: nn.Module) -> Iterator[nn.Module]:
    return (child for child in module.modules() if child is not module)


def _holds_points(module: nn.Module) -> bool:
    """Whether points lie within a module that computes something; a sequence is one segment if it holds one point."""
    if isinstance(module, FeedbackPoint | nn.ModuleList | nn.ModuleDict):
        return False
    points = sum(isinstance(inner, FeedbackPoint) for inner in module.modules())
    return points == 1 if isinstance(module, nn.Sequential) else points > 0


@contextmanager
def _checkpointing(modules: tuple[nn.Module, ...]) -> Iterator[None]:
    """Checkpoint the forward passes of ``modules`` inside the block."""
    own = [vars(module).get("forward") for module in modules]  # where a library has put another in
    for module in modules:
        module.forward = partial(_recomputed, module, module.forward)
    try:
        yield
    finally:
        for module, forward in zip(modules, own, strict=True):
            del module.forward
            if forward is not None:
                module.forward = forward


def _recomputed(module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)

    start = ModelState(module)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return _first_run(start), _again(module, start)

    # The block's own keywords may be called as those of `checkpoint`.
    return checkpoint(partial(forward, **kwargs), *args, use_reentrant=False, context_fn=contexts)


@contextmanager
def _first_run(start: ModelState) -> Iterator[None]:
    """The first run of a segment, which may move all that the second run starts from again."""
    yield
    start.check_frozen()


@contextmanager
def _again(module: nn.Module, start: ModelState) -> Iterator[None]:
    """A second run reads what the first one read, and moves nothing: neither running statistics nor generators."""
    now = ModelState(module)
    start.restore()
    try:
        yield
    finally:
        now.restore()
