"""A cache folder is complete or does not exist: one process writes it under another name, and renames it.

That name begins with a dot. Other processes wait for the writer; what a killed one has left, the next removes.
"""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def sole_writer(folder: Path) -> Iterator[Callable[[], Path]]:
    """Be the only process that writes ``folder``; the parent is made, and leftovers of killed processes are removed.

    Whether the folder is there by now is to be looked at within. Gives a function that names another draft beside the
    folder at each call; what still has such a name at the end is removed. Raises OSError if nothing can be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    drafts: list[Path] = []

    def draft() -> Path:
        drafts.append(folder.with_name(f".{folder.name}~{uuid.uuid4().hex}"))
        return drafts[-1]

    with locked(folder):
        _remove_leftovers(folder)
        try:
            yield draft
        finally:
            for leftover in drafts:
                shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only process in such a block of a file or folder, which need not exist; others wait.

    The lock is a file beside it, whose name begins with a dot, and is released if this process dies.

    Raises:
        OSError: the folder of ``path`` cannot be written to, or lies on a file system without locks.
    """
    lock = FileLock(_lock_file(path))
    try:
        lock.acquire()
    except NotImplementedError as error:  # some network file systems
        raise OSError(f"{path.parent} lies on a file system without locks") from error
    try:
        yield
    finally:
        lock.release()


def _lock_file(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def _remove_leftovers(folder: Path) -> None:
    """Remove the drafts that nobody works on; called with this folder's lock held."""
    for draft in folder.parent.glob(".*~*"):
        owner = folder.with_name(draft.name[1:].partition("~")[0])
        with contextlib.suppress(Timeout):
            lock = contextlib.nullcontext() if owner == folder else FileLock(_lock_file(owner), timeout=0)
            with lock:
                shutil.rmtree(draft, ignore_errors=True)
