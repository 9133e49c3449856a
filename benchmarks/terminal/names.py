"""Names that may stand in a path: the one rule for profiles, tasks, methods, architectures, datasets and the like.

A run's record lies at ``<profile>/<task>/<method>/seed<n>-<config hash>.json``, and tables and figures are called
after them. So a name from outside (a record, a pack, a setting) is checked before it is joined to a folder:

    problem_of_name("task", "../../x")     "'..' is no name: it must begin with a letter, a digit or _"

The records' schema and the settings' rules ask `problem_of_name`. `inside` is the last line of defence, where paths
are formed.
"""

from __future__ import annotations

import re
import reprlib
from functools import lru_cache
from pathlib import Path

#: Kinds of names, with the least and the most parts that slashes may separate: ``citation/gcn_cora`` has two.
KINDS = {
    "profile": (1, 1),
    "task": (1, 3),
    "method": (1, 1),
    "architecture": (1, 1),
    "dataset": (1, 2),
    "domain": (1, 1),
    "suite": (1, 1),
    "data source": (1, 1),
    "artefact": (1, 1),
}
#: Characters of one part. File systems take 255 bytes, and the name of a run's lock holds profile, task and method.
LONGEST_PART = 50
#: Characters of a whole name.
LONGEST = 100
#: Seeds go from 0 to this: every random generator in use takes them.
LARGEST_SEED = 2**31 - 1

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_HASH = re.compile(r"[0-9a-f]{12}")
#: Names of devices on Windows, whatever follows behind a dot.
_RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))})


def problem_of_name(kind: str, value: object) -> str | None:
    """The problem of ``value`` as the name of a ``kind`` (one of `KINDS`), in half a line; None if there is none."""
    if not isinstance(value, str):
        return f"{shown(value)} is no name: it must be a text"
    if not value:
        return "an empty name"
    if len(value) > LONGEST:
        return f"{shown(value)} is no name: it has {len(value)} characters, and {LONGEST} are the most"
    least, most = KINDS[kind]
    parts = value.split("/")
    if not least <= len(parts) <= most:
        allowed = "no slash" if most == 1 else f"{most - 1} slash{'es' * (most > 2)} at most"
        return f"{shown(value)} is no name: for {kind} it may have {allowed}"
    return next(filter(None, map(_problem_of_part, parts)), None)


def problem_of_hash(value: object) -> str | None:
    """The problem of ``value`` as the hash of a configuration; None if there is none."""
    if isinstance(value, str) and _HASH.fullmatch(value):
        return None
    return f"{shown(value)} is no hash of a configuration: it must be 12 of the digits 0-9 and a-f"


def problem_of_seed(value: object) -> str | None:
    """The problem of ``value`` as a seed; None if there is none."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_SEED:
        return None
    return f"{shown(value)} is no seed: it must be a whole number from 0 to {LARGEST_SEED}"


@lru_cache(maxsize=4096)
def checked(kind: str, value: str) -> str:
    """``value`` itself, if it is a name of a ``kind``.

    Raises:
        ValueError: it is not; one line.
    """
    if problem := problem_of_name(kind, value):
        raise ValueError(f"{kind}: {problem}")
    return value


def inside(folder: Path, path: Path) -> Path:
    """``path`` itself, if it lies below ``folder`` with all symbolic links followed.

    Raises:
        ValueError: it leads out, or links go in circles; one line.
    """
    try:
        within = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError) as error:  # a loop of links
        raise ValueError(f"{path}: does not lead anywhere ({error}); remove the link") from error
    except ValueError as error:  # NUL in a path
        raise ValueError(f"{str(path)!r}: not a path ({error})") from error
    if not within:
        raise ValueError(f"{path}: leads out of {folder}; use a plain name, and no link that points elsewhere")
    return path


def one_line(text: str) -> str:
    """``text`` in one line, with nothing that moves a terminal's cursor: control characters become spaces."""
    return "".join(character if character.isprintable() else " " for character in text)


def _problem_of_part(part: str) -> str | None:
    if not part:
        return "a name with an empty part"
    if len(part) > LONGEST_PART:
        return f"{shown(part)} is no name: it has {len(part)} characters, and {LONGEST_PART} are the most"
    if not _PART.match(part):
        return f"{shown(part)} is no name: it must begin with a letter a-z, a digit or _"
    if not _PART.fullmatch(part):
        return f"{shown(part)} is no name: it may hold letters a-z, digits and _ . + - alone"
    if part.endswith("."):
        return f"{shown(part)} is no name: it may not end with a dot"
    if part.partition(".")[0].lower() in _RESERVED:
        return f"{shown(part)} is no name: on Windows it is a device"
    return None


def shown(value: object) -> str:
    """``value`` short, in one line, and in ASCII: what looks like another letter is seen to be one."""
    text = _BRIEF.repr(value).encode("ascii", "backslashreplace").decode()
    return text if len(text) <= LONGEST_PART else f"{text[: LONGEST_PART - 1]}…"


class _Brief(reprlib.Repr):
    """The start of a value, however large or nested it is."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = self.maxdict = self.maxlist = 3
        self.maxstring = self.maxother = LONGEST_PART

    def repr_int(self, x: int, level: int) -> str:
        """Python refuses to spell out the largest."""
        return str(x) if x.bit_length() <= 64 else "a huge whole number"


_BRIEF = _Brief()


def shortened(text: str) -> str:
    """The beginning of a text that may be long, in one line."""
    text = one_line(text)
    return text if len(text) <= 60 else f"{text[:59]}…"
