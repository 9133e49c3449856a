"""Unfinished files: what is written before it is renamed, and what `kill -9` has left of that."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from pathlib import Path

_NAME = re.compile(r"\..+\.\d+\.tmp")
#: Seconds after which nobody writes to such a file any more; whether its process lives, another machine cannot know.
_ABANDONED = 3600.0


def unfinished(path: Path) -> Path:
    """The name under which this process writes ``path``, beside it, until it is whole."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def remove_abandoned(folder: Path) -> None:
    """Remove the unfinished files below ``folder`` to which nobody has written for an hour."""
    oldest = time.time() - _ABANDONED
    for place, _, files in os.walk(folder):
        for path in (Path(place, name) for name in files if _NAME.fullmatch(name)):
            with suppress(OSError):  # another process removes it too, or it is not ours to remove
                if path.lstat().st_mtime < oldest:
                    path.unlink()
