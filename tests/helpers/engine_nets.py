"""Small marked networks for the engine's tests."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from dfa_core import ErrorTap, FeedbackPoint


class Net(nn.Module):
    """Linear layers with feedback after each hidden activation; ``(*batch, widths[0]) -> (*batch,
    widths[-1])``.
    """

    def __init__(
        self,
        *widths: int,
        act: Callable[[Tensor], Tensor] = torch.tanh,
        batch_dims: int = 1,
        bias: bool = True,
        dropout: float = 0.0,
        marked: bool = True,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=bias) for a, b in pairwise(widths))
        mark = FeedbackPoint if marked else lambda *_: nn.Identity()
        self.points = nn.ModuleList(mark(width, batch_dims) for width in widths[1:-1])
        self.tap = ErrorTap(widths[-1], batch_dims) if marked else nn.Identity()
        self.act, self.dropout = act, nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        for layer, point in zip(self.layers, self.points, strict=False):
            x = point(self.dropout(self.act(layer(x))))
        return self.tap(self.layers[-1](x))


class WithHead(nn.Module):
    """A body that ends in its tap and a head above it, which trains by its true gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Net(5, 7, 6, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.body(x)))


def build(*widths: int, seed: int = 0, **options: object) -> Net:
    torch.manual_seed(seed)
    return Net(*widths, **options)  # type: ignore[arg-type]


def batch(rows: int, inputs: int, outputs: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, inputs, generator=generator), torch.randn(rows, outputs, generator=generator)


def mse(model: nn.Module, data: tuple[Tensor, Tensor]) -> Tensor:
    return (model(data[0]) - data[1]).square().mean()


def gradients(model: nn.Module) -> dict[str, Tensor | None]:
    names = ((name.replace("_orig_mod.", ""), p) for name, p in model.named_parameters())
    return {name: None if p.grad is None else p.grad.clone() for name, p in names}


def assert_same(a: dict[str, Tensor | None], b: dict[str, Tensor | None], **tolerance: float) -> None:
    """Equal bit for bit, or within ``rtol`` and ``atol`` where given."""
    assert a.keys() == b.keys()
    for name in a:
        assert (a[name] is None) == (b[name] is None), f"{name} has a gradient on one side only"
        if a[name] is not None:
            torch.testing.assert_close(
                a[name], b[name], **(tolerance or {"rtol": 0, "atol": 0}), msg=lambda m, n=name: f"{n}: {m}"
            )
