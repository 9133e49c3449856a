"""Noise and levels of an instrument that reads the projection, as an optical co-processor does."""

from __future__ import annotations

import pytest
import torch

from dfa_core import FeedbackError, make_method
from dfa_core.methods.dfa import levelled
from tests.engine.methods.nets import net


@pytest.mark.parametrize("settings", [{"error": "ternary"}, {}])
def test_a_batch_without_error_sends_zeros_through_noise_and_levels(settings):
    """Scaling by the largest entry of nothing is NaN: a run fell to chance by it (0/0 at the first such batch)."""
    method = make_method("dfa", net(), noise=0.5, bits=4, **settings)
    sent = method._sent(torch.zeros(3, 4))
    projected = method._read(method._matrices("tap")(sent), "tap/0")
    assert all(torch.equal(signal, torch.zeros_like(signal)) for signal in projected.values())


def test_noise_has_the_size_that_was_asked_for_and_is_new_in_each_step():
    method = make_method("dfa", net(4, 400, 300, 5), feedback="gaussian", noise=0.5)
    exact = method._matrices("tap")(torch.randn(200, 5, dtype=torch.float32))
    first, again = (method._read(exact, "tap/0") for _ in range(2))
    for name, projection in exact.items():
        assert torch.equal(first[name], again[name])
        assert (first[name] - projection).std().item() == pytest.approx(0.5 * projection.std().item(), rel=0.05)
    method.advance()
    assert not torch.equal(method._read(exact, "tap/0")["points.0"], first["points.0"])


def test_a_single_entry_has_no_deviation():
    """PyTorch's deviation of one number is NaN: a point of width 1 would turn to it in a batch of one."""
    method = make_method("dfa", net(4, 1, 5), noise=0.5)
    sent = torch.ones(1, 5)
    exact = method._matrices("tap")(sent)
    assert torch.equal(method._read(exact, "tap/0")["points.0"], exact["points.0"])
    exact = method._matrices("tap")(torch.arange(10.0).reshape(2, 5))  # two entries have one
    noise = 0.5 * exact["points.0"].std() * method.drawn.normal_like("tap/0/points.0", exact["points.0"])
    assert torch.equal(method._read(exact, "tap/0")["points.0"], exact["points.0"] + noise)


def test_points_that_share_a_projection_share_its_reading():
    """An instrument reads each projection once."""
    method = make_method("dfa", net(4, 8, 8, 5), noise=1.0)
    read = method._read(method._matrices("tap")(torch.randn(4, 5)), "tap/0")
    assert read["points.0"] is read["points.1"]


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_levels_are_even_and_as_many_as_the_bits_say(bits):
    projection = torch.linspace(-3, 2, 5000)
    read = levelled(projection, bits)
    assert len(read.unique()) <= 2**bits - 1 and read.min() == -3
    assert (read - projection).abs().max() <= 3 / (2 ** (bits - 1) - 1) / 2 + 1e-6


@pytest.mark.parametrize("settings", [{"noise": -1.0}, {"bits": 1}, {"bits": 17}])
def test_what_no_instrument_has_is_refused(settings):
    with pytest.raises(FeedbackError, match="noise must be 0 or more, bits 0 or 2 to 16"):
        make_method("dfa", net(), **settings)


def test_a_projection_that_is_read_exactly_is_dfa_bit_for_bit():
    """And its state dict has no more than before: checkpoints of earlier versions load."""
    plain, read = make_method("dfa", net()), make_method("dfa", net(), noise=0.0, bits=0)
    assert plain.state_dict().keys() == read.state_dict().keys() and not any("drawn" in k for k in plain.state_dict())
