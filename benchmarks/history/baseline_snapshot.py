"""A snapshot: what one baseline amounts to, small enough for a line of a file that only grows."""

from __future__ import annotations

import hashlib
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, NamedTuple

from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from benchmarks.compare.relative_speed import times_of_backprop
from benchmarks.records import metrics, valid
from benchmarks.records.cells import LARGEST, ResultCell
from benchmarks.records.record import Record

SCHEMA = 1
UNKNOWN = "unknown"
_DIGITS = 6  # significant


class Line(NamedTuple):
    """A line of a trend: a method on all datasets of an architecture."""

    domain: str
    architecture: str
    method: str


class Level(NamedTuple):
    """Where a line stood: the mean of the primary metric over tasks and seeds, and under which settings.

    ``settings`` identifies tasks, settings and data: levels of different ones are not the same experiment.
    """

    metric: str
    mean: float
    settings: str


@dataclass(frozen=True)
class BaselineSnapshot:
    """One baseline: when it was made, by which code, how well each method did and how long it took."""

    date: str  # ISO time, UTC, of the newest run
    commit: str  # of the code that made it; with "+" where that had uncommitted changes
    versions: Mapping[str, str]
    seeds: int  # of the runs, the most that any task has
    levels: Mapping[Line, Level]
    speed: Mapping[str, float]  # method → training time as a multiple of backprop's, geometric mean over tasks

    @property
    def label(self) -> str:
        """Short, for headings: commit and day."""
        return f"{self.commit[:7]}{'+' * self.commit.endswith('+')} {self.date[:10]}"


def snapshot_of(cells: Iterable[ResultCell], records: Sequence[Record]) -> BaselineSnapshot:
    """The snapshot of a baseline's ``cells``, made by these ``records``."""
    newest = max(records, key=lambda record: record.moment)
    commit = newest.code.get("commit") or UNKNOWN
    versions = {name: newest.versions[name] for name in ("torch",) if name in newest.versions}
    return summary(cells, newest.finished, commit + "+" * bool(newest.code.get("dirty")), versions)


def summary(cells: Iterable[ResultCell], date: str, commit: str, versions: Mapping[str, str]) -> BaselineSnapshot:
    """The snapshot of a baseline whose circumstances are known."""
    cells = [cell for cell in cells if cell.primary and cell.n]
    lines: dict[Line, list[ResultCell]] = defaultdict(list)
    for cell in cells:
        lines[Line(cell.domain, cell.architecture, cell.key.method)].append(cell)
    levels = {line: _level(lines[line]) for line in sorted(lines)}
    speed = {method: _rounded(factor) for method, factor in times_of_backprop(cells).items()}
    return BaselineSnapshot(date, commit, versions, max((cell.n for cell in cells), default=0), levels, speed)


def _level(cells: Sequence[ResultCell]) -> Level:
    """Over tasks that are judged by the same metric, as those of an architecture are."""
    names = sorted({cell.key.metric for cell in cells})
    if len(names) > 1:
        where = f"{cells[0].architecture} {cells[0].key.method}"
        raise ValueError(f"{where}: tasks are judged by {' and '.join(names)}, which have no common mean")
    parts = sorted(f"{cell.key.task} {cell.config_hash} {cell.fingerprint}" for cell in cells)
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]
    return Level(names[0], _rounded(statistics.fmean(cell.mean for cell in cells)), digest)


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def to_json(snapshot: BaselineSnapshot) -> dict[str, Any]:
    """As a JSON object: levels nested by domain, architecture and method."""
    quality: dict[str, Any] = {}
    for line, level in snapshot.levels.items():
        methods = quality.setdefault(line.domain, {}).setdefault(line.architecture, {})
        methods[line.method] = level._asdict()
    fields = {name: getattr(snapshot, name) for name in ("date", "commit", "seeds")}
    return {
        "schema": SCHEMA,
        **fields,
        "versions": dict(snapshot.versions),
        "speed": snapshot.speed,
        "quality": quality,
    }


class _Level(TypedDict):
    __pydantic_config__ = valid.CLOSED  # type: ignore[misc]

    metric: valid.MetricName
    mean: Annotated[valid.Number, Field(gt=-LARGEST, lt=LARGEST)]
    settings: valid.Text


class _Written(TypedDict):
    """The JSON object that `to_json` gives."""

    __pydantic_config__ = valid.CLOSED  # type: ignore[misc]

    schema: int
    date: valid.Moment
    commit: valid.Text
    seeds: valid.Count
    versions: dict[valid.Text, valid.Text]
    speed: dict[valid.Method, valid.Amount]
    quality: dict[valid.Domain, dict[valid.Architecture, dict[valid.Method, _Level]]]


@cache
def _adapter() -> TypeAdapter[_Written]:
    return TypeAdapter(_Written)


def from_json(values: Mapping[str, Any]) -> BaselineSnapshot:
    """The snapshot of a JSON object.

    Raises:
        ValueError: it is not one; half a line with the first field that is wrong.
    """
    valid.check_schema(values, SCHEMA)
    written = valid.validated(_adapter(), values)
    levels = {
        Line(domain, architecture, method): Level(level["metric"], level["mean"], level["settings"])
        for domain, architectures in written["quality"].items()
        for architecture, methods in architectures.items()
        for method, level in methods.items()
    }
    for level in levels.values():
        if not metrics.is_known(level.metric):
            raise ValueError(metrics.unknown(level.metric))
    versions, speed = written["versions"], written["speed"]
    return BaselineSnapshot(written["date"], written["commit"], versions, written["seeds"], levels, speed)
