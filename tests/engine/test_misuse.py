"""Wrong use raises an error that names the mark and the hint, and the next step works again."""

from __future__ import annotations

import copy
import io
import logging

import pytest
import torch

from dfa_core import (
    DFA,
    ErrorTap,
    FeedbackError,
    FeedbackMethod,
    FeedbackPoint,
    make_method,
    method_class,
    register,
    registered_methods,
)
from tests.helpers.engine_nets import Net, assert_same, batch, build, gradients, mse


@pytest.mark.parametrize("mark", ["points.0", "tap"])
def test_a_wrong_shape_names_the_mark(mark):
    """Without it time steps would be taken for features, or features for samples."""
    model = build(5, 7, 3)
    if mark == "tap":
        model.tap = ErrorTap(4)
    else:
        model.points[0] = FeedbackPoint(7, batch_dims=2)
    make_method("dfa", model)
    with pytest.raises(FeedbackError, match=rf"'{mark}' got .*construct it with the batch_dims and features"):
        model(torch.randn(9, 5))


def test_a_point_with_other_samples_than_its_tap():
    """Without it a per-token point would be projected a per-sequence error, by broadcasting."""

    class Pooled(Net):
        def forward(self, x):
            return self.tap(self.layers[1](self.points[0](self.layers[0](x)).mean(1)))

    torch.manual_seed(0)
    model = Pooled(5, 7, 3)
    model.points[0] = FeedbackPoint(7, batch_dims=2)
    method = make_method("dfa", model)
    with pytest.raises(FeedbackError, match=r"'points.0' has batch shape \(4, 6\).*declare batch_dims"):
        method.backward(model(torch.randn(4, 6, 5)).mean())


def test_a_point_that_runs_twice():
    """Without it a weight-shared layer would drop the first of its two activations."""

    class Twice(Net):
        def forward(self, x):
            return self.tap(self.layers[1](self.points[0](self.points[0](self.layers[0](x)))))

    torch.manual_seed(0)
    model = Twice(5, 7, 3)
    method = make_method("dfa", model)
    loss = model(torch.randn(4, 5)).mean()
    with pytest.raises(FeedbackError, match=r"'points.0' ran twice.*'tap'.*its own FeedbackPoint"):
        method.backward(loss)


def test_a_tap_that_never_ran():
    """Without it a net whose output bypasses the tap would train its top layer only."""
    model = build(5, 7, 3)
    method = make_method("dfa", model)
    loss = model.points[0](model.layers[0](torch.randn(4, 5))).mean()
    with pytest.raises(FeedbackError, match=r"error tap never ran after feedback point 'points.0'"):
        method.backward(loss + model.layers[1].bias.sum())


@pytest.mark.parametrize("name", ["dfa", "shallow"])
def test_a_loss_that_depends_on_no_tap(name):
    """Without it a detached output would train nothing, and a forgotten evaluation would add to the step."""
    model, data = build(5, 7, 3), batch(4, 5, 3)
    method = make_method(name, model)
    with pytest.raises(FeedbackError, match=r"the loss depends on no error tap.*from what the tap returns"):
        method.backward(model(data[0]).detach().mean() + model.layers[1].bias.sum())
    method.backward(mse(model, data))
    expected = gradients(model)
    model.zero_grad()
    model(data[0])
    method.backward(mse(model, data))
    assert_same(gradients(model), expected)


def test_replaced_methods():
    """Without it a detached method would train the top layer alone: shallow under another name."""
    model, data = build(5, 7, 3), batch(4, 5, 3)
    bp, dfa = make_method("bp", model), make_method("dfa", model)
    with pytest.raises(FeedbackError, match="make the method anew"):
        bp.backward(mse(model, data))
    loss = mse(model, data)
    shallow = make_method("shallow", model)
    with pytest.raises(FeedbackError, match=r"another method was attached.*make the method anew"):
        dfa.backward(loss)
    with pytest.raises(FeedbackError, match="'tap' that was recorded for another method"):
        shallow.backward(loss)
    shallow.backward(mse(model, data))


