"""Evidence packs: complete, reproducible, bounded, and honest about damage."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from results_samples import record, records

from benchmarks import evidence
from benchmarks.evidence import pack, read_pack
from benchmarks.records import iterate_records, write_record


def test_a_pack_without_its_configuration_names_file_and_line(tmp_path, capsys):
    path = tmp_path / "p.jsonl"
    pack(records([80.0, 81.0]), path)
    assert [one.config for one in read_pack(path)] == [{"method": "bp"}] * 2
    lines = path.read_text().splitlines()
    assert json.loads(lines[1])["config"] is None
    path.write_text(lines[1] + "\n")
    with pytest.raises(ValueError, match=r"p\.jsonl:1: no earlier line"):
        read_pack(path)


def test_packs_are_reproducible_small_and_never_empty(tmp_path):
    made = records([80.0, 81.0, 82.0])
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        evidence.pack(made if name[0] == "a" else made[::-1], tmp_path / name)
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    assert (tmp_path / "a.jsonl.gz").read_bytes()[4:8] == bytes(4)  # no time stamp
    assert [one.run_id for one in evidence.select(made, "", "criteo/*, citation/gcn*")] == [x.run_id for x in made]
    with pytest.raises(ValueError, match="nothing was written"):
        evidence.pack([], tmp_path / "c.jsonl")
    with pytest.raises(ValueError, match=r"use \.jsonl\.gz or fewer tasks"):
        evidence.pack([record(1.0, reason="x" * evidence.MAX_BYTES)], tmp_path / "c.jsonl")
    assert not (tmp_path / "c.jsonl").exists()


def test_unpacked_records_are_those_that_were_packed(tmp_path):
    """Else a sweep on a fresh clone would run again what the repository holds, or an unpack would undo newer runs."""
    made = records([80.0, 81.0, 82.0])
    evidence.pack(made, tmp_path / "p.jsonl")
    folder = tmp_path / "records"
    newer = replace(made[0], reason="run here")
    write_record(newer, folder)
    assert evidence.main(["unpack", str(tmp_path / "p.jsonl"), "--records", str(folder)]) == 0
    assert list(iterate_records(folder)) == sorted([newer, *made[1:]], key=lambda record: record.run_id)
