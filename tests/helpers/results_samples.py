"""Hand-made records for the tests of tables, comparisons and the gate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.records.aggregation import aggregate
from benchmarks.records.cells import Slice, slices_of
from benchmarks.records.record import Record, hash_config, write_record
from benchmarks.records.result_set import ResultSet
from benchmarks.records.runs import Run
from benchmarks.tables import rebuild as rebuild_tables
from benchmarks.tables.gap import gap_of, gap_table
from benchmarks.tables.headline import Pick, headline_rows
from benchmarks.tables.table import Table
from benchmarks.tables.table_set import TableSet

Values = Sequence[float] | None


def hash_of(settings: str = "aaaa", method: str = "bp") -> str:
    """The configuration hash of the records that `record` makes."""
    return hash_config({"settings": settings, "method": method})


def record(
    value: float | None = 80.0,
    seed: int = 0,
    *,
    method: str = "bp",
    architecture: str = "gcn",
    dataset: str = "cora",
    metric: str = "accuracy",
    source: str = "real",
    domain: str = "citation",
    config_hash: str = "aaaa",
    **fields: Any,
) -> Record:
    """A record of one run with one metric; ``value`` None leaves the metrics empty."""
    fields = {"profile": "paper", "finished": "2025-01-01T00:00:00", "train_seconds": 2.0} | fields
    fields.setdefault("metrics", {} if value is None else {metric: value})
    fields.setdefault("data", {"source": source, "fingerprint": "f0"} if source else {})
    fields.setdefault("task", f"citation/{architecture}_{dataset}")
    fields.setdefault("budget", {"epochs": 250, "steps": 250})
    return Record(
        domain=domain,
        architecture=architecture,
        dataset=dataset,
        method=method,
        seed=seed,
        config={"method": method},
        config_hash=hash_of(config_hash, method),
        primary_metric=metric,
        **fields,
    )


def records(values: Sequence[float], **fields: Any) -> list[Record]:
    """One record per value, seeds counted from ``first_seed`` (0)."""
    first = fields.pop("first_seed", 0)
    return [record(value, first + number, **fields) for number, value in enumerate(values)]


def save(results: Path, made: Iterable[Record]) -> Path:
    """Write records into the results folder; returns it."""
    for one in made:
        write_record(one, results / "records")
    return results


def runs(bp: Values, own: Values, shallow: Values, method: str = "dfa", **fields: Any) -> list[Record]:
    """Records of one task; each argument has one value per seed, None for no runs at all."""
    values = {"bp": bp, method: own, "shallow": shallow}
    return [one for name, given in values.items() if given for one in records(given, method=name, **fields)]


def tables_of(results: Path) -> TableSet:
    """All tables of a results folder."""
    return TableSet(ResultSet.load(results))


def rebuild(results: Path) -> list[Path]:
    """Write the tables of a results folder."""
    return rebuild_tables(tables_of(results))


def runs_in_memory(made: Iterable[Record]) -> list[Run]:
    """Records as the runs of a results folder that holds their files."""
    return [Run(one, one.data.get("source", "unknown"), local=True) for one in made]


def slice_of(made: Iterable[Record], profile: str = "paper", source: str = "real") -> Slice:
    """The cells of these records of one profile and data source."""
    found = slices_of(aggregate(made).cells)
    return next((one for one in found if one[:2] == (profile, source)), Slice(profile, source, []))


def table(made: Iterable[Record], profile: str = "paper", source: str = "real") -> Table | None:
    """The table `gap_closed` of these records."""
    return gap_table(gap_of(slice_of(made, profile, source)))


def picks(made: Iterable[Record]) -> list[Pick]:
    """The headline's rows of these records."""
    return headline_rows([gap_of(one) for one in slices_of(aggregate(made).cells)])


def line(built: Table, *labels: str) -> dict[str, str]:
    """The row that begins with ``labels``, by column."""
    return next(dict(zip(built.header, row, strict=True)) for row in built.rows if tuple(row[: len(labels)]) == labels)
