"""The files that list every cell: ``all_results.csv``, ``variants.csv``, variants' tables and the index."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from benchmarks.catalogue.names import network, title
from benchmarks.catalogue.reference import Key, Published, published
from benchmarks.records import metrics
from benchmarks.records.cells import ResultCell, Slice, Stale
from benchmarks.tables.build import text_of
from benchmarks.tables.data_source import suffix_of
from benchmarks.tables.table import NONE, NOT_RUN, Behind, Column, Role, Table, TableKind, labels
from benchmarks.tables.text import comma_separated, exact, exact_cell, subtitle_markdown

#: Columns of ``all_results.csv``; other tools read it, so they only ever grow at the end.
COLUMNS = (
    *("domain", "task", "architecture", "dataset", "method", "metric", "mean", "std", "n", "paper"),
    *("data_source", "profile", "steps_or_epochs", "train_seconds", "samples_per_second"),
    *("peak_memory_mb", "config_hash"),
)
#: File name of the tables of runs with overrides.
VARIANTS = "variants"
_LABELS = ("override", "architecture", "dataset", "method", "metric")
_PARTS = ("mean", "std", "n")
#: Metrics that describe rather than score; they stay out of the variants' tables.
_DESCRIPTIVE = ("valid_", "train_", "alignment_", "weight_alignment_")


def all_results(cells: Iterable[ResultCell]) -> str:
    """The tidy file: a row per task, method and metric under the settings as shipped."""
    rows = [_tidy(cell) for cell in _ordered(cells) if not cell.key.variant and not cell.skipped]
    return comma_separated(COLUMNS, rows)


def variants_csv(cells: Iterable[ResultCell]) -> str:
    """The same for runs with overrides, which a further column names."""
    rows = [[*_tidy(cell), cell.key.variant] for cell in _ordered(cells) if cell.key.variant and not cell.skipped]
    return comma_separated([*COLUMNS, "variant"], rows)


def paper_beside(cell: ResultCell) -> Published | None:
    """The paper's number that may stand beside ``cell``: none but for real data and the settings as shipped."""
    if cell.key.data_source != "real" or cell.key.variant:
        return None
    key = Key(cell.domain, cell.architecture, cell.dataset, cell.key.method, cell.key.metric)
    return published().get(key)


def _ordered(cells: Iterable[ResultCell]) -> list[ResultCell]:
    return sorted(cells, key=lambda cell: (cell.key.profile, cell.domain, *cell.key[1:]))


def _tidy(cell: ResultCell) -> list[str]:
    paper = paper_beside(cell)
    return [
        cell.domain,
        cell.key.task,
        cell.architecture,
        cell.dataset,
        cell.key.method,
        cell.key.metric,
        exact(cell.mean),
        exact(cell.std),
        str(cell.n),
        exact(paper.value) if paper else "",
        cell.key.data_source,
        cell.key.profile,
        "" if cell.budget is None else str(cell.budget),
        exact(cell.train_seconds),
        exact(cell.samples_per_second),
        exact(cell.peak_memory_mb),
        cell.config_hash,
    ]


def variants_table(part: Slice) -> Table | None:
    """Runs with overrides beside the settings as shipped; None where there are none.

    The paper's numbers are not beside them: an override may change the data or the budget.
    """
    shipped = {cell.key: cell for cell in part.cells if not cell.key.variant}
    rows: list[list[str]] = []
    numbers: list[list[str]] = []
    behind: list[list[Behind]] = []
    for cell in _ordered(part.cells):
        if not cell.key.variant or (not cell.primary and cell.key.metric.startswith(_DESCRIPTIVE)):
            continue
        plain = shipped.get(cell.key._replace(variant=""))
        names = [cell.key.variant, network(cell.domain, cell.architecture), title(cell.dataset), cell.key.method]
        rows.append([*names, _metric_title(cell), *_values(cell, plain)])
        numbers.append([*names, cell.key.metric, *exact_cell(cell), *exact_cell(plain)])
        behind.append([*[()] * len(_LABELS), (cell,), (plain,) if plain else ()])
    if not rows:
        return None
    return Table(
        kind=TableKind.VARIANTS,
        name=f"{VARIANTS}{suffix_of(part.source)}",
        title="Variants: runs with overridden settings beside the settings as shipped",
        profile=part.profile,
        source=part.source,
        about="mean ± std (n seeds)",
        columns=[*labels(*_LABELS), Column(Role.VALUE, "variant"), Column(Role.VALUE, "as shipped")],
        rows=rows,
        number_columns=[
            *labels(*_LABELS),
            *(Column(Role.VALUE, f"{where}{name}", part=name) for where in ("", "shipped ") for name in _PARTS),
        ],
        numbers=numbers,
        behind=behind,
    )


def _metric_title(cell: ResultCell) -> str:
    return metrics.lookup(cell.key.metric).title if cell.key.metric else NONE


def _values(cell: ResultCell, plain: ResultCell | None) -> list[str]:
    return [text_of(cell, usual=0), NOT_RUN if plain is None else text_of(plain, usual=0)]


def index(tables: Iterable[Table], stale: Iterable[Stale], headline: bool) -> str:
    """``results/tables/README.md``: the headline if there is one, every table with its title, and what was left out.

    ``tables`` come profile by profile.
    """
    parts = [
        "# Tables",
        "Generated from the records and evidence packs beside this folder; edit nothing here. "
        "How to read them: `results/README.md`.",
        "Every number in one file: [all_results.csv](all_results.csv); runs with overrides: "
        "[variants.csv](variants.csv).",
    ]
    if headline:
        parts.append("The headline, gap closed per architecture and domain: [headline.md](headline.md).")
    for profile, written in groupby(tables, key=lambda table: table.profile):
        lines = [f"- [{table.title}]({profile}/{table.name}.md) · {subtitle_markdown(table)}" for table in written]
        parts.append(f"## Profile {profile}\n\n" + "\n".join(lines))
    if lines := [f"- {one}" for one in stale]:
        parts.append("## Left out: runs of other settings\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"
