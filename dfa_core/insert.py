"""Marks behind the submodules of a model whose source is not yours to edit."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from dfa_core.errors import FeedbackError
from dfa_core.layout import INSERTED, plain_modules
from dfa_core.marks import ErrorTap, FeedbackPoint, Mark

Features = int | tuple[int, ...]


class InsertedMarks:
    """The marks that one :func:`insert_marks` put into a model."""

    def __init__(self) -> None:
        self._handles: list[tuple[nn.Module, RemovableHandle]] = []

    def add(self, module: nn.Module, mark: Mark) -> None:
        """Let ``mark`` run behind ``module``."""
        module.add_module(INSERTED, mark)
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
    modules = {path: module for path, module in plain_modules(model) if not isinstance(module, Mark)}
    marks: dict[nn.Module, Mark] = {}
    for kind, wanted in ((FeedbackPoint, points), (ErrorTap, tap or {})):
        for path, features in wanted.items():
            module = _with_output(modules, path)
            if INSERTED in module._modules or module in marks:
                raise FeedbackError(f"there is a mark behind '{path}' already: remove() it first")
            marks[module] = kind(features, batch_dims, name="" if path else "output")
    inserted = InsertedMarks()
    for module, mark in marks.items():
        inserted.add(module, mark)
    return inserted


class _MarkOutput:
    """A forward hook. It holds nothing, so that models with marks can be copied and pickled."""

    def __call__(self, module: nn.Module, inputs: object, output: Any) -> Any:
        mark = module._modules[INSERTED]
        assert mark is not None
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


def _with_output(modules: Mapping[str, nn.Module], path: str) -> nn.Module:
    """The module at ``path``; of an ``nn.Sequential``, which would run a mark that it holds, its last one."""
    if path not in modules:
        near = difflib.get_close_matches(path, [known for known in modules if known], n=3, cutoff=0.3)
        hint = f": did you mean {', '.join(repr(known) for known in near)}?" if near else ""
        raise FeedbackError(f"the model has no submodule '{path}'{hint}")
    module = modules[path]
    while isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward and len(module):
        module = module[-1]
    if isinstance(module, nn.Sequential) and type(module).forward is not nn.Sequential.forward:
        raise FeedbackError(
            f"'{path}' is a {type(module).__name__}, a sequence with a forward pass of its own, which may run a mark "
            "that it holds: put the mark into its source, or behind a module that contains it"
        )
    if isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict):
        raise FeedbackError(f"'{path}' is a {type(module).__name__}, which computes nothing: name the modules within")
    return module
