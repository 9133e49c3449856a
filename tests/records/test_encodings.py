"""Files that an editor on another system has saved: the encoding is named, once a file."""

from __future__ import annotations

import pytest

from benchmarks.history.file import read
from benchmarks.records.baseline_file import read_baseline
from benchmarks.records.packs import pack, read_pack
from benchmarks.records.record import read_record, write_record
from tests.helpers.results_samples import record, records

SAVED_AS = [
    ("utf-16", "UTF-16"),
    ("utf-16-le", "UTF-16"),
    ("utf-16-be", "UTF-16"),
    ("utf-32", "UTF-32"),
    ("utf-8-sig", "UTF-8 with a byte order mark"),
]


@pytest.mark.parametrize(("encoding", "name"), SAVED_AS)
def test_a_record_in_another_encoding_is_named(encoding, name, tmp_path):
    path = write_record(record(), tmp_path)
    path.write_bytes(path.read_text().encode(encoding))
    with pytest.raises(ValueError, match=rf"saved as {name}; save it as UTF-8 without a byte order mark"):
        read_record(path)


@pytest.mark.parametrize(("encoding", "name"), SAVED_AS)
def test_a_pack_and_a_history_in_another_encoding_are_named_once(encoding, name, tmp_path):
    """Each of its lines was named, as \"expected value at line 1 column 1\"."""
    path = tmp_path / "mine.jsonl"
    pack(records([80.0] * 3), path)
    path.write_bytes(path.read_text().encode(encoding))
    for reader in (read_pack, read):
        found = []
        reader(path, found.append)
        (said,) = map(str, found)
        assert f"{path}: saved as {name}; save it as UTF-8" in said


def test_a_baseline_that_is_not_utf_8_is_named(tmp_path):
    path = tmp_path / "smoke.json"
    path.write_bytes('{"schema": "é"}'.encode("latin-1"))
    with pytest.raises(ValueError, match="not UTF-8 at byte 12; save it as UTF-8"):
        read_baseline(path)


def test_a_damaged_byte_costs_its_own_line_alone(tmp_path):
    path = tmp_path / "mine.jsonl"
    pack(records([80.0] * 3), path)
    first, second, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second.replace(b"80", b"8\xff", 1) + third)
    found = []
    assert len(read_pack(path, found.append)) == 2
    (said,) = map(str, found)
    assert f"{path}:2: not a readable record (not UTF-8 at byte" in said
