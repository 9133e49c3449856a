"""The five recommenders: parameters by the papers' equations, output by formula, sizes."""

from __future__ import annotations

import pytest
import torch

from benchmarks.tasks.criteo.fields import Fields
from tests.helpers.networks import networks_of
from tests.tasks.criteo.networks import BY_HAND, SIZES, published, sample, small

NETWORKS = networks_of("recommendation")


def mlp_parameters(inputs: int, hidden: int, layers: int) -> int:
    """Weights and the two vectors of batch norm; a bias would be subtracted by batch norm."""
    return inputs * hidden + (layers - 1) * hidden**2 + layers * 2 * hidden


def expected_parameters(architecture: str, n: int, f: int) -> int:
    """At the published sizes, for n values of f fields, added up from the papers' equations."""
    linear = n + 1
    if architecture == "fm":
        return linear + 16 * n
    if architecture == "deepfm":
        return linear + 10 * n + mlp_parameters(10 * f, 400, 3) + 401
    if architecture == "dcn":  # per cross layer w and b
        return 16 * n + 6 * 2 * 16 * f + mlp_parameters(16 * f, 1024, 2) + (16 * f + 1024 + 1)
    if architecture == "autoint":  # per attention layer query, key, value, output
        attention = 3 * 4 * (32 * 32 + 32)
        projections = 2 * (16 * 32 + 32)
        return linear + 16 * n + projections + attention + (32 * f + 1) + mlp_parameters(16 * f, 400, 3) + 401
    return linear + 10 * n + 1500 * f + mlp_parameters(10 * 1500, 400, 3) + 401


@pytest.mark.parametrize("architecture", NETWORKS)
def test_parameter_counts_are_those_of_the_equations(architecture):
    """Without it a layer too many, or a table kept twice, would go unseen: AUC hardly shows it."""
    network, config = NETWORKS[architecture]
    with torch.device("meta"):
        model = network(config(**published(architecture)), Fields(39, 1_000))
    count = sum(p.numel() for p in model.parameters())
    assert count == expected_parameters(architecture, 1_000, 39)


@pytest.mark.parametrize("architecture", NETWORKS)
@pytest.mark.parametrize("method", ["bp", "shallow"])
def test_methods_train_the_same_parameters(architecture, method):
    """Without it a setting by method could change the network's shape, and the comparison with it."""
    network, config = NETWORKS[architecture]
    with torch.device("meta"):
        ours, dfas = (network(config(**published(architecture, m)), Fields(3, 10)) for m in (method, "dfa"))
    shapes = [{name: value.shape for name, value in model.state_dict().items()} for model in (ours, dfas)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("architecture", NETWORKS)
def test_output_is_that_of_the_equations(architecture):
    """Without it a missing activation, a scale or a wrong order of layers would pass for a worse AUC."""
    model, rows = small(architecture).eval(), sample()
    by_hand = torch.stack([BY_HAND[architecture](model, x, model.embedding.weight[x]) for x in rows.long()])
    torch.testing.assert_close(model(rows), by_hand, rtol=1e-4, atol=1e-4)


def test_linear_terms_start_at_zero_unless_asked():
    """Without it rare values would add the noise of their initial weight to every logit, as in the released code."""
    network, config = NETWORKS["fm"]
    assert not network(config(embedding=2), Fields(3, 500)).linear.table.weight.any()
    drawn = network(config(embedding=2, linear_std=1.0), Fields(3, 500)).linear.table.weight
    assert drawn.std().item() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("architecture", NETWORKS)
def test_sizes_of_zero_are_refused(architecture):
    """Without it a network without layers would train something else, or end in somebody else's error."""
    config = NETWORKS[architecture][1]
    for name in (name for name, value in SIZES[architecture].items() if isinstance(value, int)):
        with pytest.raises(ValueError, match=rf"task\.model\.{name}=0: must be 1 or more"):
            config(**{name: 0})


def test_attention_width_must_suit_the_heads():
    """Without it PyTorch's assertion would be the message."""
    with pytest.raises(ValueError, match=r"task\.model\.attention=7: must be a multiple of heads=2"):
        NETWORKS["autoint"][1](attention=7)
