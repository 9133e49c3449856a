"""Structural feedback keeps samples apart: point and tap must count them in one order."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dfa_core import Carried, ErrorTap, FeedbackError, FeedbackPoint, Residual, make_method
from tests.helpers.engine_nets import assert_same, gradients

X = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(1))


class Texts(nn.Module):
    """A stream over (batch, time); the layers behind the point may see another shape of the batch."""

    def __init__(self, structure: object, change, back, dims: tuple[int, int]) -> None:
        super().__init__()
        self.enter, self.branch = nn.Linear(5, 4), nn.Linear(4, 4)
        self.point, self.tap = FeedbackPoint(4, dims[0], structure=structure), ErrorTap(4, dims[1])
        self.change, self.back = change, back

    def forward(self, x: Tensor) -> Tensor:
        x = self.change(self.point(torch.tanh(self.enter(x))))
        return self.back(self.tap(x + self.branch(x)))


def same(x: Tensor) -> Tensor:
    return x


def swapped(x: Tensor) -> Tensor:
    return x.transpose(0, 1)


def flat(x: Tensor) -> Tensor:
    return x.flatten(0, 1)


def unflat(x: Tensor) -> Tensor:
    return x.unflatten(0, (2, 3))


def found(structure, change, back, dims, x=X) -> dict[str, Tensor | None]:
    torch.manual_seed(0)
    model = Texts(structure, change, back, dims)
    make_method("structural", model).backward((model(x) - torch.arange(24.0).view(2, 3, 4)).square().mean())
    return gradients(model)


@pytest.mark.parametrize("structure", [Residual(), Carried(lambda e: [e])], ids=["residual", "carried"])
def test_samples_in_another_order_are_refused(structure):
    """Without it every token would learn from another one's error, since the numbers of entries agree."""
    with pytest.raises(FeedbackError, match=r"'point' has batch shape \(2, 3\), its error tap \(3, 2\).*one order"):
        found(structure, swapped, swapped, (2, 2))


@pytest.mark.parametrize("structure", [Residual(), Carried(lambda e: [e])], ids=["residual", "carried"])
def test_flattened_samples_are_the_same_samples(structure):
    """Without it a model that flattens its batch above a point, or below it, would be refused."""
    expected = found(structure, same, same, (2, 2))
    for change, back, dims, x in (
        (flat, unflat, (2, 1), X),
        (unflat, same, (1, 2), flat(X)),
        (lambda x: x.unsqueeze(1), lambda x: x.squeeze(1), (2, 3), X),
    ):
        assert_same(found(structure, change, back, dims, x), expected, rtol=1e-5, atol=1e-6)
