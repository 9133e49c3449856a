"""Feedback alignment: a fixed random weight on the way back through every layer."""

from __future__ import annotations

import math
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn

from dfa_core.errors import FeedbackError
from dfa_core.families.weight_transport import WeightTransport
from dfa_core.information import Information
from dfa_core.layout import module_key
from dfa_core.noise import Seeded, seeded_generator, uniform
from dfa_core.registry import register


class RandomWeights(WeightTransport):
    """Base of methods whose backward weights start random, with the mean square of the weights they replace.

    The state dict's metadata name the weights, so that a state is not loaded beside other ones. States of versions that
    did not name them are loaded as they are.

    Attributes:
        sizes: the root mean square of each weight when the method was made; of a weight that was all zero, 1/√fan-in.

    Raises:
        FeedbackError: `load_state_dict` got the state of a method whose model has other weights, or in another order.
    """

    def __init__(self, model: nn.Module, *, feedback_seed: int = 0) -> None:
        super().__init__(model, feedback_seed=feedback_seed)
        self._check_materialised()
        self._check_initialised()
        weights = self.weights()
        self._index = {name: i for i, name in enumerate(weights)}
        self.sizes: Tensor
        self.register_buffer("sizes", torch.tensor([_size(weight) for weight in weights.values()]))
        self._drawn: dict[str, Tensor] = {}
        self.register_load_state_dict_post_hook(_forget_drawn)  # type: ignore[no-untyped-call]

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if hasattr(destination, "_metadata"):  # a plain dict has none
            destination._metadata[prefix[:-1]]["weights"] = list(self._index)

    def _load_from_state_dict(self, state: Any, prefix: str, metadata: dict[str, Any], *arguments: Any) -> None:
        own = list(self._index)
        names = metadata.get("weights", own)
        if names != own:
            was, now = next((a, b) for a, b in zip_longest(names, own) if a != b)
            raise FeedbackError(
                f"this state is that of a method whose model had weight '{was}' where this one has '{now}': it goes by "
                "their order, so make the model with the same modules in the same order"
            )
        super()._load_from_state_dict(state, prefix, metadata, *arguments)

    def size(self, name: str) -> float:
        """The root mean square that a weight had when the method was made."""
        self.check_known(name)
        return float(self.sizes[self._index[name]])

    def check_known(self, name: str) -> None:
        """Raise :class:`FeedbackError` unless the weight was in the model when the method was made."""
        if name not in self._index:
            raise FeedbackError(
                f"{type(self).__name__} has no backward weight for '{name}', which was put into the model after its "
                "method was made: make the method anew"
            )

    def random_weight(self, name: str, weight: Tensor) -> Tensor:
        """A matrix of independent uniform entries, the same in every step; not in the state dict: the seed has it."""
        drawn = self._drawn.get(name)
        if drawn is None or drawn.device != weight.device or drawn.dtype != weight.dtype:
            bound = 3**0.5 * self.size(name)
            generator = seeded_generator(self.feedback_seed, name)
            drawn = uniform(weight.shape, generator)
            self._drawn[name] = drawn = (bound * drawn).to(weight)
        return drawn


@register("fa", title="FA", colour="#56B4E9", order=30, like="bp")
class FeedbackAlignment(Seeded, RandomWeights):
    """Feedback alignment (Lillicrap et al. 2016, arXiv:1411.0247): B_i is fixed and random.

        δ_{i-1} = B_iᵀ (φ'(z_i) ⊙ δ_i)

    The paper draws B as it draws W; here it is uniform, with the mean square that W has at the start.

    Args:
        model, feedback_seed: see :class:`~dfa_core.Method`.
        alignment: a in [0, 1]: B = a W_0 + √(1 − a²) R with R as above, a feedback that starts partly aligned
            (arXiv:2505.20892). 0 is the original.
    """

    information = Information(
        family="backward weights",
        exact="everything but the weights on the way back",
        replaced="each weight on the way back, by a fixed random one",
        transports="none",
        labels="loss",
        space="the error through every layer above",
        time="after the backward pass has come down",
        passes="1 forward, 1 backward",
        products="F + X + W",
        memory="all activations, and a copy of the weights",
    )

    def __init__(self, model: nn.Module, *, feedback_seed: int = 0, alignment: float = 0.0) -> None:
        super().__init__(model, feedback_seed=feedback_seed)
        self.alignment = alignment
        if not 0 <= alignment <= 1:
            raise FeedbackError(f"alignment={alignment}: must lie between 0 and 1")
        initial = {module_key(n): p.detach().clone() for n, p in self.weights().items()} if alignment else {}
        self.initial = nn.ParameterDict({k: nn.Parameter(w, requires_grad=False) for k, w in initial.items()})

    def backward_weight(self, name: str, weight: Tensor) -> Tensor:
        random = self.random_weight(name, weight)
        if not self.alignment:
            return random
        initial: Tensor = self.initial[module_key(name)]
        mixed: Tensor = self.alignment * initial + math.sqrt(1 - self.alignment**2) * random
        return mixed


def _forget_drawn(method: nn.Module, incompatible_keys: object) -> None:
    """Drop the matrices that were drawn with the sizes from before a state dict was loaded."""
    assert isinstance(method, RandomWeights)
    method._drawn.clear()


def _size(weight: Tensor) -> float:
    size = float(weight.detach().float().square().mean().sqrt())
    return size or float(weight[0].numel()) ** -0.5
