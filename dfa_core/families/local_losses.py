"""Local losses: the task's own loss of what a decoder guesses from one activation."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfa_core.errors import FeedbackError
from dfa_core.families.feedback_method import StepContext
from dfa_core.layout import Layout, module_key
from dfa_core.noise import seeded_generator
from dfa_core.supervision import Classes, Supervision

#: Decoders by name, from (width of the point, width of the error).
DECODERS: dict[str, Callable[[int, int], nn.Module]] = {
    "linear": lambda width, error: _linear(width, error),
    "mlp": lambda width, error: nn.Sequential(_linear(width, width), nn.ReLU(), _linear(width, error)),
}


def _linear(inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    """The same initial values whatever the process's default type and device."""
    return nn.Linear(inputs, outputs, bias=bias, dtype=torch.float32, device="cpu")


class LocalLosses(nn.Module):
    """A decoder D_i for each feedback point, which guesses what the error tap will be given: L_i = L(D_i h_i).

    Args:
        layout: the marks.
        feedback_seed: with the point's name it determines the decoder's initial values.
        decoder: one of :data:`DECODERS`.
        similarity: β in (1 − β) L(D_i h_i) + β L_sim, see :func:`similarity_loss`.
        projection: width of A in L_sim.
    """

    def __init__(
        self, layout: Layout, feedback_seed: int, decoder: str = "linear", similarity: float = 0.0, projection: int = 64
    ) -> None:
        super().__init__()
        if decoder not in DECODERS:
            raise FeedbackError(f"unknown decoder '{decoder}': choose one of {', '.join(DECODERS)}")
        if not 0 <= similarity <= 1:
            raise FeedbackError(f"similarity={similarity}: must lie between 0 and 1")
        self._layout, self.similarity = layout, similarity
        self.decoders, self.maps = nn.ModuleDict(), nn.ModuleDict()
        for name, point in layout.points.items():
            error = layout.taps[layout.tap_of[name]].width
            with torch.random.fork_rng(devices=[]):
                # `torch.manual_seed` would seed the devices' generators too, and nothing would put them back
                torch.default_generator.manual_seed(seeded_generator(feedback_seed, name).initial_seed())
                self.decoders[module_key(name)] = DECODERS[decoder](point.width, error)
                if similarity:
                    self.maps[module_key(name)] = _linear(point.width, projection, bias=False)

    @torch.enable_grad()
    def gradient(self, point: str, activation: Tensor, context: StepContext, learn: bool) -> Tensor:
        """dL_i/dh_i, of the activation's shape; with ``learn`` the decoder's parameters get their gradients."""
        # A tensor made in inference mode can get no gradient; its copy can.
        h = (activation.clone() if activation.is_inference() else activation.detach()).requires_grad_()
        key = module_key(point)
        own = [p for part in (self.decoders, self.maps) if key in part for p in part[key].parameters()]
        with context.around_head(self._layout.tap_of[point]):
            loss = context.supervision.scale * self.loss(point, h, context.supervision)
            found = torch.autograd.grad(loss, [h, *own], allow_unused=True)
        if learn:
            for parameter, gradient in zip(own, found[1:], strict=True):
                if gradient is not None:
                    parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
        if found[0] is None:
            raise FeedbackError(
                f"the task's head at the error tap of '{point}' does not depend on the output it is given"
            )
        return found[0]

    def loss(self, point: str, activation: Tensor, supervision: Supervision) -> Tensor:
        """L_i of an activation ``(*batch, *features)``, a scalar."""
        mark, tap = self._layout.points[point], self._layout.tap_of[point]
        assert supervision.head is not None
        own = next(self.decoders[module_key(point)].parameters())
        flat = activation.flatten(mark.batch_dims).to(own.dtype)
        batch, features = flat.shape[: mark.batch_dims], self._layout.taps[tap].features
        guess = self.decoders[module_key(point)](flat).reshape(*batch, *features)
        if supervision.offset is not None:
            guess = guess + supervision.offset(tap)
        loss = supervision.head(tap, guess)
        if not self.similarity:
            return loss
        if supervision.targets is None:
            raise FeedbackError("similarity needs the task's targets, which it does not offer: use similarity=0")
        alike = similarity_loss(self.maps[module_key(point)](flat), supervision.targets(tap))
        return (1 - self.similarity) * loss + self.similarity * alike


def similarity_loss(mapped: Tensor, targets: Classes) -> Tensor:
    """Mean square difference of the similarity matrices of activations and labels (Nøkland & Eidnes 2019, equation 5).

    Args:
        mapped: A h, ``(*batch, width)``. Rows are centred, then compared by their cosine.
        targets: the samples' classes. Samples without one are left out.
    """
    labelled = targets.indices.flatten() >= 0
    rows = mapped.flatten(0, -2)[labelled]
    if len(rows) > 8192:
        raise FeedbackError(
            f"similarity compares all pairs of {len(rows)} samples: use similarity=0 or smaller batches"
        )
    rows = F.normalize(rows - rows.mean(dim=1, keepdim=True), dim=1)
    one_hot = F.one_hot(targets.indices.flatten()[labelled], targets.number).to(rows.dtype)
    one_hot = F.normalize(one_hot - 1 / targets.number, dim=1)
    return F.mse_loss(rows @ rows.T, one_hot @ one_hot.T)
