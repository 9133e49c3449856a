"""The files that list every cell: ``all_results.csv``, ``variants.csv``, variants' tables and the index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks import metrics
from benchmarks.cells import Cell, CellSet
from benchmarks.tables.build import NONE, NOT_RUN, STANDIN, exact, text_of
from benchmarks.tables.reference import beside
from benchmarks.tables.specs import network, title
from benchmarks.tables.text import Table, comma_separated

#: Columns of ``all_results.csv``; other tools read it, so they only ever grow at the end.
COLUMNS = (
    *("domain", "task", "architecture", "dataset", "method", "metric", "mean", "std", "n", "paper"),
    *("data_source", "profile", "steps_or_epochs", "train_seconds", "samples_per_second"),
    *("peak_memory_mb", "config_hash"),
)
_PARTS = ("mean", "std", "n")
#: Metrics that describe rather than score; they stay out of the variants' tables.
_DESCRIPTIVE = ("valid_", "train_", "alignment_", "weight_alignment_")


def all_results(cells: Iterable[Cell]) -> str:
    """The tidy file: a row per task, method and metric under the settings as shipped."""
    rows = [_tidy(cell) for cell in _ordered(cells) if not cell.key.variant and not cell.skipped]
    return comma_separated(COLUMNS, rows)


def variants_csv(cells: Iterable[Cell]) -> str:
    """The same for runs with overrides, which a further column names."""
    rows = [[*_tidy(cell), cell.key.variant] for cell in _ordered(cells) if cell.key.variant and not cell.skipped]
    return comma_separated([*COLUMNS, "variant"], rows)


def _ordered(cells: Iterable[Cell]) -> list[Cell]:
    return sorted(cells, key=lambda cell: (cell.key.profile, cell.domain, *cell.key[1:]))


def _tidy(cell: Cell) -> list[str]:
    paper = beside(cell)
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


def variants_table(cells: Sequence[Cell], profile: str, source: str) -> Table | None:
    """Runs with overrides beside the settings as shipped and the paper; None where there are none."""
    here = [cell for cell in cells if (cell.key.profile, cell.key.data_source) == (profile, source)]
    shipped = {cell.key: cell for cell in here if not cell.key.variant}
    rows, numbers, sources = [], [], []
    for cell in _ordered(here):
        if not cell.key.variant or (not cell.primary and cell.key.metric.startswith(_DESCRIPTIVE)):
            continue
        plain = shipped.get(cell.key._replace(variant=""))
        names = [cell.key.variant, network(cell.domain, cell.architecture), title(cell.dataset), cell.key.method]
        rows.append([*names, _metric_title(cell), *_values(cell, plain, source)])
        numbers.append([*names, cell.key.metric, *_exact_values(cell, plain, source)])
        sources.append([*[()] * 5, (cell,), (plain,) if plain else (), *([()] if source == "real" else [])])
    if not rows:
        return None
    real = source == "real"
    paper = ["paper"] if real else []
    labels = ["override", "architecture", "dataset", "method", "metric"]
    return Table(
        name="variants" if real else f"variants_{source.replace('-', '')}",
        title="Variants: runs with overridden settings beside the settings as shipped",
        subtitle=f"{'real data' if real else STANDIN} · profile {profile} · mean ± std (n seeds)",
        header=[*labels, "variant", "as shipped", *paper],
        rows=rows,
        numbers_header=[*labels, *_PARTS, *(f"shipped {part}" for part in _PARTS), *paper],
        numbers=numbers,
        labels=len(labels),
        sources=sources,
    )


def _metric_title(cell: Cell) -> str:
    return metrics.lookup(cell.key.metric).title if cell.key.metric else NONE


def _values(cell: Cell, plain: Cell | None, source: str) -> list[str]:
    paper = beside(cell)
    texts = [text_of(cell, usual=0), NOT_RUN if plain is None else text_of(plain, usual=0)]
    if source != "real":
        return texts
    return [*texts, metrics.lookup(cell.key.metric).format(paper.value) if paper else NONE]


def _exact_values(cell: Cell, plain: Cell | None, source: str) -> list[str]:
    paper = beside(cell)
    both = [[exact(one.mean), exact(one.std), str(one.n)] if one else ["", "", "0"] for one in (cell, plain)]
    last = [exact(paper.value) if paper else ""] if source == "real" else []
    return [*both[0], *both[1], *last]


def index(tables: dict[str, list[Table]], found: CellSet, headline: bool) -> str:
    """``results/tables/README.md``: the headline if there is one, every table with its title, and what was left out."""
    parts = [
        "# Tables",
        "Generated by `make tables` from `results/records/` and `results/evidence/`; edit nothing here. "
        "How to read them: [results/README.md](../README.md).",
        "Every number in one file: [all_results.csv](all_results.csv); runs with overrides: "
        "[variants.csv](variants.csv).",
    ]
    if headline:
        parts.append("The headline, gap closed per architecture and domain: [headline.md](headline.md).")
    for profile, written in sorted(tables.items()):
        lines = [f"- [{table.title}]({profile}/{table.name}.md) · {table.subtitle}" for table in written]
        parts.append(f"## Profile {profile}\n\n" + "\n".join(lines))
    if found.stale:
        lines = [f"- {stale}" for stale in found.stale]
        parts.append("## Left out: runs of other settings\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"
