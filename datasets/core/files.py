"""Looking at files that anybody may have put there: what is no regular file is never opened, and sizes are bounded."""

from __future__ import annotations

import json
import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from datasets.core.errors import DataError, shown

_JSON_LIMIT = 1 << 20  # bytes; the largest file of ours has 3,000


def is_file(path: Path) -> bool:
    """Whether a regular file is there; if not, `obstacle` tells whether something else is. Never raises OSError."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether a folder is there. Never raises OSError."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return False


def names_in(folder: Path) -> list[str]:
    """The names in a folder, in the disk's order; none if it cannot be listed, of which `unlisted` tells the reason."""
    try:
        return [path.name for path in folder.iterdir()]
    except OSError:
        return []


def unlisted(folder: Path) -> str | None:
    """The reason why a folder cannot be listed, as the end of a sentence; None for one that can, and where none is."""
    try:
        next(folder.iterdir(), None)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return f"cannot be read ({reason_of(error)})"
    return None


def list_folder(folder: Path, fix_hint: str) -> list[Path]:
    """The entries of a folder, by name. Raises DataError, ending in `fix_hint`, if it cannot be listed."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder} cannot be read ({reason_of(error)}); {fix_hint}") from error


def flush(stream: IO[bytes]) -> None:
    """To the disk: what a folder promises once it has its name must survive a power failure, too."""
    stream.flush()
    os.fsync(stream.fileno())


def obstacle(path: Path) -> str | None:
    """The obstacle in the place of a file, as the end of a sentence; None for a regular file and for nothing at all.

    A folder, a pipe, a link that leads nowhere or in a circle, a folder that may not be looked into: such a file is
    not simply absent, somebody put it there and expects it to be used.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            return None
        return "is a folder, not a file" if stat.S_ISDIR(mode) else "is no regular file"
    except FileNotFoundError:
        link = dangling_link(path)
        return f"cannot be read: the link {link} points to nothing" if link else None
    except OSError as error:
        return f"cannot be read ({reason_of(error)})"


def dangling_link(path: Path) -> Path | None:
    """The link on the way to a path, or the path itself, that points to nothing."""
    return next((part for part in (path, *path.parents) if part.is_symlink() and not part.exists()), None)


def reason_of(error: OSError) -> str:
    """The system's message, without the path."""
    return error.strerror or " ".join(str(error).split()) or type(error).__name__


@contextmanager
def reading(path: Path, fix_hint: str) -> Iterator[None]:
    """Look at a regular file within; anything else, and errors of the system, are DataErrors ending in `fix_hint`."""
    try:
        if what := obstacle(path):
            raise DataError(f"{path} {what}; {fix_hint}")
        yield
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; {fix_hint}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({reason_of(error)}); {fix_hint}") from error


def read_file(path: Path, fix_hint: str, limit: int | None = None) -> bytes:
    """The content of a file that has no manifest entry.

    limit: the most bytes it may have. Raises DataError if it cannot be read or has more.
    """
    with reading(path, fix_hint), path.open("rb") as stream:
        content = stream.read() if limit is None else stream.read(limit + 1)
    if limit is not None and len(content) > limit:
        raise DataError(f"{path} has more than {limit} bytes; {fix_hint}")
    return content


class RepeatedKeyError(ValueError):
    """A JSON object has a key twice, of which Python's reader takes the last without a word."""


def parse_json(content: bytes) -> Any:
    """The value that a JSON text holds. Raises ValueError or RecursionError if it holds none, or a key twice."""
    return json.loads(content, object_pairs_hook=_distinct)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        [(key, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise RepeatedKeyError(f"the key {shown(key)} twice, of which only one can be meant")
    return found


def read_json(path: Path, fix_hint: str) -> Any:
    """The content of a small JSON file of ours; its keys and types are for the caller to check.

    Raises DataError if it cannot be read, or holds no JSON.
    """
    content = read_file(path, fix_hint, _JSON_LIMIT)
    try:
        return parse_json(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged ({error}); {fix_hint}") from error
