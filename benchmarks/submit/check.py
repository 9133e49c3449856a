"""Everything that can be seen to be wrong with a pack of somebody else's runs without running anything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.catalogue.methods import known_methods
from benchmarks.records.inputs import LeftOut
from benchmarks.records.packs import read_pack
from benchmarks.records.record import Record
from benchmarks.statistics.comparison import CONTROL, REFERENCE
from benchmarks.submit.planned import method_of
from benchmarks.submit.sound import problem_of
from benchmarks.terminal.errors import UsageError

#: Seeds that a task needs of the method and of both that it is compared with.
SEEDS = 3


def problems_of(pack: Path) -> tuple[list[Record], list[str]]:
    """The records of a pack, and everything that can be seen to be wrong with them without running anything."""
    with LeftOut() as left_out:
        records = read_pack(pack, left_out.add)
    unreadable = ["lines of the pack cannot be read: see above"] if left_out else []
    return records, [*unreadable, *_altered(records), *_incomplete(records)]


def unknown_methods(records: Sequence[Record]) -> list[str]:
    """Methods of the records that are not registered here."""
    return sorted({name for record in records if (name := method_of(record)) not in known_methods()})


def _altered(records: Sequence[Record]) -> Iterator[str]:
    """Each record against its own hash, and against what this checkout would run."""
    for record in records:
        if problem := problem_of(record):
            yield f"{record.run_id}: {problem}"


def _incomplete(records: Sequence[Record]) -> Iterator[str]:
    """Whether every task has the method, backprop and shallow, with enough seeds in common.

    A method may diverge on some tasks: the tables say so. It needs numbers on one, and those that it is compared with
    need them on all.
    """
    seeds: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    numbers: dict[str, int] = defaultdict(int)
    for record in records:
        method = method_of(record)
        if record.status == "ok" or (record.status == "diverged" and method not in (REFERENCE, CONTROL)):
            seeds[record.task][method].add(record.seed)
            numbers[method] += record.status == "ok"
    if not set(numbers) - {REFERENCE, CONTROL}:
        yield f"there is no method beside {REFERENCE} and {CONTROL}"
    for method in sorted(set(numbers) - {REFERENCE, CONTROL}):
        if not numbers[method]:
            yield f"all runs of {method} diverged: there is no number to put into a table"
    for task, found in sorted(seeds.items()):
        for method in sorted(set(found) - {REFERENCE, CONTROL}):
            common = found[method] & found.get(REFERENCE, set()) & found.get(CONTROL, set())
            if len(common) < SEEDS:
                yield f"{task}: {len(common)} seed(s) of {method} in common with {REFERENCE} and {CONTROL}, not {SEEDS}"


def check_file(pack: Path) -> None:
    """Raise :class:`UsageError` if there is no such file."""
    if not pack.is_file():
        raise UsageError(f"{pack}: no such file; give the pack that benchmarks.submit make has written")
