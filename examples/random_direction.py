"""A method of your own in one file: every feedback point gets a random direction, as long as the error is large.

Each step draws a new direction per sample, so nothing can align with it: a control that asks what feedback of the
right size alone is worth. Use it wherever a method is named, tables included:

    python -m benchmarks.run plugins=examples/random_direction.py method=random_direction task=citation/gcn_cora
    make bench-all PLUGINS=examples/random_direction.py

Its settings are the keywords of the constructor: method.scale=0.5.
"""

from __future__ import annotations

from torch import Tensor, nn

from dfa_core import FeedbackMethod, register
from dfa_core.noise import Noise


@register("random_direction", title="random direction")
class RandomDirection(FeedbackMethod):
    """For each sample a direction drawn anew, with the norm of the sample's error."""

    def __init__(self, model: nn.Module, *, feedback_seed: int = 0, scale: float = 1.0) -> None:
        super().__init__(model, feedback_seed=feedback_seed)
        self.scale, self.noise = scale, Noise(feedback_seed)  # its own: the network's dropout stays as it is

    def advance(self) -> None:
        self.noise.advance()

    def signal(self, point: str, activation: Tensor, error: Tensor) -> Tensor:
        """Shapes: activation ``(samples, features)``, error ``(samples, classes)``, signal as the activation."""
        batch_dims = self.layout.points[point].batch_dims
        direction = self.noise.normal_like(point, activation).flatten(batch_dims)
        size = error.flatten(batch_dims).norm(dim=-1, keepdim=True)
        signal = self.scale * size * direction / direction.norm(dim=-1, keepdim=True)
        return signal.reshape(activation.shape)
