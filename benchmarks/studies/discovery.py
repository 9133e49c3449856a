"""The studies there are: modules of this package that define ``STUDY``."""

from __future__ import annotations

import ast
import importlib
from functools import cache
from pathlib import Path

from benchmarks.studies.study import Study
from benchmarks.terminal.errors import UsageError, nearest


@cache
def studies() -> dict[str, Study]:
    """All studies by name, in their order."""
    found = [importlib.import_module(f"benchmarks.studies.{name}").STUDY for name in _names()]
    return {study.name: study for study in sorted(found, key=lambda study: study.order)}


def chosen(names: list[str]) -> list[Study]:
    """The studies of these names, or all.

    Raises:
        UsageError: there is no such study.
    """
    known = studies()
    for name in names:
        if name not in known:
            raise UsageError(f"unknown study '{name}': did you mean {nearest(name, list(known))}?")
    return [study for name, study in known.items() if not names or name in names]


def _names() -> list[str]:
    """The modules that define ``STUDY`` at their top."""
    return [path.stem for path in sorted(Path(__file__).parent.glob("*.py")) if _defines_study(path)]


def _defines_study(path: Path) -> bool:
    statements = ast.parse(path.read_text(encoding="utf-8")).body
    targets = [t for s in statements if isinstance(s, ast.Assign) for t in s.targets]
    return any(isinstance(target, ast.Name) and target.id == "STUDY" for target in targets)
