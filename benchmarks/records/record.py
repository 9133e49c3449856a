"""Records: one run's result, one JSON file, written atomically and never overwritten by another configuration."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter
from typing_extensions import TypedDict  # typing's own is read by pydantic from Python 3.12 on

from benchmarks.records import valid
from benchmarks.records.inputs import BadInput, OnBad, below, read_bytes, refuse
from benchmarks.records.moments import moment_of
from benchmarks.records.unfinished import unfinished
from benchmarks.terminal import names
from benchmarks.terminal.errors import naming

SCHEMA = 1
#: Statuses that a planner counts as done; a failed run is tried again by the next sweep.
DONE = ("ok", "diverged", "skipped")
#: Probabilities of the `quantiles` in a record's alignment.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

_FIX_HINT = "move it away and run the task again"
_Quantiles = Annotated[list[valid.Cosine], Field(min_length=len(QUANTILES), max_length=len(QUANTILES))]


class WeightsSummary(TypedDict):
    """Alignment of the weights below a feedback point: the whole gradient's cosine, and its rows' if they have any."""

    cosine: valid.Cosine
    rows: valid.Count
    mean: NotRequired[valid.Cosine]
    std: NotRequired[valid.Spread]
    quantiles: NotRequired[_Quantiles]


class PointSummary(TypedDict):
    """Alignment at a feedback point: statistics of the samples' cosines."""

    mean: valid.Cosine
    std: valid.Spread
    quantiles: _Quantiles
    samples: valid.Count
    weights: NotRequired[WeightsSummary]
    activation: NotRequired[valid.Magnitude]  # these four as of dfa_core.measuring.cosines.PointStatistics
    reference: NotRequired[valid.Magnitude]
    effective_rank: NotRequired[valid.Amount]
    sign_agreement: NotRequired[valid.Amount]


class AlignmentSummary(TypedDict, total=False):
    """At the end of a run, by feedback point and by parameter; ``order``: the points from the input upwards."""

    order: list[valid.Text]
    points: dict[valid.Text, PointSummary]
    parameters: dict[valid.Text, valid.Cosine]
    weights: dict[valid.Text, WeightsSummary]  # of methods that send no signals to points


class DataUsed(TypedDict, total=False):
    """The data that a run learned from; empty if it failed before it opened its data."""

    source: valid.DataSource  # real | stand-in
    fingerprint: valid.Text
    about: valid.Text


class Code(TypedDict, total=False):
    """The commit, and whether there were changes beside it; None where git does not tell."""

    commit: valid.Text | None
    dirty: valid.Flag | None


@dataclass
class Record:
    """Everything one run leaves behind. Field names are the JSON's keys."""

    __pydantic_config__: ClassVar[ConfigDict] = valid.CLOSED

    task: valid.Task  # "citation/gcn_cora"
    domain: valid.Domain  # its name in the catalogue: "citation", …
    architecture: valid.Architecture
    dataset: valid.Dataset
    method: valid.Method
    profile: valid.Profile
    seed: valid.Seed
    config: valid.Settings
    config_hash: valid.Hash  # of everything that determines the result but the seed
    variant: valid.Text = ""  # the user's overrides that changed the task; "" for the settings as shipped
    status: Literal["ok", "diverged", "failed", "skipped"] = "ok"
    reason: valid.Text = ""  # why it is not ok
    metrics: dict[valid.MetricName, valid.Number] = field(default_factory=dict)
    primary_metric: valid.MetricName | Literal[""] = ""
    alignment: AlignmentSummary = field(default_factory=AlignmentSummary)
    budget: dict[valid.Text, valid.Count] = field(default_factory=dict)  # epochs and steps done
    train_seconds: valid.Amount = 0.0
    eval_seconds: valid.Amount = 0.0
    alignment_seconds: valid.Amount = 0.0  # in neither of the two above
    samples_per_second: valid.Amount = 0.0
    peak_memory_mb: valid.Amount = 0.0
    parameters: valid.Count = 0
    data: DataUsed = field(default_factory=DataUsed)
    artefacts: list[valid.Artefact] = field(default_factory=list)  # files beside this one, as the suffix of its name
    code: Code = field(default_factory=Code)
    versions: dict[valid.Text, valid.Text] = field(default_factory=dict)
    hardware: dict[valid.Text, valid.Json] = field(default_factory=dict)
    finished: valid.Moment = ""  # ISO time, UTC unless it has another offset
    schema: int = SCHEMA

    @property
    def run_id(self) -> str:
        """Path of the record below the records folder, without suffix."""
        return run_id(self.profile, self.task, self.method, self.seed, self.config_hash)

    @property
    def moment(self) -> datetime:
        """When the run finished: what decides which of two runs is newer."""
        return moment_of(self.finished)


