"""Alignment's tables: the weight level beside the paper's, and no columns of dashes."""

from __future__ import annotations

import pytest

from benchmarks.catalogue.tables import table_specs
from benchmarks.records.metrics import lookup
from benchmarks.tables.build import build
from tests.helpers.results_samples import record, slice_of

SPEC = {spec.name: spec for spec in table_specs()}
SAMPLES = {"alignment_cosine_mean": 0.71, "alignment_cosine_std": 0.19}
WEIGHTS = {
    "weight_alignment_cosine": 0.9,
    "weight_alignment_cosine_mean": 0.88,
    "weight_alignment_cosine_std": 0.1,
}


def table(name, metrics, source="real", method="dfa", **fields):
    made = record(method=method, metrics={"accuracy": 80.0, **metrics}, source=source, **fields)
    return build(SPEC[name], slice_of([made], "paper", source))


def test_the_weight_level_stands_beside_the_papers_level():
    """Else the two levels would be mixed up, or the paper's number stand beside one that it does not give."""
    built = table("table_a2", SAMPLES | WEIGHTS)
    assert list(built.header)[2:] == [
        *("mean dfa", "paper", "std dfa", "paper"),
        *("weights dfa", "rows' mean dfa", "rows' std dfa"),
    ]
    row = next(row for row in built.rows if row[:2] == ["Cora", "GCN"])
    assert [row[2], row[4], *row[6:]] == ["0.71", "0.19", "0.90", "0.88", "0.10"]
    assert {len(row) for row in built.rows} == {len(built.header)}
    assert {len(row) for row in built.numbers} == {len(built.numbers_header)}


def test_records_from_before_have_no_columns_of_dashes():
    """Else the committed tables would be three columns wider and say nothing more."""
    assert list(table("table_a2", SAMPLES).header)[2:] == ["mean dfa", "paper", "std dfa", "paper"]


@pytest.mark.parametrize(
    ("name", "domain", "architecture", "method"),
    [
        ("alignment_view_synthesis", "view_synthesis", "nerf", "dfa"),
        ("alignment_language", "language", "transformer", "dfa_micro"),
    ],
)
def test_what_the_paper_could_not_measure_has_its_table(name, domain, architecture, method):
    """Else NeRF and the Transformer would have alignments in no table, or beside numbers that are not the paper's."""
    built = table(name, SAMPLES | WEIGHTS, domain=domain, architecture=architecture, method=method)
    assert list(built.header)[2:] == [
        f"{heading} {method}" for heading in ("mean", "std", "weights", "rows' mean", "rows' std")
    ]
    assert built.rows[0][2:] == ["0.71", "0.19", "0.90", "0.88", "0.10"]


def test_every_column_of_a_history_is_a_metric_that_rows_do_not_decide():
    """Else the gate would judge the rows' mean, where one unit's change of sign is worth 2 / rows."""
    for level in ("alignment_cosine", "weight_alignment_cosine"):
        for statistic in ("std", "q05", "q50", "q95"):
            assert lookup(f"{level}_{statistic}/point").sign == 0
    assert lookup("weight_alignment_cosine_mean").sign == 0
    assert lookup("weight_alignment_cosine/point").sign == lookup("alignment_cosine_mean/point").sign == 1
