"""Records: one run's result, one JSON file, written atomically and never overwritten by another configuration."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCHEMA = 1
#: Statuses that a planner counts as done; a failed run is tried again by the next sweep.
DONE = ("ok", "diverged", "skipped")
#: Probabilities of the `quantiles` in a record's alignment.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass
class Record:
    """Everything one run leaves behind. Field names are the JSON's keys; see the README for their meaning."""

    task: str  # "citation/gcn_cora"
    domain: str  # as in results/paper/reference.csv: "geometric", …
    architecture: str
    dataset: str
    method: str
    profile: str
    seed: int
    config: dict[str, Any]
    config_hash: str  # of everything that determines the result but the seed
    variant: str = ""  # the user's overrides that changed the task; "" for the settings as shipped
    status: str = "ok"  # ok | diverged | failed | skipped
    reason: str = ""  # why it is not ok
    metrics: dict[str, float] = field(default_factory=dict)
    primary_metric: str = ""
    alignment: dict[str, Any] = field(default_factory=dict)  # per feedback point and per parameter, at the end
    budget: dict[str, int] = field(default_factory=dict)  # epochs and steps done
    train_seconds: float = 0.0
    eval_seconds: float = 0.0
    alignment_seconds: float = 0.0  # in neither of the two above
    samples_per_second: float = 0.0
    peak_memory_mb: float = 0.0
    parameters: int = 0
    data: dict[str, str] = field(default_factory=dict)  # source (real | stand-in), fingerprint, about
    artefacts: list[str] = field(default_factory=list)  # files beside this one, as the suffix of its name: "sheet.png"
    code: dict[str, Any] = field(default_factory=dict)  # commit, dirty
    versions: dict[str, str] = field(default_factory=dict)
    hardware: dict[str, Any] = field(default_factory=dict)
    finished: str = ""  # ISO time, UTC
    schema: int = SCHEMA

    @property
    def run_id(self) -> str:
        """Path of the record below the records folder, without suffix."""
        return run_id(self.profile, self.task, self.method, self.seed, self.config_hash)


def run_id(profile: str, task: str, method: str, seed: int, config_hash: str) -> str:
    """Where a run's record lies below the records folder: one place per configuration and seed."""
    return f"{profile}/{task}/{method}/seed{seed}-{config_hash}"


def hash_config(config: Mapping[str, Any]) -> str:
    """Twelve hex digits that identify a configuration, whatever the order of its keys."""
    canonical = json.dumps(config, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def write_record(record: Record, folder: Path) -> Path:
    """Write ``record`` below ``folder`` (the records folder), atomically; returns the file."""
    path = folder / f"{record.run_id}.json"
    write_atomically(path, json.dumps(dataclasses.asdict(record), indent=1, sort_keys=True) + "\n")
    return path


def artefact_path(record: Path, artefact: str) -> Path:
    """Where the artefact of a record file (or of its path without suffix) lies."""
    return record.with_name(f"{record.name.removesuffix('.json')}.{artefact}")


def read_record(path: Path) -> Record:
    """Read one record file.

    Raises:
        ValueError: not a record, or one of a schema this version does not know; one line naming the file.
    """
    try:
        return record_from(json.loads(path.read_text()))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a readable record ({error}); move it away and run the task again") from error


def record_from(values: Mapping[str, Any]) -> Record:
    """A record from its JSON object."""
    if values.get("schema") != SCHEMA:
        raise ValueError(f"schema {values.get('schema')!r}, this version reads {SCHEMA}")
    return Record(**values)


def iterate_records(folder: Path) -> Iterator[Record]:
    """All records below ``folder``, in order of their paths."""
    for path in sorted(folder.rglob("*.json")):
        yield read_record(path)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write ``content`` (text as UTF-8) so that ``path`` holds the old or the whole new one at any moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
