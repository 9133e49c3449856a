"""The layout of a model's marks: their names, and which tap serves which point."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from dfa_core.errors import FeedbackError
from dfa_core.marks import ErrorTap, FeedbackPoint, Mark, Recording

#: Under this name a module holds a mark that was inserted behind it; the mark is called by the module's path.
INSERTED = "inserted_mark"


@dataclass(frozen=True)
class Layout:
    """All marks of a model by name, and the tap that each point takes its error from."""

    points: dict[str, FeedbackPoint]
    taps: dict[str, ErrorTap]
    tap_of: dict[str, str]

    @classmethod
    def of(cls, model: nn.Module) -> Layout:
        """Find the marks of ``model``; a mark's name is the one it was given, or else its module path.

        Wrappers (``torch.compile``, DistributedDataParallel) are looked through, so that a mark has the
        same name with and without them.

        Raises:
            FeedbackError: no error tap, or a point with no tap, or with several equally near; two marks of one name.
        """
        paths = {path: module for path, module in plain_modules(model) if isinstance(module, Mark)}
        names: dict[str, str] = {}  # path by name
        for path, mark in paths.items():
            name = mark.given_name or path
            if (other := names.setdefault(name, path)) != path:
                raise FeedbackError(f"two marks are named '{name}', at '{other}' and '{path}': give each its own name")
        points = {name: mark for name, path in names.items() if isinstance(mark := paths[path], FeedbackPoint)}
        taps = {name: mark for name, path in names.items() if isinstance(mark := paths[path], ErrorTap)}
        if not taps:
            raise FeedbackError(f"{type(model).__name__} has no error tap: pass its output through dfa_core.ErrorTap")
        tap_paths = {names[tap]: tap for tap in taps}
        return cls(points, taps, {point: tap_paths[_tap_for(names[point], list(tap_paths))] for point in points})

    def points_of(self, tap: str) -> dict[str, FeedbackPoint]:
        """The points that take their error from ``tap``."""
        return {name: point for name, point in self.points.items() if self.tap_of[name] == tap}

    def check_points(self, method: str) -> None:
        """Raise :class:`FeedbackError` if a tap serves no point: without a cut, ``method`` would be backprop."""
        for tap in self.taps:
            if not self.points_of(tap):
                raise FeedbackError(
                    f"{method} would train what lies below error tap '{tap}' by backprop, because no feedback point "
                    "belongs to it: make FeedbackPoint modules submodules of the model, before the method is made"
                )

    def attach(self, recorder: Recording | None) -> None:
        """Name every mark and let it report to ``recorder`` (``None``: marks are identities again)."""
        self.attach_each({name: recorder for name in (*self.points, *self.taps)})

    def attach_each(self, recorders: Mapping[str, Recording | None]) -> None:
        """Name every mark and let it report to the recorder of its name."""
        for name, mark in {**self.points, **self.taps}.items():
            mark.name, mark.recorder = name, recorders[name]

    @contextmanager
    def lent(self, recorder: Recording | None) -> Iterator[None]:
        """Let every mark report to ``recorder`` inside the block; give it its former recorder back afterwards."""
        before = self.recorders()
        self.attach(recorder)
        try:
            yield
        finally:
            self.attach_each(before)

    def recorders(self) -> dict[str, Recording | None]:
        """The recorder that each mark reports to, by name."""
        return {name: mark.recorder for name, mark in {**self.points, **self.taps}.items()}

    def is_attached(self, recorder: Recording | None) -> bool:
        """Whether every mark reports to ``recorder``."""
        return all(mark.recorder is recorder for mark in (*self.points.values(), *self.taps.values()))

    def check_attached(self, model: nn.Module, recorder: Recording | None) -> None:
        """Raise :class:`FeedbackError` unless ``model`` has its marks still, and all of them report to ``recorder``."""
        present = {id(mark): mark for mark in _marks_now_in(model)}
        known = {id(mark): name for name, mark in {**self.points, **self.taps}.items()}
        if len(present) == len(known) and all(mark.recorder is recorder for mark in present.values()):
            return
        for path, mark in plain_modules(model):
            if isinstance(mark, Mark) and id(mark) not in known:
                raise FeedbackError(
                    f"{mark.kind} '{path}' was put into the model after its method was made, which does not see it: "
                    "make the method anew"
                )
        if gone := [name for mark, name in known.items() if mark not in present]:
            raise FeedbackError(
                f"mark '{gone[0]}' was taken out of the model after its method was made, which counts on it: make the "
                "method anew"
            )
        raise FeedbackError(
            "another method was attached to the model after this one, or it was detached, or both are copies: make the "
            "method anew before training with it"
        )


@contextmanager
def reattached_on_error(model: nn.Module) -> Iterator[None]:
    """If the block raises, every mark of ``model`` has the name again that it had, and reports to whom it did."""
    before = [(mark, mark.name, mark.recorder) for mark in _marks_now_in(model)]
    try:
        yield
    except BaseException:
        for mark, name, recorder in before:
            mark.name, mark.recorder = name, recorder
        raise


#: Names that a container has for its own use: an attention layer's ``keys`` and ``values`` are among them.
_TAKEN = frozenset(dir(nn.ModuleDict())) | frozenset(dir(nn.ParameterDict()))


def module_key(name: str) -> str:
    """The name of a mark or parameter as a key of an ``nn.ModuleDict`` or ``nn.ParameterDict``, which has no dots."""
    key = name.replace(".", "/")
    return f"{key}/" if key in _TAKEN else key  # no path ends so; all other keys are as in older state dicts


def plain_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every module once, with its path without the parts that wrappers add."""
    if not isinstance(model, nn.Module):
        what = f"the class {model.__name__}" if isinstance(model, type) else f"a {type(model).__name__}"
        raise FeedbackError(f"the model is {what}: give an instance of torch.nn.Module")
    seen: set[int] = set()
    stack = [("", model)]
    while stack:
        path, module = stack.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        yield path, module
        transparent = (wrapped_name(module), INSERTED)
        children = [
            (path if name in transparent else f"{path}.{name}".lstrip("."), child)
            for name, child in module.named_children()
        ]
        stack += reversed(children)


