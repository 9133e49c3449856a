"""The two folders that everything else lies in, as the environment names them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from datasets.core.errors import DataError
from datasets.core.files import dangling_link, reason_of

_SHOWN = 200  # characters of a path


def data_root() -> Path:
    """The folder of real data: $DFA_DATA_DIR, or `data` in the current folder; it need not exist.

    Raises DataError if it can be no folder, or none that this process may look into.
    """
    return _folder_from("DFA_DATA_DIR", "data")


def cache_root() -> Path:
    """The folder of generated files: $DFA_CACHE_DIR, or `data/cache` in the current folder; errors as `data_root`.

    It does not depend on the data root, which may be shared and read-only.
    """
    return _folder_from("DFA_CACHE_DIR", "data/cache")


def _folder_from(variable: str, default: str) -> Path:
    """The one place where the two are resolved. A set but empty variable counts as none."""
    value = os.environ.get(variable) or default
    try:
        value.encode()
        named = Path(value).expanduser()
        folder = Path(os.path.realpath(named))
        wrong = _what_is_wrong(named) or _what_is_wrong(folder)
    except UnicodeEncodeError:
        wrong = "has bytes that are not UTF-8"
    except RuntimeError:  # of expanduser: there is no such user
        wrong = f"names a home folder, {Path(value).parts[0]}, that there is none of"
    except OSError as error:
        wrong = f"cannot be looked at ({reason_of(error)})"
    if wrong:
        short = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…"
        said = f"{variable}={short}" if os.environ.get(variable) else f"{variable} is not set, and {value}"
        raise DataError(f"{said} {wrong}; set {variable} to a folder, which need not exist yet")
    return folder


def _what_is_wrong(folder: Path) -> str | None:
    """Why the path is no folder that may be read; None if it is one, or if nothing is there."""
    try:
        mode = folder.stat().st_mode
    except FileNotFoundError:
        link = dangling_link(folder)
        return f"leads through the link {link}, which points to nothing" if link else None
    if not stat.S_ISDIR(mode):
        return "is a file, not a folder"
    if not os.access(folder, os.R_OK | os.X_OK):
        return "is a folder that you may not read"
    return None
