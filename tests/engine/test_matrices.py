"""Feedback matrices: what they depend on, and their statistics."""

from __future__ import annotations

import math

import pytest
import torch

from dfa_core import DFA, KINDS, SCALINGS, ErrorTap, FeedbackError, FeedbackMatrices, FeedbackPoint
from tests.helpers.engine_nets import build


def _matrix(widths, point, kind, seed=0):
    return FeedbackMatrices("tap", 6, widths, feedback_seed=seed, kind=kind, scaling="none").matrix(point)


@pytest.mark.parametrize("kind", KINDS)
def test_a_matrix_depends_on_seed_and_name_alone(kind):
    """Without it a resumed run, a second rank or an added layer would quietly train with other feedback."""
    torch.manual_seed(0)
    a = _matrix({"low": 40, "high": 30}, "high", kind)
    torch.manual_seed(1)
    torch.rand(7)
    assert torch.equal(a, _matrix({"high": 30, "low": 40}, "high", kind))  # order
    assert torch.equal(a, _matrix({"high": 30, "low": 90}, "high", kind))  # another point's width
    assert torch.equal(a, _matrix({"high": 30}, "high", kind))
    assert not torch.equal(a, _matrix({"low": 40, "high": 30}, "high", kind, seed=1))
    shares = torch.equal(a, _matrix({"low": 40, "high": 30}, "low", kind)[:, :30])
    assert shares == kind.startswith("shared")


@pytest.mark.parametrize("kind", KINDS)
def test_a_matrix_does_not_depend_on_the_default_dtype(kind):
    """Without it the same seed would give a user of fp64 other feedback than the records say."""
    plain = _matrix({"low": 40, "high": 30}, "high", kind)
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(_matrix({"low": 40, "high": 30}, "high", kind), plain)
    finally:
        torch.set_default_dtype(torch.float32)


def test_construction_leaves_the_global_generator_alone():
    """Without it dfa and bp with one seed would see different data orders and dropout: no paired comparison."""
    model = build(5, 7, 6, 3)
    state = torch.get_rng_state()
    for kind in KINDS:
        DFA(model, feedback=kind)
    assert torch.equal(state, torch.get_rng_state())


def test_a_models_seed_does_not_matter():
    """Without it feedback would be correlated with the initial weights."""
    a, b = (DFA(build(5, 7, 6, 3, seed=seed)) for seed in (0, 1))
    assert torch.equal(a.matrix("points.1"), b.matrix("points.1"))


def test_the_paper_scaling_and_shared_columns():
    """Without it the update would be too large by the square root of a width, and only the rate would show
    it.
    """
    method = DFA(build(5, 300, 200, 10))
    wide, narrow = method.matrix("points.0"), method.matrix("points.1")
    assert wide.shape == (10, 300) and narrow.shape == (10, 200)
    assert torch.equal(wide[:, :200], narrow)  # first columns of one B
    bound = 1 / math.sqrt(300)
    assert -bound <= wide.min() < -0.99 * bound and 0.99 * bound < wide.max() < bound
    torch.testing.assert_close(wide.std(), torch.tensor(bound / math.sqrt(3)), rtol=0.05, atol=0)


def test_statistics_of_each_kind():
    """Without it a name could stand for another distribution."""
    widths = {"p": 400}
    uniform, gaussian, orthogonal = (_matrix(widths, "p", kind) for kind in ("uniform", "gaussian", "orthogonal"))
    assert uniform.abs().max() < 1 and abs(uniform.std() - 1 / math.sqrt(3)) < 0.02
    assert gaussian.abs().max() > 2.5 and abs(gaussian.std() - 1) < 0.05
    torch.testing.assert_close(orthogonal @ orthogonal.T, 400 * torch.eye(6), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_each_scaling_is_its_factor(kind):
    """Without it a scaling could apply to the shared matrix's widest point only."""
    widths = {"a": 16, "b": 9}
    factors = {
        "widest": (1 / 4, 1 / 4), "width": (1 / 4, 1 / 3), "error": (0.2, 0.2), "width_error": (1 / 20, 1 / 15),
        "none": (1, 1),
    }  # fmt: skip
    assert factors.keys() == SCALINGS.keys()
    plain = FeedbackMatrices("t", 25, widths, kind=kind, scaling="none")
    for scaling, expected in factors.items():
        scaled = FeedbackMatrices("t", 25, widths, kind=kind, scaling=scaling, scale=2.0)
        for point, factor in zip(widths, expected, strict=True):
            torch.testing.assert_close(scaled.matrix(point), 2 * factor * plain.matrix(point))
            torch.testing.assert_close(
                scaled(torch.eye(25))[point], scaled.matrix(point), msg="projection is not the matrix"
            )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scaling", SCALINGS)
def test_a_matrix_can_be_had_as_it_was_drawn(kind, scaling):
    """With the values that it has without any scaling, and not as a view."""
    model, plain = build(7, 12, 12, 5), build(7, 12, 12, 5)
    method = DFA(model, feedback=kind, scaling=scaling, scale=3.0)
    point = next(iter(method.layout.points))
    drawn = DFA(plain, feedback=kind, scaling="none").matrix(point)
    torch.testing.assert_close(method.unscaled(point), drawn)
    before = method.matrix(point).clone()
    method.unscaled(point).zero_()
    assert torch.equal(method.matrix(point), before)


def test_points_of_equal_width_share_one_contiguous_projection():
    """Without it every layer norm of a network would first copy its signal."""
    matrices = FeedbackMatrices("t", 5, {"wide": 8, "a": 3, "b": 3})
    error = torch.randn(2, 4, 5)
    found = matrices(error)
    assert found["a"] is found["b"]
    for name, projection in found.items():
        assert projection.is_contiguous()
        torch.testing.assert_close(projection, error @ matrices.matrix(name))


@pytest.mark.parametrize("options", [{"feedback": "gausian"}, {"scaling": "wide"}])
def test_unknown_names_list_the_choices(options):
    """Without it a typo would end in a KeyError that does not help."""
    with pytest.raises(FeedbackError, match="choose one of"):
        DFA(build(5, 7, 3), **options)


def test_a_tap_serves_the_points_of_its_module():
    """Without it a fine network could be sent the coarse network's error."""

    class Two(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.coarse, self.fine = build(5, 7, 3), build(5, 8, 2)

    layout = DFA(Two()).layout
    assert layout.tap_of == {"coarse.points.0": "coarse.tap", "fine.points.0": "fine.tap"}


def test_ambiguous_marks_are_refused():
    """Without it a point would silently take one of two errors."""
    two_taps = torch.nn.ModuleDict({"p": FeedbackPoint(3), "a": ErrorTap(2), "b": ErrorTap(2)})
    with pytest.raises(FeedbackError, match=r"'p' needs exactly one error tap.*Two heads on one trunk.*concatenate"):
        DFA(two_taps)
    with pytest.raises(FeedbackError, match="has no error tap"):
        DFA(torch.nn.ModuleDict({"p": FeedbackPoint(3)}))
