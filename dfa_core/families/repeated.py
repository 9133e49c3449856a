"""A closure that runs several times in a step: it must do the same each time, and leave gradients alone."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from dfa_core.errors import FeedbackError
from dfa_core.recording.graph import reached


def other_run(mark: str) -> FeedbackError:
    """The error of a closure that, called again, did at ``mark`` something else than before."""
    return FeedbackError(
        f"the closure ran differently when it was called again, at '{mark}': it must do the same each time. Draw what "
        "is random with torch, whose generators start again, as those do that are attributes of the model's modules "
        "(Python's and NumPy's do not), and run passes that the loss does not depend on outside of the closure"
    )


def leaves_of(loss: Tensor) -> list[Tensor]:
    """The leaf tensors that get a gradient from ``loss``, those of a head or criterion outside of the model included.

    Of a pass that was cut they are those above its taps.
    """
    nodes, _ = reached([loss])
    return [leaf for node in nodes if (leaf := getattr(node, "variable", None)) is not None]


class GradientsSoFar:
    """The gradients that a step has accumulated before it runs the closure again.

    Args:
        parameters: those that may have some.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self._kept = [(p, p.grad, p.grad._version) for p in parameters if p.grad is not None]

    def check(self) -> None:
        """Raise :class:`FeedbackError` if the closure has erased or changed one of them."""
        if any(p.grad is not gradient or gradient._version != version for p, gradient, version in self._kept):
            raise FeedbackError(
                "the closure changed gradients when it was called again, and this step had accumulated them before: "
                "call zero_grad() and backward() outside of the closure, before method.step"
            )