def parameters_of(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Every parameter once, by its path without the parts that wrappers add."""
    seen: set[int] = set()
    for path, module in plain_modules(model):
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield f"{path}.{name}".lstrip("."), parameter


def _marks_now_in(model: nn.Module) -> Iterator[Mark]:
    """The marks of ``model``, in a fifth of the time that ``model.modules()`` takes: every step asks."""
    stack: list[nn.Module | None] = [model]
    while stack:
        module = stack.pop()
        if module is not None:
            if isinstance(module, Mark):
                yield module
            stack += module._modules.values()


def wrapped_name(module: nn.Module) -> str | None:
    """The name under which a wrapper holds the module that it wraps; ``None`` if ``module`` is no wrapper."""
    if isinstance(module, DataParallel | DistributedDataParallel):
        return "module"
    # By their names: importing these classes would import the compiler and FSDP.
    kinds = {"OptimizedModule": "_orig_mod", "CheckpointWrapper": "_checkpoint_wrapped_module"}
    return kinds.get(type(module).__name__)


def unwrapped(module: nn.Module) -> nn.Module:
    """The module that wrappers around it hold."""
    while (name := wrapped_name(module)) is not None:
        module = module.get_submodule(name)
    return module


def _tap_for(point: str, taps: list[str]) -> str:
    """The tap whose enclosing module is the innermost one that also encloses ``point``; all by path."""
    if len(taps) == 1:
        return taps[0]
    scopes = {tap: tap.split(".")[:-1] for tap in taps}
    enclosing = [tap for tap, scope in scopes.items() if point.split(".")[: len(scope)] == scope]
    innermost = max((len(scopes[tap]) for tap in enclosing), default=-1)
    nearest = [tap for tap in enclosing if len(scopes[tap]) == innermost]
    if len(nearest) == 1:
        return nearest[0]
    found = ", ".join(f"'{tap}'" for tap in nearest) or "none"
    raise FeedbackError(
        f"feedback point '{point}' needs exactly one error tap in the modules around it, found: {found}; put each tap "
        "into the submodule that holds its points. Two heads on one trunk share one tap: concatenate their outputs, "
        "pass them through it, and split them again"
    )