#: Fields that the first records did not have. All others a record must spell out: without a status a run is not ok.
_ADDED_LATER = frozenset({"alignment_seconds", "artefacts"})
_REQUIRED = frozenset(each.name for each in dataclasses.fields(Record)) - _ADDED_LATER


def run_id(profile: str, task: str, method: str, seed: int, config_hash: str) -> str:
    """Where a run's record lies below the records folder: one place per configuration and seed.

    Raises:
        ValueError: one of them is no name; one line.
    """
    parts = names.checked("profile", profile), names.checked("task", task), names.checked("method", method)
    return f"{'/'.join(parts)}/seed{seed}-{config_hash}"


def hash_config(config: Mapping[str, Any]) -> str:
    """Twelve hex digits that identify a configuration, whatever the order of its keys."""
    canonical = json.dumps(config, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def write_record(record: Record, folder: Path) -> Path:
    """Write ``record`` below ``folder`` (the records folder), atomically; returns the file.

    Raises:
        ValueError: a link leads out of the folder, or `read_record` would refuse what is written; one line.
    """
    path = names.inside(folder, folder / f"{record.run_id}.json")
    values = dataclasses.asdict(record) | {
        name: names.one_line(getattr(record, name)) for name in ("reason", "variant")
    }
    content = json.dumps(values, indent=1, sort_keys=True) + "\n"
    try:
        record_from(valid.parse_object(content.encode()))
    except ValueError as error:  # such a file would stop every later command that reads the folder
        raise ValueError(f"{record.run_id}: a record that could not be read again ({error})") from error
    write_atomically(path, content)
    return path


def artefact_path(record: Path, artefact: str) -> Path:
    """Where the artefact of a record file (or of its path without suffix) lies.

    Raises:
        ValueError: its name is none; one line.
    """
    return record.with_name(f"{record.name.removesuffix('.json')}.{names.checked('artefact', artefact)}")


def read_record(path: Path) -> Record:
    """Read one record file.

    Raises:
        BadInput: not a record, or one of a schema this version does not know; one line naming file and field.
    """
    content = read_bytes(path, _FIX_HINT)
    try:
        return record_from(valid.parse_object(content))
    except ValueError as error:
        raise BadInput(path, f"not a readable record ({error})", _FIX_HINT) from error


def record_from(values: Mapping[str, Any]) -> Record:
    """A record from its JSON object.

    Raises:
        ValueError: it is not one; half a line with the first field that is wrong.
    """
    valid.check_schema(values, SCHEMA)
    if missing := sorted(_REQUIRED - values.keys()):
        raise ValueError(f"{missing[0]}: missing")
    return valid.validated(_adapter(), values)


@cache
def _adapter() -> TypeAdapter[Record]:
    """Built at the first use: most commands that import this module read no record."""
    return TypeAdapter(Record)


def iterate_records(folder: Path, on_bad: OnBad = refuse) -> Iterator[Record]:
    """All records below ``folder``, in order of their paths; of two files with the same run the one in its place.

    ``on_bad`` gets each file that is none, or that holds a run for the second time, and folders that cannot be read.
    """
    found: dict[str, tuple[Path, Record]] = {}
    for path in below(folder, ".json", on_bad):
        try:
            record = read_record(path)
            other = found.get(record.run_id)
            if other is None:
                found[record.run_id] = path, record
                continue
            kept, twice = (other[0], path) if _in_place(*other) or not _in_place(path, record) else (path, other[0])
            found[record.run_id] = (kept, record if kept == path else other[1])
            raise BadInput(twice, f"the same run as {kept}", "remove one of them")
        except BadInput as error:
            on_bad(error)
    yield from (record for _, record in sorted(found.values(), key=lambda one: one[0]))


def _in_place(path: Path, record: Record) -> bool:
    return path.as_posix().endswith(f"/{record.run_id}.json")


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write ``content`` (text as UTF-8) so that ``path`` holds the old or the whole new one at any moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = unfinished(path)
    try:
        with naming(path), temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
