"""Node perturbation (Widrow & Lehr 1990; Fiete & Seung 2006) as a plugin: reward-modulated noise, no error signal.

    python -m benchmarks.conformance examples/node_perturbation.py
    make bench-smoke PLUGINS=examples/node_perturbation.py

The activations of all feedback points are perturbed by noise v_i once. The only thing that comes back is one number, by
how much the loss has changed:

    δ_i = (L(h + ε v) − L(h)) / ε · v_i

In the mean this is the gradient, as for `forward_gradient`. That one knows the error at the output and so the change of
each sample's loss; here the whole batch shares one number, which makes the estimate as noisy as `mezo`'s, over fewer
entries.
"""

from __future__ import annotations

import torch

from dfa_core import FeedbackMethod, register
from dfa_core.families.perturbation import perturbed, visits
from dfa_core.noise import Noise


@register("node_perturbation", title="node perturbation", colour="#B07AA1", needs=("replay",))
class NodePerturbation(FeedbackMethod):
    def __init__(self, model, *, feedback_seed=0, epsilon=1e-3):
        super().__init__(model, feedback_seed=feedback_seed)
        self.epsilon, self.noise = epsilon, Noise(feedback_seed)

    def advance(self):
        self.noise.advance()

    @torch.no_grad()
    def signals_of(self, passes):
        noise = {at: self.noise.normal_like(f"{at.nth}/{at.point}", h) for at, h in visits(passes).items()}
        losses = [perturbed(self, passes, noise, by)[0] for by in (self.epsilon, 0.0)]
        slope = (losses[0] - losses[1]) / self.epsilon
        return [{at.point: slope * v for at, v in noise.items() if at[:2] == (one.tap, one.nth)} for one in passes]
