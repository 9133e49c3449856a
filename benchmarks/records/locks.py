"""Files that several commands rewrite in part: between reading and writing one, no other process does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datasets.core.sole_writer import locked


@contextmanager
def sole_rewriter(path: Path) -> Iterator[None]:
    """Be the only process that reads and rewrites ``path`` within the block; others wait at it. The folder is made.

    Raises:
        OSError: the folder cannot be written to, or lies on a file system without locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path):
        yield
