"""Giving a finished folder its name: nobody ever sees half of one."""

from __future__ import annotations

from pathlib import Path


def publish(draft: Path, folder: Path) -> None:
    """Rename the finished draft to its final name; when somebody else was faster, theirs, with the same bytes, stays.

    Raises OSError if the draft cannot be renamed and nobody else's folder is there.
    """
    try:
        draft.rename(folder)
    except OSError:
        # Renaming onto a folder that holds files fails. The other process wrote the same bytes.
        if not folder.is_dir():
            raise
