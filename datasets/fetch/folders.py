"""The folders that a download needs, which are gone again if nothing comes of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def no_empty_folders(places: Iterable[Path]) -> Iterator[None]:
    """Remove, at the end, what was made within of the folders above these files and is empty.

    An empty folder is no data, but people who look into the data root take it for some.
    """
    absent = {folder for place in places for folder in place.parents if not folder.exists()}
    try:
        yield
    finally:
        for folder in sorted(absent, key=lambda one: len(one.parts), reverse=True):
            with contextlib.suppress(OSError):  # it holds something, or was never made
                folder.rmdir()
