"""Where the recommenders are cut, what each signal trains, and the two cuts that get none."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dfa_core import FeedbackPoint, make_method, measure_alignment
from tests.helpers.networks import networks_of
from tests.tasks.criteo.networks import HYBRIDS, deepfm, pairs, published, sample, small

NETWORKS = networks_of("recommendation")


@pytest.mark.parametrize("architecture", HYBRIDS)
def test_mlp_points_come_after_norm_activation_and_dropout(architecture):
    """Without it the signal would not pass batch norm's and ReLU's derivative, or not fall where dropout fell."""
    model = small(architecture, dropout=0.5).train()
    seen: dict[str, Tensor] = {}
    model.mlp.norms[0].register_forward_hook(lambda module, inputs, out: seen.update(norm=out))
    model.mlp.points[0].register_forward_hook(lambda module, inputs, out: seen.update(point=out))
    model(sample(200))
    kept = seen["point"] != 0
    torch.testing.assert_close(seen["point"][kept], 2 * seen["norm"].relu()[kept])
    assert 0.4 < kept.sum() / (seen["norm"] > 0).sum() < 0.6


LINEAR = {"linear.table.weight", "linear.bias"}
HEAD = {"head.weight", "head.bias"}
#: What learns without feedback: all that is not behind a cut.
SHALLOW = {
    "deepfm": {"embedding.weight"} | LINEAR | HEAD,
    "dcn": HEAD,
    "autoint": LINEAR | HEAD | {"cross_head.weight", "cross_head.bias"},
    "afn": LINEAR | HEAD,
}
#: What a signal trains: the part of the network between its point and the cuts below.
TRAINED_BY = {
    "mlp.points.0": ("mlp.linears.0", "mlp.norms.0"),
    "mlp.points.1": ("mlp.linears.1", "mlp.norms.1"),
    "mlp.points.2": ("mlp.linears.2", "mlp.norms.2"),
    "embedding_point": ("embedding",),
    "cross_points.0": ("cross.0",),
    "cross_points.1": ("cross.1",),
    "stack_point": ("cross.2",),
    "project_point": ("project",),
    "attention_points.0": ("attention.0",),
    "attention_points.1": ("attention.1",),
    "cross_point": ("attention.2", "residual"),
    "logarithmic_point": ("logarithmic",),
}


@pytest.mark.parametrize("architecture", HYBRIDS)
def test_each_signal_trains_its_own_layer_alone(architecture):
    """Without it a layer could learn by a path around the cuts, as backprop does, and DFA's AUC would be flattered."""
    model = small(architecture, **({"detach": True} if architecture == "deepfm" else {}))
    method = make_method("dfa", model)
    signals = method.signals
    for point in [None, *method.layout.points]:
        method.signals = lambda p, point=point: {point: signals(p)[point]} if point else {}
        model.zero_grad(set_to_none=True)
        method.backward(model(sample()).square().mean())
        trained = {name for name, p in model.named_parameters() if p.grad is not None}
        own = {name for name, _ in model.named_parameters() if point and name.startswith(TRAINED_BY[point])}
        assert trained == SHALLOW[architecture] | own, point


def test_every_cut_is_on_the_published_place():
    """Without it a point fewer would still train everything, some of it by backprop."""
    points = {name: list(make_method("bp", small(name)).layout.points) for name in NETWORKS}
    mlp_points = [f"mlp.points.{i}" for i in range(3)]
    assert {name: sorted(found) for name, found in points.items()} == {
        "fm": [],
        "deepfm": mlp_points,
        "dcn": sorted(["embedding_point", "cross_points.0", "cross_points.1", "stack_point", *mlp_points[:2]]),
        "autoint": sorted(
            ["embedding_point", "project_point", "attention_points.0", "attention_points.1", "cross_point", *mlp_points]
        ),
        "afn": sorted(["embedding_point", "logarithmic_point", *mlp_points]),
    }


@pytest.mark.parametrize("architecture", NETWORKS)
def test_error_is_read_at_the_logit(architecture):
    """Without it the feedback could start from the probability, whose gradient is another."""
    model = small(architecture)
    assert {tap.width for tap in make_method("bp", model).layout.taps.values()} == {1}
    assert model(sample()).shape == (8,)


def gradient_of_embeddings(model: nn.Module, method: str) -> Tensor | None:
    """Under the loss Σ z² / 2 of the logits z, whose error is z."""
    make_method(method, model.eval()).backward(model(sample()).square().sum() / 2)
    return model.embedding.weight.grad


def test_frozen_embeddings_are_an_option_of_afn():
    """Without it the released code's accident could slip into the default, or the option could do nothing."""
    assert gradient_of_embeddings(small("afn"), "dfa").any()
    frozen = small("afn", frozen_embeddings=True)
    assert gradient_of_embeddings(frozen, "dfa") is None
    assert not any(isinstance(m, FeedbackPoint) for m in frozen.embedding_point.modules())


def test_deepfm_detaches_under_feedback_methods_only():
    """Without it backprop's embeddings would miss half of their gradient, or DFA's get one that the paper's do not."""
    settings = {method: published("deepfm", method)["detach"] for method in ("bp", "dfa", "shallow")}
    assert settings == {"bp": False, "dfa": True, "shallow": True}
    for method, detach, terms in (("dfa", True, pairs_alone), ("bp", False, deepfm)):
        model = small("deepfm", detach=detach)
        found = gradient_of_embeddings(model, method)
        errors = model(sample()).detach()
        embedded = [model.embedding.weight[x] for x in sample().long()]
        logits = torch.stack([terms(model, x, e) for x, e in zip(sample().long(), embedded, strict=True)])
        (expected,) = torch.autograd.grad((errors * logits).sum(), model.embedding.weight)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def pairs_alone(model: nn.Module, x: Tensor, e: Tensor) -> Tensor:
    return pairs(e)


def test_alignment_covers_every_point():
    """Without it Table A.1 could lack a row, or name the wrong point as the deepest."""
    for architecture in HYBRIDS:
        expected = "mlp.points.0" if architecture == "deepfm" else "embedding_point"
        model = small(architecture)
        method = make_method("dfa", model)
        measured = measure_alignment(method, lambda model=model: model(sample()).square().mean())
        assert set(measured.points) == set(method.layout.points) and next(iter(measured.points)) == expected
