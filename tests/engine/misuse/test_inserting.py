"""Where marks can be inserted: once behind each module, by a path of the model."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dfa_core import ErrorTap, FeedbackError, FeedbackPoint, insert_marks, make_method
from tests.helpers.engine_nets import assert_same, batch, gradients, mse


class Iterating(nn.Module):
    """A module that runs its children one by one, without being an ``nn.Sequential``."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(5, 7), nn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        for child in self.children():
            x = child(x)
        return x


@pytest.mark.parametrize("name", ["dfa", "shallow", "bp"])
def test_a_module_that_iterates_its_children_runs_a_mark_once(name):
    """Without it the mark would run as one more child, and once more by the hook: the tap would be in series."""
    found = []
    for kind in (Iterating, lambda: nn.Sequential(nn.Linear(5, 7), nn.Tanh())):
        torch.manual_seed(0)
        model = nn.Sequential(kind(), nn.Linear(7, 3))
        model.register_module("2", Iterating())
        model[2].a = nn.Linear(3, 3)
        before = list(model.state_dict())
        insert_marks(model, points={"0": 7}, tap={"2": 3})
        assert list(model.state_dict()) == before
        make_method(name, model).backward(mse(model, batch(9, 5, 3)))
        found.append(dict(enumerate(gradients(model).values())))
    if name != "dfa":  # the marks' names differ, and with them the matrices
        assert_same(*found)
    assert found[0][2] is not None and (found[0][0] is None) == (name == "shallow")


def test_a_sequence_that_ends_in_a_mark_is_refused():
    """Without it two marks would share a path, and a later message would blame the order of making."""
    model = nn.Sequential(nn.Linear(5, 7), FeedbackPoint(7), nn.Sequential(nn.Linear(7, 3), ErrorTap(3)))
    with pytest.raises(FeedbackError, match=r"'2' ends in a mark \(error tap\), which marks that output already"):
        insert_marks(model, points={"2": 3})
    with pytest.raises(FeedbackError, match=r"ends in a mark \(feedback point\)"):
        insert_marks(nn.Sequential(nn.Linear(5, 7), FeedbackPoint(7)), points={"": 7})


def test_a_second_path_of_a_shared_module_names_the_first():
    """Without it the message would deny a submodule that `named_modules` shows."""
    model = nn.ModuleDict({"a": nn.Linear(3, 3), "c": nn.ModuleDict({"d": nn.Linear(3, 3)})})
    model["b"], model["c"]["e"] = model["a"], model["c"]["d"]
    for points, message in (({"b": 3}, "'b' is the same module as 'a'"), ({"c.e": 3}, "'c.e' is the same module as")):
        with pytest.raises(FeedbackError, match=message):
            insert_marks(model, points=points)


@pytest.mark.parametrize("points", [["0"], "0", 7, None, {0: 7}])
def test_points_that_are_no_mapping_of_paths(points):
    """Without it a list of paths would end in an AttributeError."""
    with pytest.raises(FeedbackError, match=r"points=.*submodule's path.*features"):
        insert_marks(nn.Sequential(nn.Linear(5, 7)), points=points)
