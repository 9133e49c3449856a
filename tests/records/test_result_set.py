"""A results folder read once: what its frame says, by hand, and what a part of it keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchmarks import evidence
from benchmarks.compare.__main__ import main as compare
from benchmarks.records import evidence_manifest
from benchmarks.records.inputs import BadInput
from benchmarks.records.packs import pack
from benchmarks.records.record import iterate_records, write_record
from benchmarks.records.result_set import ResultSet
from tests import REPOSITORY
from tests.datasets.permissions import forbid
from tests.helpers.results_samples import hash_of, record, records, save


def two_methods_and_a_failure():
    """Two runs of bp with two metrics each, one former run of bp, one of dfa that failed before it had its data."""
    good = [record(metrics={"accuracy": value, "valid_accuracy": value + 1}, seed=seed)
            for seed, value in enumerate((80.0, 82.0))]  # fmt: skip
    former = record(10.0, config_hash="old", finished="2024-01-01T00:00:00")
    failed = record(None, method="dfa", source="", status="failed", reason="no file")
    return [*good, former, failed]


def test_the_frame_has_a_row_for_each_run_and_metric(tmp_path):
    """Without it a notebook could show another number than the tables, or lose the runs that failed."""
    frame = ResultSet.load(save(tmp_path, two_methods_and_a_failure())).frame
    columns = ["method", "seed", "status", "metric", "value", "primary", "counts", "data_source", "config_hash"]
    new, old = hash_of(), hash_of("old")
    rows = sorted(frame[columns].fillna(-1.0).itertuples(index=False, name=None))
    assert rows == [
        ("bp", 0, "ok", "accuracy", 10.0, True, False, "real", old),
        ("bp", 0, "ok", "accuracy", 80.0, True, True, "real", new),
        ("bp", 0, "ok", "valid_accuracy", 81.0, False, True, "real", new),
        ("bp", 1, "ok", "accuracy", 82.0, True, True, "real", new),
        ("bp", 1, "ok", "valid_accuracy", 83.0, False, True, "real", new),
        ("dfa", 0, "failed", "accuracy", -1.0, True, False, "real", hash_of(method="dfa")),
    ]
    assert set(frame.steps) == {250} and set(frame.train_seconds) == {2.0} and set(frame.pack) == {""}
    assert set(frame.domain) == {"citation"} and set(frame.dataset) == {"cora"} and set(frame.profile) == {"paper"}


def test_means_of_the_frame_are_those_of_the_cells(tmp_path):
    """Without it ``counts`` could let in what the tables leave out: other settings, divergences, huge numbers."""
    made = [*two_methods_and_a_failure(), record(5.0, 3, status="diverged"), record(1e200, 4)]
    made += [*records([70.0, 71.0], method="dfa", profile="quick", source="stand-in"), record(1.0, variant="a=1")]
    results = ResultSet.load(save(tmp_path, made))
    keys = ["profile", "task", "method", "metric", "variant", "data_source"]
    found = results.frame.query("counts").groupby(keys).value.agg(["mean", "std", "count"])
    cells = {tuple(cell.key): cell for cell in results.cells if cell.n}
    assert set(found.index) == set(cells) and len(cells) == 4
    for key, (mean, std, count) in zip(found.index, found.to_numpy(), strict=True):
        assert (mean, count) == (pytest.approx(cells[key].mean), cells[key].n)
        assert std == pytest.approx(cells[key].std, nan_ok=True)


def test_a_run_is_there_once_with_where_it_was_found(tmp_path):
    """Without it a local rerun and its packed former self would both count, or the page would name the wrong one."""
    packed = records([1.0, 2.0, 3.0])
    pack(packed, tmp_path / "evidence" / "old.jsonl")
    pack([record(9.0, 1, finished="2026-01-01T00:00:00")], tmp_path / "evidence" / "new.jsonl.gz")
    write_record(record(80.0), tmp_path / "records")  # run again
    write_record(packed[2], tmp_path / "records")  # unpacked
    results = ResultSet.load(tmp_path)
    assert [run.record.metrics["accuracy"] for run in results.runs] == [80.0, 9.0, 3.0]
    assert [(run.local, run.pack) for run in results.runs] == [(True, ""), (False, "new.jsonl.gz"), (True, "old.jsonl")]
    assert results.cells[0].values == {0: 80.0, 1: 9.0, 2: 3.0}


def test_a_part_keeps_what_was_decided_over_the_whole(tmp_path):
    """Without it one profile's report would judge a run by other rules than the tables of all profiles."""
    save(tmp_path, [*two_methods_and_a_failure(), *records([5.0], profile="quick"), record(1.0, variant="a=1")])
    whole = ResultSet.load(tmp_path)
    part = whole.select(["paper"], "citation/gcn_*, other/*", variants=False)
    assert {(run.record.profile, run.record.variant) for run in part.runs} == {("paper", "")}
    assert [cell for cell in whole.cells if cell in part.cells] == part.cells and len(part.cells) == 3
    assert {cell.key.data_source for cell in part.cells if cell.key.method == "dfa"} == {"real"}
    assert len(whole.slices) == 2 and [one.profile for one in part.slices] == ["paper"]
    assert whole.select(tasks="citation").runs == whole.runs
    assert whole.select(tasks="criteo/*").runs == () and whole.select().cells == whole.cells


