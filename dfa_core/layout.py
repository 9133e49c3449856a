"""The layout of a model's marks: their names, and which tap serves which point."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from dfa_core.errors import FeedbackError
from dfa_core.marks import ErrorTap, FeedbackPoint, Mark
from dfa_core.recorder import Recorder


@dataclass(frozen=True)
class Layout:
    """All marks of a model by module path, and the tap that each point takes its error from."""

    points: dict[str, FeedbackPoint]
    taps: dict[str, ErrorTap]
    tap_of: dict[str, str]

    @classmethod
    def of(cls, model: nn.Module) -> Layout:
        """Find the marks of ``model`` and name them by their module path.

        Wrappers (``torch.compile``, DistributedDataParallel) are looked through, so that a mark has the
        same name with and without them.

        Raises:
            FeedbackError: no error tap, or a point with no tap, or with several equally near.
        """
        marks: dict[str, Mark] = {}
        for path, module in model.named_modules():
            if isinstance(module, Mark) and marks.setdefault(plain_path(path), module) is not module:
                raise FeedbackError(
                    f"two marks would both be named '{plain_path(path)}', because 'module' and '_orig_mod' "
                    "are taken for wrappers: rename the submodule of that name"
                )
        points = {path: mark for path, mark in marks.items() if isinstance(mark, FeedbackPoint)}
        taps = {path: mark for path, mark in marks.items() if isinstance(mark, ErrorTap)}
        if not taps:
            raise FeedbackError(f"{type(model).__name__} has no error tap: pass its output through dfa_core.ErrorTap")
        return cls(points, taps, {point: _tap_for(point, list(taps)) for point in points})

    def points_of(self, tap: str) -> dict[str, FeedbackPoint]:
        """The points that take their error from ``tap``."""
        return {name: point for name, point in self.points.items() if self.tap_of[name] == tap}

    def attach(self, recorder: Recorder | None) -> None:
        """Name every mark and let it report to ``recorder`` (``None``: marks are identities again)."""
        for name, mark in {**self.points, **self.taps}.items():
            mark.name, mark.recorder = name, recorder

    def is_attached(self, recorder: Recorder | None) -> bool:
        """Does every mark report to ``recorder``?"""
        return all(mark.recorder is recorder for mark in (*self.points.values(), *self.taps.values()))


def plain_path(path: str) -> str:
    """A module or parameter path without the parts that wrappers add."""
    return ".".join(part for part in path.split(".") if part not in ("_orig_mod", "module"))


def _tap_for(point: str, taps: list[str]) -> str:
    """The tap whose enclosing module is the innermost one that also encloses ``point``."""
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
        f"feedback point '{point}' needs exactly one error tap in the modules around it, found: {found}; "
        "put each tap into the submodule that holds its points"
    )
