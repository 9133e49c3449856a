"""Moments: the newest run is the one that finished last, however its time is written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.records.aggregation import aggregate
from benchmarks.records.inputs import BadInput
from benchmarks.records.moments import moment_of
from benchmarks.records.packs import pack
from benchmarks.records.record import read_record, write_record
from benchmarks.records.result_set import ResultSet
from benchmarks.tables import task_row
from tests.helpers.results_samples import record, save

#: Each earlier than the next; as texts, each is the larger one.
PAIRS = [
    ("2026-01-02T01:00:00+00:00", "2026-01-01T23:30:00-05:00"),  # 04:30 in UTC
    ("2026-01-02T09:00:00+09:00", "2026-01-02T00:00:01Z"),
    ("2026-01-02T01:00Z", "2026-01-02T01:00:30Z"),
    ("2026-01-02T01:00:00Z", "2026-01-02T01:00:00.5+00:00"),
    ("2026-01-02T02:00:00+02:00", "2026-01-02T01:00:00"),
]


@pytest.mark.parametrize(("earlier", "later"), PAIRS)
def test_the_newest_settings_are_those_that_were_run_last(tmp_path, earlier, later):
    """Texts were compared: a run of former settings, in another time zone, counted in place of the newest."""
    made = [record(10.0, finished=earlier, config_hash="old"), record(90.0, finished=later, config_hash="new")]
    for order in (made, made[::-1]):
        assert [cell.mean for cell in aggregate(order).cells] == [90.0]
    by_source = [record(10.0, finished=earlier), record(90.0, finished=later, source="stand-in", config_hash="b")]
    assert "90.0" in task_row(save(tmp_path, by_source), "paper", "citation/gcn_cora")


@pytest.mark.parametrize(("earlier", "later"), PAIRS)
def test_of_two_packs_the_later_run_counts(tmp_path, earlier, later):
    for name, finished, value in (("a", later, 90.0), ("b", earlier, 10.0)):
        pack([record(value, finished=finished)], tmp_path / "evidence" / f"{name}.jsonl")
    assert ResultSet.load(tmp_path).cells[0].mean == 90.0


@pytest.mark.parametrize(
    "text",
    [
        *("9999-99-99", "2026-02-30", "2026-01-01T24:61:00", "2026-01-01T10:00:00+99:99", "2026-01-01 10:00:00"),
        *("2026-01", "20260101", "2026-W01-1", "\u0662\u0660\u0662\u0666-01-01", "0001-01-01T00:00+05:00", "now"),
    ],
)
def test_what_is_no_date_is_no_record(tmp_path, text):
    """A date that does not exist counted as the newest of all."""
    path = write_record(record(finished="2026-01-01"), tmp_path)
    path.write_text(path.read_text().replace('"2026-01-01"', f'"{text}"'))
    with pytest.raises(BadInput, match=r"not a readable record \(finished: .* is no date"):
        read_record(path)


@given(st.datetimes(datetime(1900, 1, 1), datetime(9000, 1, 1)), st.integers(-1439, 1439))
def test_a_moment_is_the_same_in_every_time_zone(moment: datetime, minutes: int):
    moment = moment.replace(tzinfo=UTC)
    there = moment.astimezone(timezone(timedelta(minutes=minutes)))
    assert moment_of(there.isoformat()) == moment == moment_of(moment.replace(tzinfo=None).isoformat())
    assert moment_of("") < moment
