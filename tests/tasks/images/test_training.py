"""Training on images: the two scales of arXiv:1906.04554, SGD, what is measured, and the order of the methods."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from benchmarks.settings.compose import compose
from benchmarks.training.loop import Loop
from tests.helpers.runs import build

pytestmark = pytest.mark.usefixtures("folder")
SGD = ("task.optim.kind=sgd", "task.optim.lr=0.01")


def loop_of(run) -> Loop:
    return Loop(run.task, run.method, run.config.task, run.config.hardware)


def weights(run) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in run.task.model.named_parameters()}


def test_a_summed_loss_for_the_hidden_layers_is_the_published_update():
    """W_hidden −= lr Σ_batch, W_output −= lr mean_batch, written out for one step of dfa."""
    run = build("mnist/mlp", "dfa", *SGD, "task.hidden_loss=sum")
    batch, before = next(iter(run.task.batches(0))), weights(run)
    size = run.config.task.batch_size
    loop_of(run).step(batch)
    h1 = torch.tanh(batch.images.flatten(1) @ before["hidden.0.linear.weight"].T + before["hidden.0.linear.bias"])
    h2 = torch.tanh(h1 @ before["hidden.1.linear.weight"].T + before["hidden.1.linear.bias"])
    scores = h2 @ before["output.weight"].T + before["output.bias"]
    error = scores.softmax(1) - F.one_hot(batch.labels, 10)  # of the summed loss
    signal = error @ run.method.matrix("hidden.1.point") * (1 - h2**2)
    after = weights(run)
    assert torch.allclose(
        after["hidden.1.linear.weight"], before["hidden.1.linear.weight"] - 0.01 * signal.T @ h1, atol=1e-6
    )
    assert torch.allclose(after["output.weight"], before["output.weight"] - 0.01 / size * error.T @ h2, atol=1e-6)


def test_sgd_with_momentum_is_pytorchs():
    run = build("mnist/mlp", "bp", *SGD, "task.optim.momentum=0.9")
    loop = loop_of(run)
    assert isinstance(loop.optimizer, torch.optim.SGD) and loop.optimizer.param_groups[0]["momentum"] == 0.9


def test_momentum_without_sgd_is_refused():
    """It would have no effect, and nobody would know."""
    with pytest.raises(ValueError, match=r"task\.optim\.momentum=0\.9: is of sgd"):
        compose(["task=mnist/mlp", "method=bp", "task.optim.momentum=0.9"])


def test_the_rate_itself_is_what_the_history_says():
    """With several rates the first group's is reported."""
    run = build("mnist/mlp", "dfa", *SGD, "task.hidden_loss=sum")
    groups = loop_of(run).optimizer.param_groups
    assert [group["lr"] for group in groups] == [0.01, pytest.approx(0.01 * run.config.task.batch_size)]
    assert {id(p) for p in groups[0]["params"]} == {id(p) for p in run.task.model.output.parameters()}


def test_accuracy_counts_every_image_once():
    run = build("mnist/mlp", "bp", "task.eval_batch_size=17")
    run.task.model.eval()
    with torch.no_grad():
        images, labels = run.task.data.ready(run.task.data.test, slice(None))
        expected = 100 * (run.task.model(images).argmax(1) == labels).float().mean().item()
        assert run.task.test()["accuracy"] == pytest.approx(expected)


def test_without_validation_the_last_weights_are_tested():
    """Else the test images would pick the weights that they test."""
    assert build("mnist/mlp", "bp", "task.valid_share=0.0").task.keeps_last
    assert not build("mnist/mlp", "bp").task.keeps_last


def test_one_image_left_over_is_one_line():
    """Batch norm needs two."""
    with pytest.raises(ValueError, match=r"task\.batch_size=67: one image is left for the last batch"):
        build("mnist/mlp", "bp", "task.rows=150", "task.valid_share=0.1", "task.batch_size=67")


def test_methods_come_in_their_order_on_a_convolutional_network():
    """bp ≥ dfa > shallow on the stand-in, in a few seconds."""
    overrides = ("seed=2", "task.rows=1500", "task.epochs=3", "task.model.channels=[8,16]", "task.optim.lr=0.003")
    found = {}
    for method in ("bp", "dfa", "shallow"):
        run = build("mnist/cnn", method, *overrides, profile="quick")
        loop = loop_of(run)
        loop.run()
        found[method] = loop.test()["accuracy"]
    assert found["bp"] > found["dfa"] > found["shallow"] + 5
