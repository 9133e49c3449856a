"""Backprop, through the protocol that all methods share."""

from __future__ import annotations

import torch
from torch import Tensor

from dfa_core.information import Information
from dfa_core.method import Method
from dfa_core.recording.step import check_scalar
from dfa_core.registry import register


@register("bp", colour="#0072B2", order=0, standard=True)
class Backprop(Method):
    """The true gradient of the whole network. The marks stay identities."""

    information = Information(
        family="backprop",
        exact="everything",
        replaced="nothing",
        transports="all",
        labels="loss",
        space="the error through every layer above",
        time="after the backward pass has come down",
        passes="1 forward, 1 backward",
        products="F + X + W",
        memory="all activations",
    )

    exact = True

    def backward(self, loss: Tensor) -> None:
        self.layout.check_attached(self.model, None)
        check_scalar(loss)
        torch.autograd.backward(loss)
        self._report_untrained()

    def wrap(self, loss: Tensor) -> Tensor:
        return loss
