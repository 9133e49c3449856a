"""Evidence packs: records packed into one committed file, so that a fresh clone can rebuild the tables.

``results/records/`` is local. What the committed tables rest on is packed into ``results/evidence/*.jsonl``
(or ``.jsonl.gz``): one record per line, sorted by run, each configuration spelled out once, in the first line
that carries its hash, and on request a thinned history with each record. Tables are a function of local records
and packs together; where both hold a run, the local record counts.

    python -m benchmarks.evidence pack --profile paper --tasks 'citation/*' results/evidence/citation.jsonl
    python -m benchmarks.evidence pack --histories 100 --tasks 'nerf_*' results/evidence/nerf.jsonl.gz
    python -m benchmarks.evidence unpack results/evidence/citation.jsonl      a sweep then continues from there

What cannot be read is named and left out, the rest is packed or unpacked, and the exit status is 2.
"""

from __future__ import annotations

import argparse
import dataclasses
import fnmatch
import gzip
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from benchmarks import guard, names, valid
from benchmarks.arguments import Parser
from benchmarks.histories import History, from_json, local_histories, thin, to_json, write_history
from benchmarks.inputs import BadInput, LeftOut, OnBad, lines_of, read_bytes, refuse
from benchmarks.records import Record, iterate_records, record_from, write_atomically, write_record

SUFFIXES = (".jsonl", ".jsonl.gz")
#: Packs are committed: a larger one does not belong into the repository.
MAX_BYTES = 1_000_000
_NONE: Mapping[str, History] = MappingProxyType({})


class Entry(NamedTuple):
    """One line of a pack."""

    record: Record
    history: History | None


def is_pack(path: Path) -> bool:
    """Whether ``path`` is named like a pack."""
    return path.name.endswith(SUFFIXES)


def pack(records: Iterable[Record], path: Path, histories: Mapping[str, History] = _NONE) -> int:
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

    ``on_bad`` gets each line that is not a readable record, or that holds a run for the second time; or the pack.
    """
    try:
        lines = lines_of(read_bytes(path, "pack it again"))
    except BadInput as error:
        on_bad(error)
        return []
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
            configs.setdefault(name, values["config"])
    return Entry(record_from(values), None if history is None else from_json(history))


def unpack(path: Path, records: Path, on_bad: OnBad = refuse) -> int:
    """Write the runs of a pack below ``records``, except those that are there already; returns how many.

    ``on_bad`` as in `read_entries`.

    Raises:
        ValueError: a link leads out of the folder; one line.
    """
    entries = read_entries(path, on_bad)
    missing = [entry for entry in entries if not (records / f"{entry.record.run_id}.json").exists()]
    for record, history in missing:
        if history is not None:  # first: a run counts as restored once its record is there
            write_history(history, names.inside(records, records / f"{record.run_id}.csv"))
        write_record(record, records)
    return len(missing)


def gather(results: Path, on_bad: OnBad = refuse) -> list[Record]:
    """All records of a results folder: ``records/`` and every pack in ``evidence/``, each run once.

    A local record wins over a packed one; of two packs, the later ``finished`` does. ``on_bad`` gets what is not
    readable.
    """
    packed = [entry.record for entry in _packed(results, on_bad)]
    runs = {record.run_id: record for record in sorted(packed, key=lambda record: record.finished)}
    runs |= {record.run_id: record for record in iterate_records(results / "records", on_bad)}
    return [runs[name] for name in sorted(runs)]


def histories_of(records: Iterable[Record], results: Path, on_bad: OnBad = refuse) -> dict[str, History]:
    """The histories of records that `gather` found in ``results``, by run: local ones, else those in packs.

    ``on_bad`` gets what is not readable.
    """
    wanted = {record.run_id: record for record in records}
    # A run that was repeated has the same name: only the history of this very record counts.
    found = {
        entry.record.run_id: entry.history
        for entry in _packed(results, on_bad)
        if entry.history is not None and entry.record == wanted.get(entry.record.run_id)
    }
    folder = results / "records"
    # A CSV without a record beside it is that of a run that has not finished.
    local = [record for name, record in wanted.items() if (folder / f"{name}.json").exists()]
    return found | local_histories(_ended(local), folder, on_bad)


def _ended(records: Iterable[Record]) -> Iterable[Record]:
    """Those whose history is whole: a run that failed may have left a torn one, and nobody draws it."""
    return (record for record in records if record.status in ("ok", "diverged"))


def packs_in(results: Path) -> list[Path]:
    """The packs that tables rest on, in order of their names."""
    return sorted(path for path in (results / "evidence").glob("*") if is_pack(path))


def _packed(results: Path, on_bad: OnBad) -> Iterator[Entry]:
    for path in packs_in(results):
        yield from read_entries(path, on_bad)


def select(records: Iterable[Record], profile: str, tasks: str) -> list[Record]:
    """Those of ``profile`` ("" for all) whose task matches one of the comma-separated patterns."""
    patterns = [pattern.strip() for pattern in tasks.split(",")]
    chosen = [record for record in records if profile in ("", record.profile)]
    return [record for record in chosen if any(fnmatch.fnmatch(record.task, p) for p in patterns)]


@guard.command
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status (2 for bad input)."""
    about = __doc__.split("\n\n")[0]
    parser = Parser(prog="python -m benchmarks.evidence", description=about)
    commands = parser.add_subparsers(required=True, metavar="pack|unpack", dest="command")
    packing = commands.add_parser("pack", help="write one pack")
    packing.add_argument("--profile", default="", help="only this profile (default: all)")
    packing.add_argument("--tasks", default="*", help="only these, e.g. 'citation/*' (default: all)")
    packing.add_argument("--histories", type=int, metavar="N", help="and histories, thinned to N rows (default: none)")
    unpacking = commands.add_parser("unpack", help="restore the records of a pack, so that sweeps skip them")
    for command in (packing, unpacking):
        command.add_argument("file", type=Path, help="results/evidence/NAME.jsonl or .jsonl.gz")
        command.add_argument("--records", type=Path, default=Path("results/records"), help="records folder")
    chosen = parser.parse_args(arguments)
    try:
        with LeftOut() as left_out:
            said = (_pack if chosen.command == "pack" else _unpack)(chosen, left_out.add)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{said}\n")
    return 2 if left_out else 0


def _pack(chosen: argparse.Namespace, on_bad: OnBad) -> str:
    records = select(iterate_records(chosen.records, on_bad), chosen.profile, chosen.tasks)
    histories = _thinned(records, chosen.records, chosen.histories, on_bad)
    count = pack(records, chosen.file, histories)
    also = "" if chosen.histories is None else f", {len(histories)} histories"
    return f"{chosen.file}: {count} records{also}, {chosen.file.stat().st_size} bytes"


def _unpack(chosen: argparse.Namespace, on_bad: OnBad) -> str:
    return f"{unpack(chosen.file, chosen.records, on_bad)} records written to {chosen.records}"


def _thinned(records: list[Record], folder: Path, rows: int | None, on_bad: OnBad) -> Mapping[str, History]:
    if rows is None:
        return _NONE
    if rows < 2:
        raise ValueError(f"--histories {rows}: choose 2 or more, for a history's first and last row")
    return {run: thin(history, rows) for run, history in local_histories(_ended(records), folder, on_bad).items()}


if __name__ == "__main__":
    sys.exit(main())
