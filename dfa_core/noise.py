"""Random numbers of a method's own: a function of its seed, the step and a name, and of nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dfa_core.errors import FeedbackError


def seeded_generator(feedback_seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator that depends on the seed and the name alone: not on order or global state."""
    digest = hashlib.sha256(f"{feedback_seed}/{name}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:7], "big"))


def uniform(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Uniform on [-1, 1), in fp32 on the CPU, whatever the process's default type and device."""
    return torch.empty(tuple(shape), dtype=torch.float32, device="cpu").uniform_(-1, 1, generator=generator)


class Seeded(nn.Module):
    """Base of methods whose fixed feedback is drawn from their seed when a step needs it, and is not in the state dict.

    The state dict's metadata name the seed, so that a state is not loaded into a method with other feedback. States of
    versions that did not name it are loaded as they are.

    Raises:
        FeedbackError: `load_state_dict` got the state of a method with another seed.
    """

    feedback_seed: int

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if hasattr(destination, "_metadata"):  # a plain dict has none
            destination._metadata[prefix[:-1]]["feedback_seed"] = self.feedback_seed

    def _load_from_state_dict(self, state: Any, prefix: str, metadata: dict[str, Any], *arguments: Any) -> None:
        seed = metadata.get("feedback_seed", self.feedback_seed)
        if seed != self.feedback_seed:
            raise FeedbackError(
                f"this state is that of a method with feedback_seed={seed}, which has other feedback than "
                f"feedback_seed={self.feedback_seed}: make the method with feedback_seed={seed}"
            )
        super()._load_from_state_dict(state, prefix, metadata, *arguments)


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
