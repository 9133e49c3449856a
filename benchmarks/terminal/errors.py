"""Errors of the user's, and the nearest names there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


class UsageError(ValueError):
    """The user asked for something that does not exist; one line says what is possible instead."""


def nearest(given: str, valid: Sequence[str]) -> str:
    """The valid names most like ``given``, as a phrase."""
    return " or ".join(difflib.get_close_matches(given, valid, n=3, cutoff=0.5) or list(valid)[:12])


def kind_and_message(error: BaseException) -> str:
    """The error with its kind: ``RuntimeError: boom``."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """A block that writes ``path``: an error that names no file, as that of a full disk, gets its name."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise
