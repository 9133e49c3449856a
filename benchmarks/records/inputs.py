"""Files from outside: read within bounds, and what is wrong with them said in one line.

Records, packs, baselines and histories may have been cut, edited by hand, or come from somebody else. A reader names
what it cannot take as a `BadInput` and hands it to its caller's ``on_bad``, then goes on with the rest:

    with LeftOut() as left_out:
        results = ResultSet.load(folder, left_out.add)
    # now standard error has a line for each, and their number

Without a choice of its own a reader refuses: the first `BadInput` is raised (`refuse`).
"""

from __future__ import annotations

import codecs
import gzip
import os
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Self

from benchmarks.terminal.names import one_line

#: Bytes of one file, and of what it unpacks to. The largest history of a paper run has 4 MB.
MOST_BYTES = 64_000_000
_MOST_LINES = 10
_LONGEST_LINE = 600
#: What texts in other encodings than ours begin with; UTF-32's first two bytes are UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"), (codecs.BOM_UTF32_BE, "UTF-32"), (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"), (codecs.BOM_UTF8, "UTF-8 with a byte order mark"),
)  # fmt: skip


class BadInput(ValueError):
    """One file, or one line of it, that cannot be used: where it lies, what is wrong, what to do."""

    def __init__(self, where: object, problem: object, fix_hint: str = "") -> None:
        text = one_line(f"{where}: {problem}{'; ' if fix_hint else ''}{fix_hint}")
        super().__init__(text if len(text) <= _LONGEST_LINE else f"{text[: _LONGEST_LINE - 1]}…")


#: What a reader does with what it cannot use.
OnBad = Callable[[BadInput], None]


def refuse(error: BadInput) -> None:
    """Take nothing but whole inputs: raise ``error``."""
    raise error


def ignore_reported(error: BadInput) -> None:
    """Leave out a bad input without a word: another reader of the same files names it."""


class LeftOut:
    """Collects what was left out, each once; says so on standard error at its end."""

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}  # an ordered set: files that are read twice are named once

    def add(self, error: BadInput) -> None:
        """Note one file or line; an ``on_bad``."""
        self._lines.setdefault(str(error))

    def __len__(self) -> int:
        return len(self._lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if not self._lines:
            return
        said = [f"{line}; left out" for line in list(self._lines)[:_MOST_LINES]]
        if len(self._lines) > 1:
            hidden = len(self._lines) - len(said)
            said.append(f"{len(self._lines)} inputs were left out" + (f", {hidden} are not named" if hidden else ""))
        sys.stderr.write("".join(f"{line}\n" for line in said))


def read_bytes(path: Path, fix_hint: str = "") -> bytes:
    """The content of a file, unpacked if it is called ``*.gz``; ``fix_hint`` is what to do if it cannot be had.

    Raises:
        BadInput: there is no such file, it is none (a folder, a pipe), or cannot be read or unpacked, or it has more
            than `MOST_BYTES`, packed or unpacked.
    """
    try:
        if not path.is_file():  # a pipe would be waited for without end
            raise BadInput(path, "not a file" if path.exists() else "there is no such file", fix_hint)
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(path, f"not readable ({error})", fix_hint) from error
    if len(content) > MOST_BYTES:
        raise BadInput(path, f"more than {MOST_BYTES:,} bytes, the most that is read", fix_hint)
    return content


def problem_of_encoding(content: bytes) -> str:
    """The fault of a text's encoding, as an editor on another system may save it, in half a line; "" if it is UTF-8."""
    if problem := _problem_of_mark(content):
        return problem
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8 at byte {error.start}; save it as UTF-8 without a byte order mark"
    return ""


def _problem_of_mark(content: bytes) -> str:
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), "")
    if content.startswith((b"{\0", b"\0{")):  # an object without a mark
        marked = "UTF-16"
    return f"saved as {marked}; save it as UTF-8 without a byte order mark" if marked else ""


def lines_of(content: bytes) -> list[bytes]:
    """The lines of a text, which end with a line feed: other separators may stand within a JSON text.

    Raises:
        ValueError: all of it is in another encoding; half a line. A single bad byte spoils its own line alone.
    """
    if problem := _problem_of_mark(content):
        raise ValueError(problem)
    lines = content.split(b"\n")
    return lines if lines[-1] else lines[:-1]


def below(folder: Path, suffix: str = "", on_bad: OnBad = refuse) -> list[Path]:
    """All that lies below ``folder`` under a name that ends with ``suffix``, sorted; nothing where there is no folder.

    ``on_bad`` gets each folder in it that cannot be listed, and each link to a folder, which is not followed: what lies
    there would be missing without a word.
    """

    def unlisted(error: OSError) -> None:
        on_bad(BadInput(error.filename, f"not readable ({error.strerror})", "let it be read, or move it away"))

    found: list[Path] = []
    for place, folders, files in os.walk(folder, onerror=unlisted) if folder.is_dir() else ():
        for link in filter(Path.is_symlink, (Path(place, name) for name in folders)):
            on_bad(BadInput(link, "a link to a folder, which is not followed", "move here what lies there"))
        found += [Path(place, name) for name in (*folders, *files) if name.endswith(suffix)]
    return sorted(found)
