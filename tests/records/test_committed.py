"""Committed evidence, baseline and history: what the schema of files from outside must go on admitting."""

from __future__ import annotations

import gzip
import json

import pytest

from benchmarks.history import file
from benchmarks.records.baseline_file import read_baseline, write_baseline
from benchmarks.records.packs import is_pack, pack, read_entries
from tests import REPOSITORY

RESULTS = REPOSITORY / "results" / "published"
PACKS = sorted(path for path in (RESULTS / "evidence").rglob("*") if is_pack(path))
#: What the first records did not have.
ADDED_LATER = {"alignment_seconds": 0.0, "artefacts": []}


def test_there_are_packs():
    """Without it the tests below could pass on nothing."""
    assert len(PACKS) >= 8


@pytest.mark.parametrize("path", PACKS, ids=lambda path: path.name)
def test_every_committed_record_passes_and_packs_to_the_same_bytes(tmp_path, path):
    """Without it a stricter schema, or a number that it converts, would change or lose runs that tables rest on."""
    entries = read_entries(path)
    histories = {entry.record.run_id: entry.history for entry in entries if entry.history is not None}
    pack((entry.record for entry in entries), tmp_path / path.name, histories)
    before, after = (_lines(folder / path.name) for folder in (path.parent, tmp_path))
    assert after == [ADDED_LATER | line for line in before]
    if all(ADDED_LATER.keys() <= line.keys() for line in before):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def _lines(path):
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in content.splitlines()]


def test_the_committed_baseline_and_history_pass_and_are_written_to_the_same_bytes(tmp_path):
    """Without it the gate would refuse what `make baseline` wrote, or the trend lose landings."""
    baseline, history = RESULTS / "baselines" / "smoke.json", RESULTS / "history" / "smoke.jsonl"
    count = write_baseline(read_baseline(baseline), tmp_path / "b.json")
    number = f'"count":{count},'.encode()  # the first baselines do not have it
    assert (tmp_path / "b.json").read_bytes().replace(number, b"") == baseline.read_bytes().replace(number, b"")
    file.write(tmp_path / "h.jsonl", file.read(history))
    assert (tmp_path / "h.jsonl").read_bytes() == history.read_bytes()
