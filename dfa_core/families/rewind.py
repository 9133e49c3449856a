"""The moment from which every forward pass of a step starts: random numbers, and the state of the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dfa_core.families.model_state import ModelState


class _State(NamedTuple):
    """The random numbers and the model at one moment."""

    cpu: Tensor
    gpus: list[Tensor]
    model: ModelState


class Rewind:
    """The randomness and the buffers of a model as they are now; every further pass can start from them.

    So dropout masks, sampled rays and batch statistics agree between the passes of a step, and the running statistics
    move once. The randomness is that of torch's own generators, and of those that are attributes of modules.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._before = self._state()

    @contextmanager
    def again(self) -> Iterator[None]:
        """A block that starts from the kept state and leaves no trace in the present one.

        Raises:
            FeedbackError: the block changed frozen parameters, which nothing puts back.
        """
        now = self._state()
        self._restore(self._before)
        try:
            yield
        finally:
            self._restore(now)
        now.model.check_frozen()

    def moved(self) -> bool:
        """Whether the present state is another than the kept one."""
        before, gpus = self._before, torch.cuda.get_rng_state_all() if self._before.gpus else []
        drawn = not torch.equal(torch.get_rng_state(), before.cpu)
        return drawn or any(map(_differ, gpus, before.gpus)) or before.model.moved()

    def check_frozen(self) -> None:
        """Raise :class:`FeedbackError` if a pass has changed frozen parameters, which nothing puts back."""
        self._before.model.check_frozen()

    def _state(self) -> _State:
        on_gpu = any(p.is_cuda for p in self._model.parameters())
        gpus = torch.cuda.get_rng_state_all() if on_gpu else []
        return _State(torch.get_rng_state(), gpus, ModelState(self._model))

    def _restore(self, state: _State) -> None:
        torch.set_rng_state(state.cpu)
        if state.gpus:
            torch.cuda.set_rng_state_all(state.gpus)
        state.model.restore()


def _differ(a: Tensor, b: Tensor) -> bool:
    return not torch.equal(a, b)
