"""What killed processes leave in a results folder."""

from __future__ import annotations

import os
import time

import pytest

from benchmarks.records import evidence_manifest, paths
from benchmarks.records.packs import pack
from benchmarks.records.unfinished import unfinished
from tests.helpers.results_samples import records


@pytest.mark.parametrize("part", [paths.records, paths.work, paths.tables, paths.evidence])
@pytest.mark.parametrize("top", [lambda results: results, paths.published])
def test_abandoned_files_go_when_a_results_folder_is_made(part, top, tmp_path):
    folder = part(top(tmp_path)) / "smoke"
    folder.mkdir(parents=True)
    old, new, other = unfinished(folder / "a.json"), unfinished(folder / "b.json"), folder / ".of_others.tmp"
    for path in (old, new, other):
        path.write_text("{")
    for path in (old, other):
        os.utime(path, (time.time() - 7200,) * 2)
    paths.make(tmp_path)
    assert sorted(folder.iterdir()) == sorted([new, other])


def test_the_manifest_lists_no_unfinished_file(tmp_path):
    """A pack whose write was killed would be published evidence."""
    path = paths.evidence(tmp_path) / "mine.jsonl"
    pack(records([80.0] * 3), path)
    unfinished(path).write_text("{")
    assert evidence_manifest.files(tmp_path) == [path]
