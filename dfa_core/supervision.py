"""Supervision: what a task offers to methods that ask for more than its loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


class Classes(NamedTuple):
    """The right answer of each sample, as a class.

    indices: ``(*batch,)`` int64 in [0, number), -1 for a sample without label. number: of classes.
    """

    indices: Tensor
    number: int


@dataclass(frozen=True)
class Supervision:
    """The supervision of one batch.

    Attributes:
        head: the task's scalar loss if the error tap of this name had passed on this output, ``(*batch, *error)``. What
            lies above the tap is held constant: no gradient reaches its parameters. Methods with local losses read
            their decoders' guesses by it, so that "loss" means the same at every depth.
        offset: what a decoder's guess at this tap is added to, ``(*error,)``: where the network's own last layer starts
            from a bias that the task has chosen. Zero without it.
        targets: the classes of the samples at the error tap of this name.
        scale: how many times the task's mean loss the closure returns: 1/k for each of k micro-batches whose gradients
            are accumulated, the factor of a `torch.amp.GradScaler`. Methods whose signals do not come from the loss
            alone take it from here.
        samples: how many samples the mean loss is a mean of, in one pass through the error tap of this name. `pepita`
            and `predictive_coding` take the loss of one sample for their unit. Without it they count the samples that
            have an error. A loss that is exactly 0 for a sample that is right (hinge, margin, triplet) needs it.

    A task leaves out what it does not have.
    """

    head: Callable[[str, Tensor], Tensor] | None = None
    targets: Callable[[str], Classes] | None = None
    offset: Callable[[str], Tensor] | None = None
    scale: float = 1.0
    samples: Callable[[str], int] | None = None

    @property
    def offered(self) -> frozenset[str]:
        """In the words of `Method.needs`."""
        return frozenset(name for name, part in (("heads", self.head), ("targets", self.targets)) if part is not None)
