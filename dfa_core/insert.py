"""Marks behind the submodules of a model whose source is not yours to edit."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from dfa_core.errors import FeedbackError
from dfa_core.layout import INSERTED, plain_modules, unwrapped
from dfa_core.marks import ErrorTap, FeedbackPoint, Mark

Features = int | tuple[int, ...]


class InsertedMarks:
    """The marks that one :func:`insert_marks` put into a model."""

    def __init__(self) -> None:
        self._handles: list[tuple[nn.Module, RemovableHandle]] = []

    def add(self, module: nn.Module, mark: Mark) -> None:
        """Let ``mark`` run behind ``module``."""
        module.add_module(INSERTED, _Holder({INSERTED: mark}))
        self._handles.append((module, module.register_forward_hook(_MarkOutput())))

    def remove(self) -> None:
        """Take the marks out again. A method made with them has to be made anew, or not used any more."""
        for module, handle in self._handles:
            handle.remove()
            delattr(module, INSERTED)
        self._handles.clear()


def insert_marks(
    model: nn.Module,
    *,
    points: Mapping[str, Features],
    tap: Mapping[str, Features] | None = None,
    batch_dims: int = 1,
) -> InsertedMarks:
    """Put marks behind submodules of ``model``, as if its source passed their outputs through them.

    Do so before `make_method`. A mark is called by the path of the submodule, and no parameter or buffer is added: the
    state dict stays as it is. Where a submodule returns a tuple or a list, its first tensor is marked. Behind an
    ``nn.Sequential``, the mark goes to the last of its modules, whose output is the same.

    Args:
        model: the model; wrappers (``torch.compile``, DistributedDataParallel) are looked through.
        points: the features of the feedback point behind each submodule, by the submodule's path; "" is the model
            itself, and a mark behind it is called ``output``.
        tap: the same for the error tap (or several); left out where the model has its own.
        batch_dims: how many leading dims of all these outputs count samples (see :class:`Mark`).

    Returns:
        A handle, whose ``remove()`` takes the marks out again.

    Raises:
        FeedbackError: there is no such submodule, it has no forward pass, or a mark is behind it already. Nothing is
            inserted then.
    """
    _check_mapping("points", points)
    _check_mapping("tap", tap or {})
    modules = {path: module for path, module in plain_modules(model) if not isinstance(module, Mark | _Holder)}
    marks: dict[nn.Module, Mark] = {}
    for kind, wanted in ((FeedbackPoint, points), (ErrorTap, tap or {})):
        for path, features in wanted.items():
            if path not in modules:
                raise _no_module(model, modules, path)
            module = _with_output(modules[path], path)
            if INSERTED in module._modules or module in marks:
                raise FeedbackError(f"there is a mark behind '{path}' already: remove() it first")
            marks[module] = kind(features, batch_dims, name="" if path else "output")
    inserted = InsertedMarks()
    for module, mark in marks.items():
        inserted.add(module, mark)
    return inserted


class _Holder(nn.ModuleDict):
    """A module's child that holds its mark: a forward pass that runs all children must not run the mark with them."""

    def forward(self, x: Any, *_others: Any, **_options: Any) -> Any:
        return x


class _MarkOutput:
    """A forward hook. It holds nothing, so that models with marks can be copied and pickled."""

    def __call__(self, module: nn.Module, inputs: object, output: Any) -> Any:
        holder = module._modules[INSERTED]
        assert isinstance(holder, _Holder)
        mark = holder[INSERTED]
        if not isinstance(output, tuple | list):
            return mark(output)
        at = next((i for i, entry in enumerate(output) if isinstance(entry, Tensor)), None)
        if at is None:
            raise FeedbackError(
                f"{type(module).__name__} returned a {type(output).__name__} without a tensor, but a mark was inserted "
                "behind it: insert it behind a submodule that returns the activation"
            )
        entries = [*output[:at], mark(output[at]), *output[at + 1 :]]
        return type(output)(*entries) if hasattr(output, "_fields") else type(output)(entries)


def _check_mapping(name: str, given: object) -> None:
    if not isinstance(given, Mapping) or not all(isinstance(path, str) for path in given):
        raise FeedbackError(
            f"{name}={given!r}: give a dictionary from a submodule's path to the features of its output"
        )


def _no_module(model: nn.Module, modules: Mapping[str, nn.Module], path: str) -> FeedbackError:
    """The error about a path at which no module is known."""
    shared = _follow(model, path)
    if first := [known for known, module in modules.items() if module is shared]:
        return FeedbackError(f"'{path}' is the same module as '{first[0]}': name it by that path")
    near = difflib.get_close_matches(path, [known for known in modules if known], n=3, cutoff=0.3)
    hint = f": did you mean {', '.join(repr(known) for known in near)}?" if near else ""
    return FeedbackError(f"the model has no submodule '{path}'{hint}")


def _follow(model: nn.Module, path: str) -> nn.Module | None:
    """The module that ``path`` leads to, wrappers looked through; modules have several paths if they are shared."""
    module: nn.Module | None = unwrapped(model)
    for part in path.split("."):
        module = None if module is None else module._modules.get(part)
        module = None if module is None else unwrapped(module)
    return module


def _with_output(module: nn.Module, path: str) -> nn.Module:
    """The module itself; of an ``nn.Sequential``, which would run a mark that it holds, its last one."""
    while isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward and len(module):
        module = module[-1]
    if isinstance(module, Mark):
        raise FeedbackError(f"'{path}' ends in a mark ({module.kind}), which marks that output already: leave it out")
    if isinstance(module, nn.Sequential) and type(module).forward is not nn.Sequential.forward:
        raise FeedbackError(
            f"'{path}' is a {type(module).__name__}, a sequence with a forward pass of its own, which may run a mark "
            "that it holds: put the mark into its source, or behind a module that contains it"
        )
    if isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict):
        raise FeedbackError(f"'{path}' is a {type(module).__name__}, which computes nothing: name the modules within")
    return module
