"""Tables say what they are as data: no reader has to guess it from a name, a title or a heading."""

from __future__ import annotations

import pytest

from benchmarks.report.grid import grid
from benchmarks.report.provenance import Provenance
from benchmarks.tables.table import Role, TableKind
from benchmarks.tables.terminal import for_terminal
from benchmarks.tables.wandb import typed_rows
from tests.helpers.results_samples import rebuild, record, records, runs, save, tables_of

MADE = (
    *runs([80.0, 81.0], [79.0, 79.5], [36.0, 37.0]),
    *runs([80.0, 81.0], [79.0, 79.5], [36.0, 37.0], source="stand-in", profile="quick"),
    *records([50.0], variant="task.optim.lr=1", config_hash="v"),
)


@pytest.fixture
def tables(tmp_path):
    """The tables of real runs, of stand-ins and of a variant."""
    found = tables_of(save(tmp_path, MADE))
    return [*found.tables, found.headline, found.matrix_table]


def test_every_table_says_what_it_is(tables):
    """Without it the page would sort tables into sections by their titles and file names."""
    apart = (TableKind.HEADLINE, TableKind.MATRIX, TableKind.INFORMATION, TableKind.CLAIMS)
    assert {(table.kind, table.profile, table.source) for table in tables} == {
        *((kind, "paper", "real") for kind in TableKind if kind not in apart),
        *((kind, "quick", "stand-in") for kind in (TableKind.RESULTS, TableKind.GAP, TableKind.COST)),
        (TableKind.HEADLINE, "", ""),
        (TableKind.MATRIX, "", ""),
    }


def test_every_place_has_a_column_and_labels_come_first(tables):
    """Without it a place could stand under another column's heading, or text be sent as a number."""
    for table in tables:
        assert {len(row) for row in (*table.rows, *table.behind)} == {len(table.columns)}, table.name
        assert {len(row) for row in table.numbers} == {len(table.number_columns)}, table.name
        roles = [column.role for column in table.columns]
        assert table.labels and all(role is Role.LABEL for role in roles[: table.labels]), table.name
        assert all(roles[place - 1] is Role.VALUE for place, role in enumerate(roles) if role is Role.PAPER)


def test_published_numbers_are_told_by_role(tables):
    """Without it nobody could tell which numbers are the paper's but by the heading."""
    (table,) = [one for one in tables if one.name == "table_3"]
    found = [(column.role, column.metric, column.method) for column in table.columns[2:]]
    assert found == [(role, "accuracy", name) for name in ("bp", "dfa") for role in (Role.VALUE, Role.PAPER)]
    parts = [column.part for column in table.number_columns if column.role is Role.VALUE]
    assert parts == ["mean", "std", "n"] * 2
    standins = [one for one in tables if one.source == "stand-in"]
    assert standins and not any(column.role is Role.PAPER for one in standins for column in one.columns)


def test_a_method_called_paper_is_a_method(tmp_path):
    """Without it its numbers would be shown as published ones: the heading alone said what a column is."""
    found = tables_of(save(tmp_path, [record(80.0), record(33.0, method="paper")]))
    (table,) = [one for one in found.tables if one.name == "overview_citation"]
    assert [column.role for column in table.columns if column.method == "paper"] == [Role.VALUE, Role.PAPER]
    page = grid(table, Provenance(found.results.runs))
    assert [one.paper for one in page.headings if one.text == "paper"] == [
        column.role is Role.PAPER for column in table.columns if column.heading == "paper"
    ]
    headings = [str(column.header) for column in for_terminal(table).columns]
    assert headings[2:] == [f"{name} | paper" for name in dict.fromkeys(c.method for c in table.columns[2:])]


def test_a_method_called_by_a_number_stays_a_name(tmp_path):
    """Without it a column of names would be sent as numbers where all of them happen to read like some."""
    made = runs([80.0, 81.0], [79.0, 79.5], [36.0, 37.0], method="007")
    (table,) = [one for one in tables_of(save(tmp_path, made)).tables if one.kind is TableKind.GAP]
    assert [row[2] for row in typed_rows(table)] == ["007"]
    assert all(isinstance(value, float) for value in typed_rows(table)[0][6:8])


def test_a_source_is_marked_once_and_only_where_it_is_generated(tables):
    """Without it a page or a LaTeX caption would carry Markdown's stars, or a real table a stand-in's warning."""
    for table in tables:
        assert "*" not in table.subtitle
        assert grid(table, Provenance([])).standin == (table.source == "stand-in")


def test_former_tables_of_every_kind_and_source_disappear(tmp_path):
    """Without it tables of stand-ins that are gone would stay beside the real ones."""
    save(tmp_path, MADE)
    written = rebuild(tmp_path)
    for path in (tmp_path / "records").rglob("*.json"):
        path.unlink()
    rebuild(tmp_path)
    left = {path.name for path in written if path.exists()}
    assert left == {"README.md", "all_results.csv", "variants.csv"} and len(written) > 20
