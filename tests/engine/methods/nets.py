"""What the tests of methods share: a step's gradients, and the supervision of a small classification."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfa_core import Classes, Method, Supervision, make_method, registry
from tests import REPOSITORY
from tests.helpers.engine_nets import Net, build, gradients


def classification(rows: int = 9, inputs: int = 5, classes: int = 4, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Inputs ``(rows, inputs)`` in fp64, and their classes."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, inputs, generator=generator, dtype=torch.float64)
    return x, torch.randint(classes, (rows,), generator=generator)


def net(*widths: int, **options: object) -> Net:
    """A marked network in fp64."""
    return build(*(widths or (5, 7, 6, 4)), **options).double()


def closure_of(model: nn.Module, data: tuple[Tensor, Tensor]) -> Callable[[], Tensor]:
    """The mean cross-entropy."""
    return lambda: F.cross_entropy(model(data[0]), data[1])


def supervision_of(data: tuple[Tensor, Tensor], classes: int = 4) -> Supervision:
    return Supervision(
        head=lambda tap, scores: F.cross_entropy(scores, data[1]), targets=lambda tap: Classes(data[1], classes)
    )


def step(name: str, model: nn.Module, data: tuple[Tensor, Tensor], **options: object) -> Method:
    """A method after one step on ``model``, whose gradients are there."""
    method = make_method(name, model, **options).double()
    take_step(method, model, data)
    return method


def take_step(method: Method, model: nn.Module, data: tuple[Tensor, Tensor]) -> Tensor:
    model.zero_grad(set_to_none=True)
    method.zero_grad(set_to_none=True)
    return method.step(closure_of(model, data), supervision_of(data))


def gradients_by(name: str, data: tuple[Tensor, Tensor], *widths: int, **options: object) -> dict[str, Tensor | None]:
    """The gradients that a method gives the network of :func:`net`."""
    model = net(*widths)
    step(name, model, data, **options)
    return gradients(model)


def make(name: str, model: nn.Module, **options: object) -> Method:
    """A method in fp64 of this package, or the example of a plugin, which the registry keeps no trace of."""
    if name != "node_perturbation":
        return make_method(name, model, **options).double()
    with replaced(registry, "_METHODS", {key: kind for key, kind in registry._METHODS.items() if key != name}):
        kind = runpy.run_path(str(REPOSITORY / "examples/node_perturbation.py"))["NodePerturbation"]
    made: Method = kind(model, **options).double()
    return made


@contextmanager
def replaced(owner: object, name: str, value: object) -> Iterator[None]:
    """Within, an attribute of an object is another."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
