"""The state that a forward pass reads and moves: what each further run of it starts from, and must not move again."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from dfa_core.errors import FeedbackError
from dfa_core.families.buffers import Buffers
from dfa_core.families.hooked import parameters_now_in
from dfa_core.layout import parameters_of


class ModelState:
    """The buffers of ``model``, and the random generators that are attributes of its modules, as they are now.

    Frozen parameters are not copied, since they may be the larger part of a model; :meth:`check_frozen` watches them.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._buffers = Buffers(model)
        self._generators = [(generator, generator.get_state()) for generator in _generators_in(model)]
        self._frozen = {id(p): _stamp(p) for p in parameters_now_in(model) if not p.requires_grad}

    def moved(self) -> bool:
        """Whether buffers or generators are others now."""
        drawn = any(not torch.equal(generator.get_state(), state) for generator, state in self._generators)
        return drawn or self._buffers.moved()

    def restore(self) -> None:
        """Put the state back."""
        self._buffers.restore()
        for generator, state in self._generators:
            generator.set_state(state)

    def check_frozen(self) -> None:
        """Raise :class:`FeedbackError` if a frozen parameter has changed since: a further run would change it again."""
        if all(self._frozen.get(id(p), _stamp(p)) == _stamp(p) for p in parameters_now_in(self._model)):
            return
        changed = [n for n, p in parameters_of(self._model) if self._frozen.get(id(p), _stamp(p)) != _stamp(p)]
        raise FeedbackError(
            f"the forward pass changes parameter '{changed[0]}', which is frozen, and it runs several times here, so "
            "that the parameter would move several times: change it outside of the closure, after the step, or make "
            "it a buffer"
        )


def _generators_in(model: nn.Module) -> Iterator[torch.Generator]:
    for module in model.modules():
        if torch.Generator in map(type, vars(module).values()):
            yield from (value for value in vars(module).values() if isinstance(value, torch.Generator))


def _stamp(parameter: nn.Parameter) -> tuple[int, int]:
    """Numbers that differ once ``parameter`` was changed in place, or its ``.data`` assigned."""
    version = 0 if parameter.is_inference() else parameter._version
    return version, parameter.data_ptr() if type(parameter) is nn.Parameter else 0
