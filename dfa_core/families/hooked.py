"""Parameters with hooks: they must see one gradient a step, also where each segment goes backward by itself."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from dfa_core.errors import FeedbackError
from dfa_core.layout import parameters_of
from dfa_core.recording.graph import reached


class HookedParameters:
    """The parameters of ``model`` that have hooks, and the part of a step that gives each its gradient.

    Args:
        instead: what to do, for the message.
    """

    def __init__(self, model: nn.Module, instead: str) -> None:
        hooked = any(map(_has_hooks, parameters_now_in(model)))  # most models have none, and names take time
        self._names = {id(p): name for name, p in parameters_of(model) if _has_hooks(p)} if hooked else {}
        self._instead = instead
        self._part_of: dict[int, Hashable] = {}

    def check(self, root: Tensor, part: Hashable) -> None:
        """Raise :class:`FeedbackError` if ``root`` reaches a parameter that another part of the step reaches too."""
        if not self._names:
            return
        for key in reached([root])[1] & self._names.keys():
            if self._part_of.setdefault(key, part) != part:
                raise FeedbackError(
                    f"parameter '{self._names[key]}' has hooks and is used in several segments, each of which goes "
                    f"backward by itself, so that its hooks would run several times: {self._instead}"
                )


def parameters_now_in(model: nn.Module) -> Iterator[nn.Parameter]:
    """The parameters of ``model``, shared ones several times; takes half of the time of ``model.parameters()``."""
    stack: list[nn.Module | None] = [model]
    while stack:
        module = stack.pop()
        if module is not None:
            yield from (p for p in module._parameters.values() if p is not None)
            stack += module._modules.values()


@contextmanager
def hooks_afterwards(leaves: Iterable[Tensor]) -> Iterator[None]:
    """Hold back hooks that wait for the gradients of ``leaves`` until the block has ended.

    Such hooks (``register_post_accumulate_grad_hook``) hold optimizers, which move weights that the block still reads.
    """
    found = [(leaf, getattr(leaf, "_post_accumulate_grad_hooks", None)) for leaf in leaves]
    held = [(leaf, hooks, dict(hooks)) for leaf, hooks in found if hooks]
    for _, hooks, _ in held:
        hooks.clear()  # emptied and filled again, since handles that remove a hook know this very dictionary
    try:
        yield
    finally:
        for _, hooks, kept in held:
            hooks.update(kept)
    for leaf, hooks, _ in held:
        for hook in [*hooks.values()] if leaf.grad is not None else []:
            hook(leaf)


def _has_hooks(parameter: Tensor) -> bool:
    return bool(parameter._backward_hooks or getattr(parameter, "_post_accumulate_grad_hooks", None))
