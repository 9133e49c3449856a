"""Random numbers of a method's own: a function of its seed, the step and a name, and of nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


def seeded_generator(feedback_seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator that depends on the seed and the name alone: not on order or global state."""
    digest = hashlib.sha256(f"{feedback_seed}/{name}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:7], "big"))


def uniform(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Uniform on [-1, 1), in fp32 on the CPU, whatever the process's default type and device."""
    return torch.empty(tuple(shape), dtype=torch.float32, device="cpu").uniform_(-1, 1, generator=generator)


class Noise(nn.Module):
    """Noise that is new in each step and can be drawn again within it.

    The number of steps taken is in the state dict, so that a resumed training goes on with the same noise. The
    network's own randomness (dropout, sampled rays) is not touched. Numbers differ between kinds of device.

    Args:
        feedback_seed: see :func:`seeded_generator`.
    """

    def __init__(self, feedback_seed: int) -> None:
        super().__init__()
        self._seed = feedback_seed
        self.step = 0

    def advance(self) -> None:
        """Go on to the next step's noise."""
        self.step += 1

    def generator(self, name: str, device: torch.device) -> torch.Generator:
        """The generator of this step's noise of a name."""
        return seeded_generator(self._seed, f"{self.step}/{name}", device)

    def normal_like(self, name: str, like: Tensor) -> Tensor:
        """N(0, 1), of the shape, type and device of ``like``."""
        generator = self.generator(name, like.device)
        return torch.empty_like(like, requires_grad=False).normal_(generator=generator)

    def get_extra_state(self) -> int:
        return self.step

    def set_extra_state(self, state: Any) -> None:
        self.step = int(state)
