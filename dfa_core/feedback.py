"""Feedback matrices: the fixed random maps B_i that carry the error to the feedback points."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfa_core.errors import FeedbackError, check_finite
from dfa_core.noise import seeded_generator

T = TypeVar("T")
Draw = Callable[[Tensor, torch.Generator], object]  # fills a matrix (width, error) in place
_NORMAL_BLOCK = 16


def _uniform(matrix: Tensor, generator: torch.Generator) -> None:
    matrix.uniform_(0, 1, generator=generator).mul_(2).sub_(1)


def _gaussian(matrix: Tensor, generator: torch.Generator) -> None:
    matrix.normal_(generator=generator)


def _shared_gaussian(matrix: Tensor, generator: torch.Generator) -> None:
    """As `_gaussian`, and the rows of a shorter matrix are the first of a longer one.

    PyTorch draws normal numbers in blocks of 16, and otherwise where the last block is not full.
    """
    blocks = -(-matrix.numel() // _NORMAL_BLOCK)
    full = torch.empty(blocks * _NORMAL_BLOCK, dtype=torch.float32, device="cpu").normal_(generator=generator)
    matrix.copy_(full[: matrix.numel()].view_as(matrix))


def _orthogonal(matrix: Tensor, generator: torch.Generator) -> None:
    nn.init.orthogonal_(matrix, generator=generator)
    matrix.mul_(math.sqrt(max(matrix.shape)))  # entries of mean square 1, as for `gaussian`


#: Distribution by name: of one matrix per point, or (``shared_…``) of one per tap that all points share.
KINDS: dict[str, Draw] = {
    "shared_uniform": _uniform,
    "shared_gaussian": _shared_gaussian,
    "uniform": _uniform,
    "gaussian": _gaussian,
    "orthogonal": _orthogonal,
}

#: Scaling by name: the factor on B_i from (own width, widest point's width, error width).
SCALINGS: dict[str, Callable[[int, int, int], float]] = {
    "widest": lambda width, widest, error: 1 / math.sqrt(widest),
    "width": lambda width, widest, error: 1 / math.sqrt(width),
    "error": lambda width, widest, error: 1 / math.sqrt(error),
    "width_error": lambda width, widest, error: 1 / math.sqrt(width * error),
    "none": lambda width, widest, error: 1.0,
}


class FeedbackMatrices(nn.Module):
    """The matrices of all points that one tap serves: row blocks of one buffer, so that one product projects.

    Args:
        tap: name of the tap; seeds a shared matrix.
        error_width: width of the error.
        widths: width of each point by name.
        feedback_seed: see :func:`seeded_generator`.
        kind: one of :data:`KINDS`. ``shared_uniform`` is the paper's (arXiv:2006.12878, section 2): entries
            uniform on [-1, 1), each point uses the first ``width`` columns of one B.
        scaling: one of :data:`SCALINGS`. ``widest`` is the paper's: every point divides by the square root of
            the widest point's width. ``width_error`` is that of arXiv:1906.04554.
        scale: a further factor on every matrix.
        rank: r: B_i = U_i V with V ``(r, error)`` shared by all points, of the same mean square as without; 0: full.
        density: share of each row that is not zero (at least one entry), of the same mean square as without.

    Attributes:
        weight: buffer ``(rows, error_width)``, or ``(rows, rank)``, in fp32; a point's block is B_i, or U_i.
        common: V of low rank, ``(rank, error_width)``; otherwise None.
        rows: per point, the rows of its block. Points of a shared matrix overlap.
    """

    weight: Tensor
    common: Tensor | None

    def __init__(
        self,
        tap: str,
        error_width: int,
        widths: Mapping[str, int],
        *,
        feedback_seed: int = 0,
        kind: str = "shared_uniform",
        scaling: str = "widest",
        scale: float = 1.0,
        rank: int = 0,
        density: float = 1.0,
    ) -> None:
        super().__init__()
        check_finite(scale=scale, rank=rank, density=density)
        if rank < 0 or rank != int(rank) or not 0 < density <= 1:
            raise FeedbackError(
                f"rank={rank}, density={density}: rank must be a whole number, 0 or more, density in (0, 1]"
            )
        self._tap, self._seed = tap, feedback_seed
        self._rank = int(rank) if rank < error_width else 0
        self._density = density
        self._draw = _choice("feedback", kind, KINDS)
        scaling_of = _choice("scaling", scaling, SCALINGS)
        widest = max(widths.values(), default=0)
        self._factors = {name: scale * scaling_of(width, widest, error_width) for name, width in widths.items()}
        self._shared = kind.startswith("shared")
        # Shared and equal but for their length: keep the longest, so that one projection serves every point.
        self._overlap = self._shared and len(set(self._factors.values())) == 1
        self.rows = {name: slice(0, n) for name, n in widths.items()} if self._overlap else _consecutive(widths)
        rows = max((rows.stop for rows in self.rows.values()), default=0)
        columns = self._rank or error_width
        self.register_buffer("weight", torch.empty(rows, columns, dtype=torch.float32, device="cpu"))
        common = torch.empty(columns, error_width, dtype=torch.float32, device="cpu") if self._rank else None
        self.register_buffer("common", common)
        self.redraw()

    @torch.no_grad()
    def redraw(self) -> None:
        """Give the matrices the values that seed, names and settings determine, on whatever device they are."""
        # Drawn on the CPU and in fp32: the same everywhere. In place: no second copy of what may be gigabytes.
        self._redraw(self.weight, self._fill)
        if self.common is not None:
            self._redraw(self.common, self._fill_common)

    @staticmethod
    def _redraw(matrix: Tensor, fill: Callable[[Tensor], None]) -> None:
        if matrix.device.type == "cpu" and matrix.dtype == torch.float32:
            fill(matrix)
        elif matrix.device.type != "meta":
            drawn = torch.empty(matrix.shape, dtype=torch.float32, device="cpu")
            fill(drawn)
            matrix.copy_(drawn)

    def _fill_common(self, common: Tensor) -> None:
        self._draw(common, seeded_generator(self._seed, f"{self._tap}/common"))
        # So that an entry of U V has the mean square that one of U has.
        common /= common.square().mean().sqrt() * math.sqrt(self._rank)

    def _fill(self, weight: Tensor) -> None:
        self._fill_rows(weight)
        if self._density < 1:
            weight *= _sparse_pattern(weight.shape, self._density, seeded_generator(self._seed, f"{self._tap}/pattern"))

    def _fill_rows(self, weight: Tensor) -> None:
        if not self._shared:
            for name, rows in self.rows.items():
                self._draw(weight[rows], seeded_generator(self._seed, name))
                weight[rows] *= self._factors[name]
        elif self.rows:
            widest = max(self.rows, key=lambda name: self.rows[name].stop - self.rows[name].start)
            shared = weight[self.rows[widest]]
            self._draw(shared, seeded_generator(self._seed, self._tap))
            for name, rows in self.rows.items():
                if name != widest and not self._overlap:
                    torch.mul(shared[: rows.stop - rows.start], self._factors[name], out=weight[rows])
            shared *= self._factors[widest]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FeedbackMatrices:
        before = self.weight
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        after = self.weight
        if after.device.type != "meta" and not _same_values(before, after):
            self.redraw()  # `to_empty` moved the module and left the memory as it was found
        return self

    def matrix(self, point: str) -> Tensor:
        """B_iᵀ of ``point``, ``(error_width, width)``: a view to write to, unless it is of low rank."""
        rows = self.weight[self.rows[point]]
        return rows.T if self.common is None else (rows @ self.common).T

    def unscaled(self, point: str) -> Tensor:
        """`matrix` without the factors of ``scaling`` and ``scale``: a copy."""
        return self.matrix(point) / self._factors[point]

    def forward(self, error: Tensor) -> dict[str, Tensor]:
        """Project ``error (*batch, error)`` to every point: B_i e, ``(*batch, width)`` each."""
        if self.weight.device != error.device:
            raise FeedbackError(
                f"the feedback matrices of error tap '{self._tap}' are on {self.weight.device}, its error is on "
                f"{error.device}: move the method with its model, method.to(device), or method.to_empty(device=...) "
                "from the meta device"
            )
        if self.common is not None:
            error = F.linear(error, self.common.to(error.dtype))
        projected = F.linear(error, self.weight.to(error.dtype))
        # Points of equal rows share one contiguous tensor, so that nothing that reads it has to copy it first.
        parts: dict[tuple[int, int], Tensor] = {}
        for rows in self.rows.values():
            if (rows.start, rows.stop) not in parts:
                parts[rows.start, rows.stop] = projected[..., rows].contiguous()
        return {name: parts[rows.start, rows.stop] for name, rows in self.rows.items()}


def _sparse_pattern(shape: torch.Size, density: float, generator: torch.Generator) -> Tensor:
    """A factor for each entry: 0, or what keeps the mean square of a row of which a share ``density`` is left."""
    kept = max(1, round(density * shape[1]))
    drawn = torch.rand(shape, generator=generator, dtype=torch.float32, device="cpu")
    chosen = drawn.topk(kept, dim=1).indices
    return torch.zeros_like(drawn).scatter_(1, chosen, math.sqrt(shape[1] / kept))


def _consecutive(widths: Mapping[str, int]) -> dict[str, slice]:
    rows: dict[str, slice] = {}
    end = 0
    for name, width in widths.items():
        rows[name] = slice(end, end + width)
        end += width
    return rows


def _same_values(before: Tensor, after: Tensor) -> bool:
    """Whether a conversion kept the values, as far as the new type can hold them."""
    if before.device.type == "meta":
        return False
    return before is after or torch.equal(before.to(after.device, after.dtype), after)


def _choice(what: str, name: str, choices: Mapping[str, T]) -> T:
    if name not in choices:
        raise FeedbackError(f"unknown {what} '{name}': choose one of {', '.join(choices)}")
    return choices[name]
