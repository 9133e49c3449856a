"""Two commands that rewrite one file: the other one tries to do so between this one's reading and its writing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

_PATIENCE = 1.0  # seconds that this one gives the other, which waits for it where there is a lock


def both_rewrite(
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    reader: str,
    this: Callable[[], object],
    other: Callable[[], object],
) -> None:
    """Call ``this``, and ``other`` in a thread once ``this`` has read the file by ``module.reader``."""
    thread, read = threading.Thread(target=other), getattr(module, reader)

    def reading(*arguments: Any) -> Any:
        found = read(*arguments)
        if threading.current_thread() is not thread:
            thread.start()
            thread.join(_PATIENCE)
        return found

    monkeypatch.setattr(module, reader, reading)
    this()
    thread.join()
    monkeypatch.setattr(module, reader, read)
