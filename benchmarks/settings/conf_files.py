"""The files of `conf/`: where they lie, and what to say of one that is broken."""

from __future__ import annotations

from pathlib import Path

from omegaconf import OmegaConf
from yaml import MarkedYAMLError, YAMLError

from benchmarks.terminal.errors import UsageError

CONF = Path(__file__).parents[2] / "conf"
#: Characters of a line about an error: OmegaConf quotes whole parts of the settings.
_LONGEST = 300


class BrokenFileError(UsageError):
    """A file of `conf/` cannot be read, or holds what no file there may hold; only runs that use it are concerned."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        #: Whether a single task (or an architecture's tasks) is concerned, and not a choice that all tasks share.
        self.is_of_a_task = any(path.is_relative_to(CONF / folder) for folder in ("task", "architecture"))


def broken_yaml(error: YAMLError) -> BrokenFileError:
    """The error that names file, line and what is wrong there."""
    marked = error if isinstance(error, MarkedYAMLError) else None
    mark = marked.problem_mark if marked else None
    path = Path(mark.name) if mark and Path(mark.name).is_file() else unreadable_file() or CONF
    where = f", line {mark.line + 1}" if mark else ""
    what = marked.problem if marked and mark else one_line_of(error)
    return BrokenFileError(path, f"{path}{where}: not readable as YAML ({what})")


def unreadable_file() -> Path | None:
    """The first file of `conf/` that is no mapping in YAML: for errors that name none."""
    for path in sorted(CONF.rglob("*.yaml")):
        try:
            OmegaConf.load(path)
        except (YAMLError, OSError, ValueError):
            return path
    return None


def one_line_of(error: Exception) -> str:
    """The first line of what Hydra or OmegaConf found wrong, with the setting's full name."""
    cause = error.__cause__ or error
    key = getattr(cause, "full_key", None)
    first, *rest = str(cause).splitlines() or [type(cause).__name__]
    message = " ".join((f"{first} {rest[0]}" if first.endswith(":") and rest else first).split())
    if message.startswith("Ambiguous value"):
        message += ": for several runs add -m, for a list write [a,b]"
    return _shortened(f"{key}: {message}" if key else message)


def _shortened(line: str) -> str:
    """``line`` without its middle, if it is long: what is wrong stands at its start, what to do at its end."""
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} … {line[-_LONGEST // 3 :]}"
