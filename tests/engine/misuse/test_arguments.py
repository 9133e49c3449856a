"""Arguments of marks, methods and closures: one clear error, or they work."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch import nn

from dfa_core import ErrorTap, FeedbackError, FeedbackPoint, make_method, measure_alignment
from dfa_core.layout import module_key
from tests.engine.methods.nets import net, supervision_of
from tests.helpers.engine_nets import assert_same, batch, build, gradients, mse


@pytest.mark.parametrize("mark", [FeedbackPoint, ErrorTap])
@pytest.mark.parametrize("features", [32.0, "32", None, (3, 2.5), [["3"]], (), 0, torch.ones(2)])
def test_features_that_are_no_whole_numbers(mark, features):
    """Without it the constructor would end in a TypeError, or the first forward pass in a message on shapes."""
    with pytest.raises(FeedbackError, match=r"features=.*batch_dims=1"):
        mark(features)


@pytest.mark.parametrize(("batch_dims", "independent"), [(1.0, None), ("1", None), (None, None), (1, 0.5)])
def test_dims_that_are_no_whole_numbers(batch_dims, independent):
    """Without it a float would slice shapes in the first forward pass."""
    with pytest.raises(FeedbackError, match="dims"):
        FeedbackPoint(3, batch_dims, independent_dims=independent)


def test_whole_numbers_of_numpy():
    """Without it a width computed by numpy would be a TypeError."""
    point = FeedbackPoint(np.int64(32), np.int32(2), independent_dims=np.int8(1))
    assert (point.features, point.batch_dims, point.independent_dims) == ((32,), 2, 1)
    assert all(type(n) is int for n in (*point.features, point.batch_dims, point.independent_dims, point.width))
    assert FeedbackPoint([np.int64(2), 3]).features == (2, 3)


class Attention(nn.Module):
    """Marks and layers called as attributes of `nn.Module` and its containers are."""

    def __init__(self, names: tuple[str, str] = ("keys", "values")) -> None:
        super().__init__()
        self.key, self.value = nn.Linear(5, 4), nn.Linear(4, 2)
        self.names = names
        self.add_module(names[0], FeedbackPoint(4)) if names[0] not in dir(nn.Module) else None
        self.add_module(names[1], ErrorTap(2))

    def forward(self, x):
        point, tap = (getattr(self, name) for name in self.names)
        return tap(self.value(point(torch.tanh(self.key(x)))))


@pytest.mark.parametrize("name", ["dfa", "dkp", "directional"])
def test_marks_may_be_called_as_methods_of_containers_are(name):
    """Without it an attention layer's ``keys`` and ``values`` would end in a KeyError of PyTorch's."""
    found = []
    for names in (("keys", "values"), ("items", "pop")):
        torch.manual_seed(0)
        model, data = Attention(names), batch(6, 5, 2)
        method = make_method(name, model)
        method.step(lambda model=model, data=data: mse(model, data))
        assert None not in gradients(model).values()
        found.append(list(method.state_dict()))
        method.load_state_dict(method.state_dict())
    assert len(found[0]) == len(found[1]) > 0


def test_local_losses_at_such_points():
    model = Attention()
    model.value = nn.Linear(4, 4)
    model.values = ErrorTap(4)
    model.double()
    data = torch.randn(9, 5, dtype=torch.float64), torch.arange(9) % 4
    make_method("local", model, similarity=0.5).double().step(
        lambda: nn.functional.cross_entropy(model(data[0]), data[1]), supervision_of(data)
    )
    assert None not in gradients(model).values()


def test_parameters_may_be_called_so():
    """Without it `fa` with an alignment could not keep the initial weights."""

    class Stored(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.keys, self.values = (nn.Parameter(torch.randn(*shape)) for shape in ((4, 5), (2, 4)))
            self.point, self.tap = FeedbackPoint(4), ErrorTap(2)

        def forward(self, x):
            return self.tap(self.point(torch.tanh(x @ self.keys.T)) @ self.values.T)

    model, data = Stored(), batch(6, 5, 2)
    make_method("fa", model, alignment=0.5).step(lambda: mse(model, data))
    assert None not in gradients(model).values()


def test_keys_of_other_names_stay_as_they_are():
    """Without it the state dict of a method that was saved before would not load."""
    assert [module_key(name) for name in ("layers.0.weight", "keys.weight", "point")] == [
        "layers/0/weight",
        "keys/weight",
        "point",
    ]
    assert len({module_key(name) for name in ("keys", "values", "items", "type", "pop", "forward")}) == 6


@pytest.mark.parametrize("name", ["bp", "bp_recompute", "dfa", "shallow", "fa", "local", "mezo", "pepita"])
@pytest.mark.parametrize("returned", [None, 0.5, {"loss": torch.ones(())}, "a vector"], ids=str)
def test_closures_that_return_no_loss(name, returned):
    """Without it a closure without ``return`` would end in an AttributeError inside this library."""
    data = torch.randn(9, 5, dtype=torch.float64), torch.arange(9) % 4
    model = nn.Sequential(net(5, 7, 6, 4)) if name == "bp_recompute" else net(5, 7, 6, 4)
    method = make_method(name, model).double()

    def closure():
        return model(data[0]).sum(1) if returned == "a vector" else returned

    message = r"shape \(9,\): reduce it" if returned == "a vector" else "the loss is a (NoneType|float|dict)"
    with pytest.raises(FeedbackError, match=message):
        method.step(closure, supervision_of(data))
    method.reset()
    if name not in ("bp", "bp_recompute", "shallow"):
        with pytest.raises(FeedbackError, match=message):
            measure_alignment(method, closure, supervision_of(data))


@pytest.mark.parametrize("loss", [None, 0.5, {"loss": 1}])
def test_losses_that_are_no_tensors(loss):
    """Without it a trainer that returns a dictionary would end in an AttributeError."""
    method = make_method("dfa", build(5, 7, 3))
    for backward in (method.backward, method.wrap):
        with pytest.raises(FeedbackError, match="the loss is a"):
            backward(loss)


def test_a_failed_make_method_leaves_the_old_one_on():
    """Without it a typing error in a notebook would end the training that goes on."""
    model, data = build(5, 7, 3), batch(4, 5, 3)
    for name in ("dfa", "bp"):
        method = make_method(name, model)
        method.step(lambda: mse(model, data))
        expected = gradients(model)
        for wrong in ({"name": "dfa", "error": "tern"}, {"name": "fa", "alignment": 2}, {"name": "dfa", "typo": 1}):
            with pytest.raises((FeedbackError, TypeError)):
                make_method(wrong.pop("name"), model, **wrong)
        model.zero_grad()
        method.step(lambda: mse(model, data))
        assert_same(gradients(model), expected)
        model.zero_grad()


@pytest.mark.parametrize("name", ["fa", "kolen_pollack", "sign_symmetry", "mezo"])
def test_lazy_modules_run_once_before_a_method_needs_their_weights(name):
    """Without it the first step would blame the layer, or end in a message on uninitialised parameters."""

    def made():
        torch.manual_seed(0)
        return nn.Sequential(nn.LazyLinear(7), nn.Tanh(), FeedbackPoint(7), nn.LazyLinear(3), ErrorTap(3))

    model, data = made(), batch(4, 5, 3)
    with pytest.raises(FeedbackError, match=r"'0\.weight' .*run one batch through the model"):
        make_method(name, model).step(lambda: mse(model, data))
    model = made()
    model(data[0])
    make_method(name, model).step(lambda: mse(model, data))
    assert None not in gradients(model).values()


@pytest.mark.parametrize("name", ["dfa", "dkp"])
def test_methods_that_need_no_weights_take_lazy_modules(name):
    """Without it the check could refuse what works."""
    model = nn.Sequential(nn.LazyLinear(7), nn.Tanh(), FeedbackPoint(7), nn.LazyLinear(3), ErrorTap(3))
    data = batch(4, 5, 3)
    make_method(name, model).step(lambda: mse(model, data))
    assert None not in gradients(model).values()


def test_a_detached_model_can_be_scripted():
    """Without it a trained model could not be exported by TorchScript with its marks in place."""
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), FeedbackPoint(7), nn.Linear(7, 3), ErrorTap(3))
    make_method("dfa", model).detach()
    x = batch(4, 5, 3)[0]
    torch.testing.assert_close(torch.jit.script(model)(x), model(x))


def test_marks_pickled_before_they_kept_their_width():
    point = FeedbackPoint((2, 3))
    state = point.__getstate__()
    state.pop("width", None)
    old = FeedbackPoint.__new__(FeedbackPoint)
    old.__setstate__(state)
    assert old.width == pickle.loads(pickle.dumps(point)).width == 6