def test_a_discriminator_cuts_the_gradient_of_its_generator():
    """Without it the generator would learn nothing from the discriminator, and no message would say why."""
    generator, critic = build(2, 6, 5, seed=1), build(5, 7, 1, seed=2)
    methods = make_method("dfa", generator), make_method("dfa", critic)
    noise = batch(9, 2, 1)[0]
    for step in (lambda loss: loss.backward(), methods[0].backward):
        with pytest.raises(FeedbackError, match=r"discriminator.*within (method\.|its method's )detached\(\)"):
            step(critic(generator(noise)).mean())
    with methods[1].detached():
        loss = critic(generator(noise)).mean()
    methods[0].backward(loss)
    assert None not in gradients(generator).values()


def test_two_heads_share_one_tap():
    """Without it the hint that the message on two taps gives would be worth nothing."""

    class TwoHeads(Net):
        def forward(self, x):
            return super().forward(x).split([1, 2], dim=1)

    torch.manual_seed(0)
    model, data = TwoHeads(5, 7, 3), batch(4, 5, 3)
    method = make_method("dfa", model)
    first, second = model(data[0])
    method.backward(first.mean() + second.square().mean())
    assert None not in gradients(model).values()


def test_a_shared_encoder_used_twice():
    """Without it a siamese network would end in a message that does not fit it."""

    class Siamese(torch.nn.Module):
        def __init__(self, encoder):
            super().__init__()
            self.encoder, self.tap = encoder, torch.nn.Identity()

        def forward(self, a, b):
            return self.tap(self.encoder(a) - self.encoder(b))

    torch.manual_seed(0)
    x = batch(4, 5, 3)[0]
    inside = Siamese(Net(5, 7, 3))
    make_method("dfa", inside).backward(inside(x, 2 * x).square().mean())
    assert None not in gradients(inside).values()
    outside = Siamese(Net(5, 7, 3))
    outside.encoder.tap, outside.tap = torch.nn.Identity(), ErrorTap(3)
    method = make_method("dfa", outside)
    with pytest.raises(FeedbackError, match=r"'encoder.points.0' ran twice.*tap inside an encoder that is used twice"):
        method.backward(outside(x, 2 * x).square().mean())


@pytest.mark.parametrize(("mark", "kind"), [("h", "feedback point"), ("y", "error tap")])
def test_a_tuple_passed_into_a_mark(mark, kind):
    """Without it a recurrent layer's output would end in an attribute error inside this library."""
    model = torch.nn.ModuleDict({"h": FeedbackPoint(3), "y": ErrorTap(3)})
    method = make_method("dfa", model)
    with pytest.raises(FeedbackError, match=rf"{kind} '{mark}' got a tuple: pass it one tensor"):
        model[mark]((torch.ones(2, 3), None))
    assert method.layout.is_attached(method.recorder)


def test_in_place_operations_behind_a_mark():
    """Without it the activation would be changed after the fact, or PyTorch would blame a version counter."""

    class InPlace(Net):
        def forward(self, x):
            h = self.points[0](torch.tanh(self.layers[0](x)))
            h += 1
            return self.tap(self.layers[1](h))

    torch.manual_seed(0)
    model, data = InPlace(5, 7, 3), batch(4, 5, 3)
    method = make_method("dfa", model)
    with pytest.raises(FeedbackError, match=r"'points.0' passed on was changed in place.*x = x \+ y"):
        method.backward(mse(model, data))
    model = build(5, 7, 3)
    method = make_method("dfa", model)
    method.backward((2 * model(data[0])).square().mean())
    expected = gradients(model)
    model.zero_grad()
    method.backward(model(data[0]).mul_(2).square().mean())  # behind a tap it is exact
    assert_same(gradients(model), expected)


