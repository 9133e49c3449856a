"""The fixed, weight-free linear part of a network between a feedback point and its tap.

Where no learned weight lies on a path, backprop itself uses no weight: what it does there may be kept, and random
matrices are needed for the rest alone. A model declares the map with its feedback point.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from math import prod
from operator import mul
from typing import NamedTuple

from torch import Tensor

#: The adjoint of a linear map over the samples: errors ``(*batch, error)`` → ``(*batch, error)``, one for each map.
Adjoint = Callable[[Tensor], "list[Tensor]"]


class Residual(NamedTuple):
    """Point and tap lie on one residual stream of equal width: with the branches removed, the output is h_i itself."""


class Carried(NamedTuple):
    """Samples exchange what they hold along fixed maps S_k, and learned weights change the features: o = Σ_k S_k h W_k.

    adjoint: S_kᵀ e of every map. maps: how many there are.
    """

    adjoint: Adjoint
    maps: int = 1


class Pooled(NamedTuple):
    """A fixed map S gathers the activation into ``width`` numbers a sample, which learned weights read: o = W S h.

    adjoint: Sᵀ, ``(*batch, width)`` → ``(*batch, *features)``. All points of one tap read by the same W have one width.
    """

    adjoint: Callable[[Tensor], Tensor]
    width: int


Structure = Residual | Carried | Pooled


def same_order(batch: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two batch shapes can count the same samples in one order: equal, or one with neighbouring dims merged."""
    ends = [set(accumulate((size for size in shape if size != 1), mul, initial=1)) for shape in (batch, other)]
    return prod(batch) == prod(other) and (0 in batch or ends[0] <= ends[1] or ends[1] <= ends[0])
