"""Evidence packs: records, and thinned histories, in one committed file."""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from benchmarks.catalogue.names import task_matches
from benchmarks.records import paths, valid
from benchmarks.records.inputs import BadInput, OnBad, lines_of, read_bytes, refuse
from benchmarks.records.record import DONE, Record, read_record, record_from, write_atomically, write_record
from benchmarks.records.run_history import History, from_json, to_json, write_history
from benchmarks.terminal import names

SUFFIXES = (".jsonl", ".jsonl.gz")

#: Packs are committed: a larger one does not belong into the repository.
MAX_BYTES = 1_000_000

NO_HISTORIES: Mapping[str, History] = MappingProxyType({})


class Entry(NamedTuple):
    """One line of a pack."""

    record: Record
    history: History | None


def is_pack(path: Path) -> bool:
    """Whether ``path`` is named like a pack."""
    return path.name.endswith(SUFFIXES)


def pack(records: Iterable[Record], path: Path, histories: Mapping[str, History] = NO_HISTORIES) -> int:
    """Write ``records`` to ``path``, replacing it, each with its history if its run has one; returns how many.

    Raises:
        ValueError: nothing to pack, a name that is not a pack's, or more than ``MAX_BYTES``.
    """
    if not is_pack(path):
        raise ValueError(f"{path}: a pack is named *.jsonl or *.jsonl.gz")
    ordered = sorted(records, key=lambda record: record.run_id)
    if not ordered:
        raise ValueError(f"{path}: no record matches --profile and --tasks; nothing was written")
    text = "".join(line + "\n" for line in _lines(ordered, histories))
    # mtime=0: the same records give the same bytes on any day
    content = gzip.compress(text.encode(), mtime=0) if path.suffix == ".gz" else text.encode()
    if len(content) > MAX_BYTES:
        raise ValueError(
            f"{path}: {len(content)} bytes, more than {MAX_BYTES}; use .jsonl.gz or fewer tasks or --histories"
        )
    write_atomically(path, content)
    return len(ordered)


def _lines(records: list[Record], histories: Mapping[str, History]) -> Iterable[str]:
    seen: set[str] = set()
    for record in records:
        values = dataclasses.asdict(record)
        if record.config_hash in seen:
            values["config"] = None
        seen.add(record.config_hash)
        if record.run_id in histories:
            values["history"] = to_json(histories[record.run_id])
        yield json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def read_pack(path: Path, on_bad: OnBad = refuse) -> list[Record]:
    """The records of a pack, without their histories; ``on_bad`` as in `read_entries`."""
    return [entry.record for entry in read_entries(path, on_bad)]


def read_entries(path: Path, on_bad: OnBad = refuse) -> list[Entry]:
    """The records of a pack, configurations filled in, each with its history if it has one.

    ``on_bad`` gets each line that is not a readable record, or that holds a run for the second time; or the pack, which
    may be empty, too.
    """
    try:
        lines = lines_of(read_bytes(path, "pack it again"))
    except ValueError as error:
        on_bad(error if isinstance(error, BadInput) else BadInput(path, error, "pack it again"))
        return []
    if not lines:  # as a write that a full disk cut off leaves it
        on_bad(BadInput(path, "holds no record", "pack it again"))
    configs: dict[str, dict[str, Any]] = {}
    found: dict[str, Entry] = {}
    for number, line in enumerate(lines, start=1):
        try:
            entry = _entry(line, configs)
            if entry.record.run_id in found:
                raise ValueError("a run that an earlier line holds")
            found[entry.record.run_id] = entry
        except ValueError as error:
            on_bad(BadInput(f"{path}:{number}", f"not a readable record ({error})", "pack it again"))
    return list(found.values())


def _entry(line: bytes, configs: dict[str, dict[str, Any]]) -> Entry:
    """The entry of a line; its configuration is noted in ``configs``, or taken from there.

    Raises:
        ValueError: it is none; half a line.
    """
    values = valid.parse_object(line)
    history = values.pop("history", None)
    name = values.get("config_hash")
    if names.problem_of_hash(name) is None:
        if values.get("config") is None:
            if name not in configs:
                raise ValueError(f"no earlier line has configuration {name}")
            values["config"] = configs[name]
        elif isinstance(values["config"], dict):  # later lines rest on it, whatever else is wrong with this one
            configs.setdefault(str(name), values["config"])
    return Entry(record_from(values), None if history is None else from_json(history))


def unpack(path: Path, records: Path, on_bad: OnBad = refuse) -> int:
    """Write the runs of a pack below ``records``, except those that came to an end there already; returns how many.

    ``on_bad`` as in `read_entries`.

    Raises:
        ValueError: the file has not the name of a pack, or a link leads out of the folder; one line.
    """
    if not is_pack(path):
        raise ValueError(f"{path}: no pack: their names end in .jsonl or .jsonl.gz")
    entries = read_entries(path, on_bad)
    missing = [entry for entry in entries if not _is_done(records / f"{entry.record.run_id}.json")]
    for record, history in missing:
        if history is not None:  # first: a run counts as restored once its record is there
            write_history(history, names.inside(records, records / f"{record.run_id}.csv"))
        write_record(record, records)
    return len(missing)


def _is_done(path: Path) -> bool:
    """Whether a run is recorded and did not fail; what cannot be read may be anything, and is kept."""
    try:
        return path.exists() and read_record(path).status in DONE
    except BadInput:
        return True


def ended(records: Iterable[Record]) -> Iterable[Record]:
    """The records whose history is whole: a run that failed may have left a torn one, and nobody draws it."""
    return (record for record in records if record.status in ("ok", "diverged"))


def packs_in(results: Path) -> list[Path]:
    """The packs that tables rest on, in order of their names."""
    folder = paths.evidence(results)
    return sorted(filter(is_pack, folder.iterdir())) if folder.is_dir() else []


def select(records: Iterable[Record], profile: str, tasks: str) -> list[Record]:
    """The records of ``profile`` ("" for all) whose task matches one of the comma-separated patterns."""
    patterns = [pattern.strip() for pattern in tasks.split(",")]
    chosen = [record for record in records if profile in ("", record.profile)]
    return [record for record in chosen if any(task_matches(record.task, p) for p in patterns)]