def test_an_error_leaves_no_trace_in_the_next_step():
    """Without it one failed step would poison all that follow."""
    model, data = build(5, 7, 3), batch(4, 5, 3)
    method = make_method("dfa", model)
    model.points[0](torch.randn(2, 7))
    with pytest.raises(FeedbackError):
        method.backward(mse(model, data))
    method.backward(mse(model, data))


def test_copies_are_unattached():
    """Without it a copy (an average of weights, a best checkpoint) would write into the original's step."""
    model, data = build(5, 7, 3, act=torch.tanh), batch(4, 5, 3)
    method = make_method("dfa", model)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    for twin in (copy.deepcopy(model), torch.load(file, weights_only=False)):
        mse(twin, data).backward()
        assert None not in gradients(twin).values()
    method.backward(mse(model, data))


def test_parameters_without_gradient_are_reported_once(caplog):
    """Without it a layer that a method forgets would stay at its initial weights, and nobody would know."""
    for name, level in (("dfa", logging.WARNING), ("shallow", logging.INFO), ("bp", logging.WARNING)):
        model, data = build(5, 7, 3), batch(4, 5, 3)
        model.forgotten = torch.nn.Linear(2, 2)
        model.frozen = torch.nn.Parameter(torch.zeros(2), requires_grad=False)
        method = make_method(name, model)
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="dfa_core"):
            for _ in range(2):
                method.backward(mse(model, data))
        (record,) = caplog.records
        assert record.levelno == level and "forgotten.weight" in record.getMessage()
        assert "frozen" not in record.getMessage()
        assert ("layers.0.weight" in record.getMessage()) == (name == "shallow")


def test_a_users_method_in_ten_lines():
    """Without it the protocol could lose what a method outside this package needs."""

    @register("random direction")
    class RandomDirection(FeedbackMethod):
        def signal(self, point, activation, error):
            return torch.ones_like(activation) if point == "points.0" else None

    try:
        model, data = build(5, 7, 6, 3, act=lambda a: a), batch(4, 5, 3)
        make_method("random direction", model).backward(mse(model, data))
        assert torch.equal(model.layers[0].bias.grad, torch.full((7,), 4.0))
        assert model.layers[1].weight.grad is None and model.layers[2].weight.grad is not None
        assert method_class("random direction") is RandomDirection
        with pytest.raises(FeedbackError, match="already registered"):
            register("random direction")(RandomDirection)
    finally:
        from dfa_core import registry

        del registry._METHODS["random direction"]
    with pytest.raises(FeedbackError, match="did you mean 'shallow'"):
        make_method("shalow", model)
    assert registered_methods()[:2] == ["bp", "bp_recompute"] and registered_methods()[-1] == "predictive_coding"


def test_bad_signals_name_the_point():
    """Without it a broadcast signal or a misspelt point would train something else."""

    class Bad(DFA):
        def signals(self, forward_pass):
            return self.answer

    model, data = build(5, 7, 3), batch(4, 5, 3)
    method = Bad(model)
    for answer, message in (
        ({"points.0": torch.ones(4, 1)}, r"for feedback point 'points.0' has shape \(4, 1\)"),
        ({"point.0": torch.ones(4, 7)}, "'point.0', which did not run"),
    ):
        method.answer = answer
        with pytest.raises(FeedbackError, match=message):
            method.backward(mse(model, data))


def test_a_dfa_with_a_signal_of_its_own_is_refused():
    """Without it the method would train as plain DFA, under its own name: DFA projects to all points at once."""
    with pytest.raises(FeedbackError, match="Mine defines signal, which DFA never calls"):

        class Mine(DFA):
            def signal(self, point, activation, error):
                return activation

    class Both(DFA):
        def signal(self, point, activation, error):
            return activation

        signals = FeedbackMethod.signals

    model, data = build(5, 7, 3), batch(4, 5, 3)
    Both(model).backward(mse(model, data))
