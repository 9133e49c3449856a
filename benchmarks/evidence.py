"""Evidence packs: records packed into one committed file, so that a fresh clone can rebuild the tables.

``results/records/`` is local. What the committed tables rest on is packed into ``results/published/evidence/*.jsonl``
(or ``.jsonl.gz``): one record per line, sorted by run, each configuration spelled out once, in the first line
that carries its hash, and on request a thinned history with each record. Tables are a function of local records
and packs together; where both hold a run, the local record counts, unless it failed.

    python -m benchmarks.evidence pack --profile paper --tasks 'citation/*' results/published/evidence/citation.jsonl
    python -m benchmarks.evidence pack --histories 100 --tasks 'nerf_*' results/published/evidence/nerf.jsonl.gz
    python -m benchmarks.evidence unpack results/published/evidence/citation.jsonl     a sweep then goes on from there
    python -m benchmarks.evidence verify       whether the published evidence is whole and the tables follow from it
    python -m benchmarks.evidence manifest     write the hashes that it is verified against; `make publish` does

What cannot be read is named and left out, the rest is packed or unpacked, and the exit status is 2.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from benchmarks.records import evidence_manifest, paths
from benchmarks.records.inputs import LeftOut, OnBad
from benchmarks.records.locks import sole_rewriter
from benchmarks.records.packs import (
    NO_HISTORIES,
    ended,
    is_pack,
    pack,
    read_entries,
    read_pack,
    select,
    unpack,
)
from benchmarks.records.record import DONE, Record, iterate_records
from benchmarks.records.run_history import History, local_histories, thin
from benchmarks.tables import texts_of
from benchmarks.tables.table_set import TableSet
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser


@guard.command
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status (1: not verified, 2: bad input)."""
    about = __doc__.split("\n\n")[0]
    parser = Parser(prog="python -m benchmarks.evidence", description=about)
    commands = parser.add_subparsers(required=True, metavar="pack|unpack|verify|manifest", dest="command")
    packing = commands.add_parser("pack", help="write one pack")
    packing.add_argument("--profile", default="", help="only this profile (default: all)")
    packing.add_argument("--tasks", default="*", help="only these, e.g. 'citation/*' (default: all)")
    packing.add_argument("--add", action="store_true", help="keep what the pack holds and is not here")
    packing.add_argument("--histories", type=int, metavar="N", help="and histories, thinned to N rows (default: none)")
    unpacking = commands.add_parser("unpack", help="restore the records of a pack, so that sweeps skip them")
    verifying = commands.add_parser("verify", help="hashes of files and settings, and the tables, are as published")
    listing = commands.add_parser("manifest", help="list the published evidence with its hashes")
    for command in (verifying, listing):
        command.add_argument("--results", type=Path, default=paths.published(paths.RESULTS), help="published results")
    for command in (packing, unpacking):
        command.add_argument("file", type=Path, help="results/published/evidence/NAME.jsonl or .jsonl.gz")
        command.add_argument("--records", type=Path, default=Path("results/records"), help="records folder")
    chosen = parser.parse_args(arguments)
    try:
        with LeftOut() as left_out:
            said = _COMMANDS[chosen.command](chosen, left_out.add)
    except NotVerified as problems:
        sys.stdout.write(f"{problems}\n")
        return 1
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"{said}\n")
    return 2 if left_out else 0


def _pack(chosen: argparse.Namespace, on_bad: OnBad) -> str:
    if not chosen.records.is_dir():
        raise ValueError(f"{chosen.records}: there is no such folder; name a records folder with --records")
    if paths.is_results(chosen.records):  # the runs of its studies, too, lie below it
        there = paths.records(chosen.records)
        raise ValueError(f"{chosen.records}: a results folder; name its records folder: --records {there}")
    records = select(iterate_records(chosen.records, on_bad), chosen.profile, chosen.tasks)
    histories = _thinned(records, chosen.records, chosen.histories, on_bad)
    with sole_rewriter(chosen.file) if chosen.add else nullcontext():  # another process may add to it, too
        count, with_history = _written(chosen.file, records, histories, chosen.add)
    also = "" if chosen.histories is None else f", {with_history} histories"
    return f"{chosen.file}: {count} records{also}, {chosen.file.stat().st_size} bytes"


def _written(
    file: Path, records: list[Record], histories: Mapping[str, History], keeps_what_was_there: bool
) -> tuple[int, int]:
    """Write the pack, and what it held and is not here if wanted; returns its number of records and of histories."""
    if keeps_what_was_there and file.exists():
        packed = read_entries(file)  # what cannot be read would be lost: nothing is written then
        done = {entry.record.run_id for entry in packed if entry.record.status in DONE}
        # A run that failed here says nothing against the one that came to its end.
        records = [record for record in records if record.status in DONE or record.run_id not in done]
        here = {record.run_id: record for record in records}
        # Of a run that is here as it is packed, the pack may have the history alone.
        as_packed = [entry for entry in packed if here.get(entry.record.run_id, entry.record) == entry.record]
        records = [*records, *(entry.record for entry in packed if entry.record.run_id not in here)]
        histories = {**{one.record.run_id: one.history for one in as_packed if one.history is not None}, **histories}
    return pack(records, file, histories), len(histories)


def _unpack(chosen: argparse.Namespace, on_bad: OnBad) -> str:
    return f"{unpack(chosen.file, chosen.records, on_bad)} records written to {chosen.records}"


class NotVerified(Exception):
    """The published results are not what they say; a line for each problem."""


def _manifest(chosen: argparse.Namespace, on_bad: OnBad) -> str:
    return f"{evidence_manifest.write(chosen.results)}: written"


def _verify(chosen: argparse.Namespace, on_bad: OnBad) -> str:
    # It can run what it checks: PyTorch, which the others do without.
    from benchmarks.studies.publish import stale
    from benchmarks.submit.sound import contradiction, impossible, own_hash

    published = chosen.results
    found = evidence_manifest.problems(published)
    records = {path: read_pack(path, on_bad) for path in evidence_manifest.files(published) if is_pack(path)}
    for path, packed in records.items():
        wrong = [record.run_id for record in packed if own_hash(record) != record.config_hash]
        found += [f"{path}: {run}: its hash is not that of its settings" for run in wrong]
        sound = (record for record in packed if record.run_id not in wrong)
        told = ((record.run_id, contradiction(record) or impossible(record)) for record in sound)
        found += [f"{path}: {run}: {problem}" for run, problem in told if problem]
    found += [*_stale_tables(published), *stale(published)]
    if found:
        raise NotVerified("\n".join(found))
    count = sum(map(len, records.values()))
    return f"{published}: {count} records in {len(records)} packs and their tables are verified"


def _stale_tables(published: Path) -> Iterator[str]:
    """The tables that are not what the packs give; bad lines of these were told before."""
    folder = paths.tables(published)
    for name, text in texts_of(TableSet.load(published, lambda bad: None)).items():
        if not (folder / name).is_file() or (folder / name).read_bytes() != text.encode():
            yield f"{folder / name}: is not what the evidence gives; make publish writes it"


_COMMANDS = {"pack": _pack, "unpack": _unpack, "verify": _verify, "manifest": _manifest}


def _thinned(records: list[Record], folder: Path, rows: int | None, on_bad: OnBad) -> Mapping[str, History]:
    if rows is None:
        return NO_HISTORIES
    if rows < 2:
        raise ValueError(f"--histories {rows}: choose 2 or more, for a history's first and last row")
    return {run: thin(history, rows) for run, history in local_histories(ended(records), folder, on_bad).items()}


if __name__ == "__main__":
    sys.exit(main())
