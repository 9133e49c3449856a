"""Feedback matrices: the fixed random maps B_i that carry the error to the feedback points."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfa_core.errors import FeedbackError

T = TypeVar("T")
Draw = Callable[[int, int, torch.Generator], Tensor]


def _uniform(width: int, error: int, generator: torch.Generator) -> Tensor:
    return torch.rand(width, error, generator=generator) * 2 - 1


def _gaussian(width: int, error: int, generator: torch.Generator) -> Tensor:
    return torch.randn(width, error, generator=generator)


def _orthogonal(width: int, error: int, generator: torch.Generator) -> Tensor:
    matrix = nn.init.orthogonal_(torch.empty(width, error), generator=generator)
    return matrix * math.sqrt(max(width, error))  # entries of mean square 1, as for `gaussian`


#: Distribution by name: of one matrix per point, or (``shared_…``) of one per tap that all points share.
KINDS: dict[str, Draw] = {
    "shared_uniform": _uniform,
    "uniform": _uniform,
    "gaussian": _gaussian,
    "orthogonal": _orthogonal,
}

#: Scaling by name: the factor on B_i from (own width, widest point's width, error width).
SCALINGS: dict[str, Callable[[int, int, int], float]] = {
    "widest": lambda width, widest, error: 1 / math.sqrt(widest),
    "width": lambda width, widest, error: 1 / math.sqrt(width),
    "error": lambda width, widest, error: 1 / math.sqrt(error),
    "none": lambda width, widest, error: 1.0,
}


def seeded_generator(feedback_seed: int, name: str) -> torch.Generator:
    """A CPU generator that depends on the seed and the name alone: not on order, device or global state."""
    digest = hashlib.sha256(f"{feedback_seed}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


class FeedbackMatrices(nn.Module):
    """The matrices of all points that one tap serves: row blocks of one buffer, so that one product projects.

    Args:
        tap: name of the tap; seeds a shared matrix.
        error: width of the error.
        widths: width of each point by name.
        feedback_seed: see :func:`seeded_generator`.
        kind: one of :data:`KINDS`. ``shared_uniform`` is the paper's (arXiv:2006.12878, section 2): entries
            uniform on [-1, 1), each point uses the first ``width`` columns of one B.
        scaling: one of :data:`SCALINGS`. ``widest`` is the paper's: every point divides by the square root of
            the widest point's width.
        scale: a further factor on every matrix.

    Attributes:
        weight: buffer ``(rows, error)`` in fp32; a point's block is ``B_i`` transposed.
        rows: per point, the rows of its block. Points of a shared matrix overlap.
    """

    weight: Tensor

    def __init__(
        self,
        tap: str,
        error: int,
        widths: Mapping[str, int],
        *,
        feedback_seed: int = 0,
        kind: str = "shared_uniform",
        scaling: str = "widest",
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        draw = _choice("feedback", kind, KINDS)
        scaling_of = _choice("scaling", scaling, SCALINGS)
        widest = max(widths.values(), default=0)
        factors = {name: scale * scaling_of(width, widest, error) for name, width in widths.items()}
        if kind.startswith("shared"):
            shared = draw(widest, error, seeded_generator(feedback_seed, tap))
            blocks = {name: shared[:width] * factors[name] for name, width in widths.items()}
        else:
            blocks = {
                name: draw(width, error, seeded_generator(feedback_seed, name)) * factors[name]
                for name, width in widths.items()
            }
        if kind.startswith("shared") and len(set(factors.values())) == 1:
            # Equal but for their length: keep the longest, so that one projection serves every point.
            weight = max(blocks.values(), key=len)
            self.rows = {name: slice(0, width) for name, width in widths.items()}
        else:
            weight = torch.cat([torch.empty(0, error), *blocks.values()])
            self.rows = _consecutive(widths)
        self.register_buffer("weight", weight)

    def matrix(self, point: str) -> Tensor:
        """B_i of ``point`` as a view ``(error, width)``; writing to it changes the feedback."""
        return self.weight[self.rows[point]].T

    def forward(self, error: Tensor) -> dict[str, Tensor]:
        """Project ``error (*batch, error)`` to every point: B_i e, ``(*batch, width)`` each."""
        projected = F.linear(error, self.weight.to(error.dtype))
        # Points of equal rows share one contiguous tensor, so that nothing that reads it has to copy it first.
        parts: dict[tuple[int, int], Tensor] = {}
        for rows in self.rows.values():
            if (rows.start, rows.stop) not in parts:
                parts[rows.start, rows.stop] = projected[..., rows].contiguous()
        return {name: parts[rows.start, rows.stop] for name, rows in self.rows.items()}


def _consecutive(widths: Mapping[str, int]) -> dict[str, slice]:
    rows: dict[str, slice] = {}
    end = 0
    for name, width in widths.items():
        rows[name] = slice(end, end + width)
        end += width
    return rows


def _choice(what: str, name: str, choices: Mapping[str, T]) -> T:
    if name not in choices:
        raise FeedbackError(f"unknown {what} '{name}': choose one of {', '.join(choices)}")
    return choices[name]
