"""Networks for the distributed tests: blocks with marks outside, at their end or inside."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dfa_core import ErrorTap, FeedbackPoint


class Block(nn.Module):
    """Two layers, with a point between them and one behind them, as ``marks`` says."""

    def __init__(self, marks: str) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 10), nn.Linear(10, 8)
        self.middle = FeedbackPoint(10) if "middle" in marks else nn.Identity()
        self.end = FeedbackPoint(8) if "end" in marks else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.end(torch.tanh(self.b(self.middle(torch.tanh(self.a(x))))))


class Trunk(nn.Module):
    """Blocks between layers that belong to no block, below the first and above the last of them.

    ``marks``: feedback points in the *middle* or at the *end* of each block, or *after* it, outside; ``plain``: none.
    """

    def __init__(self, marks: str = "after", *, recompute: bool = False, plain: bool = False) -> None:
        super().__init__()
        self.embed = nn.Linear(5, 8)
        self.blocks = nn.ModuleList(Block("" if plain else marks) for _ in range(2))
        after = "after" in marks and not plain
        self.points = nn.ModuleList(FeedbackPoint(8) if after else nn.Identity() for _ in self.blocks)
        self.norm, self.up, self.out = nn.LayerNorm(8), nn.Linear(8, 9), nn.Linear(9, 3)
        self.tap = nn.Identity() if plain else ErrorTap(3)
        self.recompute = recompute

    def below(self, x: Tensor) -> Iterator[Tensor]:
        """What goes into each point, and at last into the tap."""
        x = torch.tanh(self.embed(x))
        for block, point in zip(self.blocks, self.points, strict=True):
            x = checkpoint(block, x, use_reentrant=False) if self.recompute else block(x)
            yield x
            x = point(x)
        yield self.out(torch.tanh(self.up(self.norm(x))))

    def forward(self, x: Tensor) -> Tensor:
        *_, output = self.below(x)
        return self.tap(output)


class Penalised(Trunk):
    """Returns a penalty on the activations that go into its points, too."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        *hidden, output = self.below(x)
        return self.tap(output), torch.stack([h.pow(4).mean() for h in hidden]).sum()


class Tied(Trunk):
    """Uses the weights below its tap once more above it."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(super().forward(x)) @ self.out.weight @ self.out.weight.T


class Headed(nn.Module):
    """A trunk that ends in its tap, and a head above it."""

    def __init__(self, marks: str) -> None:
        super().__init__()
        self.trunk = Trunk(marks)
        self.head = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.trunk(x))


class TapOutside(nn.Module):
    """A trunk without a tap, which comes behind it."""

    def __init__(self, marks: str = "after") -> None:
        super().__init__()
        self.trunk = Trunk(marks)
        self.trunk.tap, self.tap = nn.Identity(), ErrorTap(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.tap(self.trunk(x))


def trunk(model: nn.Module) -> nn.Module:
    return getattr(model, "trunk", model)
