"""Files that several commands rewrite in part: between reading and writing one, no other process does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock


@contextmanager
def sole_writer(path: Path) -> Iterator[None]:
    """Be the only process that reads and rewrites ``path`` within the block; others wait at it. The folder is made.

    The lock is a file beside it, whose name begins with a dot, and is released if this process dies.

    Raises:
        OSError: the folder cannot be written to, or lies on a file system without locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire()
    except NotImplementedError as error:  # some network file systems
        raise OSError(f"{path.parent} lies on a file system without locks") from error
    try:
        yield
    finally:
        lock.release()