def test_what_cannot_be_read_is_counted_and_an_absent_folder_refused(tmp_path):
    """Without it a folder of damaged files would pass for an empty one, and its tables be emptied."""
    save(tmp_path, [record(80.0)])
    (tmp_path / "records" / "torn.json").write_text("{")
    named = []
    results = ResultSet.load(tmp_path, named.append)
    assert results.left_out == len(named) == 1 and len(results.runs) == 1
    with pytest.raises(ValueError, match=r"nowhere: there is no such folder"):
        ResultSet.load(tmp_path / "nowhere")


def test_the_examples_of_the_readme_run(tmp_path, monkeypatch):
    """Without it the first thing that a user of the frame copies could be out of date."""
    save(tmp_path / "results", [*records([80.0, 82.0]), *records([79.0, 80.0], method="dfa")])
    monkeypatch.chdir(tmp_path)
    section = (REPOSITORY / "results" / "README.md").read_text().split("## In a notebook\n")[1].split("\n## ")[0]
    names: dict[str, Any] = {}
    exec("\n".join(line[4:] for line in section.splitlines() if line.startswith("    ")), names)
    (mean,) = names["means"].itertuples()
    assert (mean.bp, mean.dfa) == (81.0, 79.5)
    (distance,) = names["distance"].itertuples()
    assert (distance.mean, distance.std, distance.count) == (-1.5, pytest.approx(0.5**0.5), 2)


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch, capsys):
    """Its runs were missing in tables, packs and comparisons, which passed, without a word."""
    results = save(tmp_path, [*records([80.0, 81.0]), *records([70.0, 71.0], method="dfa")])
    closed = results / "records" / "paper" / "citation" / "gcn_cora" / "dfa"
    forbid(monkeypatch, closed, 0o000)
    assert compare([str(results), str(results)]) == 2
    file = tmp_path / "file.jsonl"
    assert evidence.main(["pack", str(file), "--records", str(results / "records")]) == 2
    said = capsys.readouterr()
    assert said.err.count(f"{closed}: not readable (Permission denied)") == 2 and "2 records" in said.out


def test_a_link_to_a_folder_is_named(tmp_path, capsys):
    """It is not followed, lest links go in circles: what lies there would be missing, and nobody would know."""
    results = save(tmp_path / "a", records([80.0, 81.0]))
    other = save(tmp_path / "b", records([70.0], profile="quick"))
    (results / "records" / "quick").symlink_to(other / "records" / "quick")
    assert compare([str(results), str(results)]) == 2
    assert "a link to a folder, which is not followed" in capsys.readouterr().err


def test_a_manifest_covers_what_it_can_read_or_is_none(tmp_path, monkeypatch):
    """Of a folder that it could not read the evidence would be left out, and never be missed."""
    (tmp_path / "studies" / "one" / "evidence").mkdir(parents=True)
    pack([record()], tmp_path / "evidence" / "p.jsonl")
    forbid(monkeypatch, tmp_path / "studies" / "one" / "evidence", 0o000)
    with pytest.raises(BadInput, match="Permission denied"):
        evidence_manifest.write(tmp_path)


def test_a_run_that_failed_here_does_not_hide_a_packed_one(tmp_path, capsys):
    """A full disk would take a number away from the tables, and `unpack` would not bring it back."""
    done, other = records([80.0, 81.0])
    results = save(tmp_path, [replace(done, status="failed", metrics={}, reason="no space")])
    pack([done, other], results / "evidence" / "p.jsonl")
    assert ResultSet.load(results).records == [done, other]
    unpacking = ["unpack", str(results / "evidence" / "p.jsonl"), "--records", str(results / "records")]
    assert evidence.main(unpacking) == 0 and "2 records" in capsys.readouterr().out
    assert list(iterate_records(results / "records")) == [done, other]
    assert evidence.main(unpacking) == 0 and "0 records" in capsys.readouterr().out
