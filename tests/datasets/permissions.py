"""Folders that may not be read, for tests that run as root, whom no mode stops."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_READ, _ENTER = 0o400, 0o100


def forbid(monkeypatch: pytest.MonkeyPatch, folder: Path, mode: int) -> None:
    """Let a folder refuse what its owner could not do at that mode: be listed (r), or be entered (x)."""

    def refusing(function: Callable[..., Any], lists: bool) -> Callable[..., Any]:
        def refuse(path: Any = ".", *arguments: Any, **options: Any) -> Any:
            found = Path(path) if isinstance(path, str | os.PathLike) else Path()
            closed = not mode & _ENTER and folder in found.parents
            if closed or (lists and not mode & _READ and found == folder):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return function(path, *arguments, **options)

        return refuse

    for name in ("stat", "lstat", "readlink"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name), lists=False))
    for name in ("listdir", "scandir"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name), lists=True))
