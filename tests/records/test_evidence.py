"""Evidence packs and the histories in them: complete, reproducible, bounded, and honest about damage."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import evidence
from benchmarks.records import packs, run_history
from benchmarks.records.packs import pack, read_entries, read_pack
from benchmarks.records.record import iterate_records, write_record
from benchmarks.records.result_set import ResultSet
from benchmarks.records.run_history import read_history, thin
from tests.helpers.results_samples import record, records
from tests.records.meanwhile import both_rewrite


def test_a_pack_without_its_configuration_names_file_and_line(tmp_path, capsys):
    path = tmp_path / "p.jsonl"
    pack(records([80.0, 81.0]), path)
    assert [one.config for one in read_pack(path)] == [{"method": "bp"}] * 2
    lines = path.read_text().splitlines()
    assert json.loads(lines[1])["config"] is None
    path.write_text(lines[1] + "\n")
    with pytest.raises(ValueError, match=r"p\.jsonl:1: .*no earlier line has configuration"):
        read_pack(path)


def test_packs_are_reproducible_small_and_never_empty(tmp_path):
    made = records([80.0, 81.0, 82.0])
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        packs.pack(made if name[0] == "a" else made[::-1], tmp_path / name)
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    assert (tmp_path / "a.jsonl.gz").read_bytes()[4:8] == bytes(4)  # no time stamp
    assert [one.run_id for one in packs.select(made, "", "criteo/*, citation/gcn*")] == [x.run_id for x in made]
    assert packs.select(made, "", "citation") == packs.select(made, "", "citation/") == made  # a folder, as in a sweep
    with pytest.raises(ValueError, match="nothing was written"):
        packs.pack([], tmp_path / "c.jsonl")
    with pytest.raises(ValueError, match=r"use \.jsonl\.gz or fewer tasks"):
        packs.pack([record(1.0, reason="x" * packs.MAX_BYTES)], tmp_path / "c.jsonl")
    assert not (tmp_path / "c.jsonl").exists()


def test_unpacked_records_are_those_that_were_packed(tmp_path):
    """Else a sweep on a fresh clone would run again what the repository holds, or an unpack would undo newer runs."""
    made = records([80.0, 81.0, 82.0])
    packs.pack(made, tmp_path / "p.jsonl")
    folder = tmp_path / "records"
    newer = replace(made[0], reason="run here")
    write_record(newer, folder)
    assert evidence.main(["unpack", str(tmp_path / "p.jsonl"), "--records", str(folder)]) == 0
    assert list(iterate_records(folder)) == sorted([newer, *made[1:]], key=lambda record: record.run_id)


HISTORY = """step,epoch,train_loss,lr,valid_accuracy,alignment_cosine_mean/point,train_seconds
1234565,1,1.94579,0.01,30,,0.0123
1234567,2,nan,1e-05,,0.123456,1.015
"""
PACKED = {
    "columns": HISTORY.splitlines()[0].split(","),
    "rows": [[1234565, 1, 1.9458, 0.01, 30, None, 0.0123], [1234567, 2, None, 1e-05, None, 0.12346, 1.015]],
}
RESTORED = HISTORY.replace("1.94579", "1.9458").replace("nan", "").replace("0.123456", "0.12346")


def test_what_is_no_pack_is_not_unpacked(tmp_path, capsys):
    """Every line of a README was called damaged."""
    (tmp_path / "README.md").write_text("a\nb\n")
    assert evidence.main(["unpack", str(tmp_path / "README.md"), "--records", str(tmp_path / "records")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def kept(folder, made, text=HISTORY):
    """``made`` written as a record with its history beside it."""
    path = write_record(made, folder).with_suffix(".csv")
    path.write_text(text)
    return path


def numbered(rows, aligned=()):
    """A history whose steps are its row numbers, with alignment in the rows ``aligned``."""
    return "step,alignment_cosine_mean/point\n" + "".join(f"{row},{'.5' * (row in aligned)}\n" for row in range(rows))


def test_a_history_is_read_as_numbers_and_gaps(tmp_path):
    """Else a row without alignment would draw a cosine of 0, or shift its neighbours' columns."""
    found = read_history(kept(tmp_path, record()))
    assert found.column("step").tolist() == [1234565, 1234567] and found.points == ("point",)
    assert np.isnan(found.column("alignment_cosine_mean/point")).tolist() == [True, False]
    assert np.isnan(found.column("valid_psnr")).all() and len(found.column("valid_psnr")) == 2
    (tmp_path / "empty.csv").write_text("")
    assert len(read_history(tmp_path / "empty.csv")) == 0


@pytest.mark.parametrize(
    ("rows", "aligned", "most", "left"),
    [
        (11, (3, 6, 9), 5, [0, 3, 6, 9, 10]),
        (11, (3, 6, 9), 3, [0, 6, 10]),
        (11, (3, 6, 9), 7, [0, 2, 3, 6, 7, 9, 10]),  # the others are 1 2 4 5 7 8: a middle one of each half
        (11, (0, 10), 2, [0, 10]),
        (11, (), 5, [0, 2, 5, 8, 10]),
        (4, (1,), 4, [0, 1, 2, 3]),
        (1, (), 2, [0]),
    ],
)
def test_thinning_keeps_the_ends_and_the_alignment(tmp_path, rows, aligned, most, left):
    """Else a packed run would lose its last value, or most of its rare alignment rows."""
    whole = read_history(kept(tmp_path, record(), numbered(rows, aligned)))
    assert thin(whole, most).column("step").tolist() == left


def test_a_pack_holds_histories_on_request_only(tmp_path, capsys):
    """Else the curves could not be redrawn from the repository, or every pack would grow."""
    with_history, without = records([80.0, 81.0])
    kept(tmp_path / "records", with_history)
    write_record(without, tmp_path / "records")
    for name, options in (("plain.jsonl", []), ("full.jsonl", ["--histories", "100"])):
        command = ["pack", str(tmp_path / name), "--records", str(tmp_path / "records"), *options]
        assert evidence.main(command) == 0
    assert "2 records, 1 histories" in capsys.readouterr().out
    plain, full = (
        [json.loads(line) for line in (tmp_path / n).read_text().splitlines()] for n in ("plain.jsonl", "full.jsonl")
    )
    assert full[0].pop("history") == PACKED and full == plain  # a history is all that is new
    assert read_pack(tmp_path / "full.jsonl") == read_pack(tmp_path / "plain.jsonl") == [with_history, without]
    assert [entry.history is None for entry in read_entries(tmp_path / "full.jsonl")] == [False, True]
    assert evidence.main(["unpack", str(tmp_path / "full.jsonl"), "--records", str(tmp_path / "back")]) == 0
    assert (tmp_path / "back" / f"{with_history.run_id}.csv").read_text() == RESTORED
    assert len([*(tmp_path / "back").rglob("*.csv")]) == 1


def test_adding_keeps_the_histories_of_a_pack(tmp_path):
    """Unpacked, one seed added, packed again: the published curves of the others would be gone."""
    first, second, new = made = records([80.0, 81.0, 82.0])
    source, file = tmp_path / "source", tmp_path / "p.jsonl"
    for one in made[:2]:
        kept(source, one, numbered(3))
    pack(made[:2], file, run_history.local_histories(made[:2], source))
    assert evidence.main(["unpack", str(file), "--records", str(tmp_path / "records")]) == 0
    write_record(new, tmp_path / "records")
    repeated = replace(second, train_seconds=second.train_seconds + 1)
    write_record(repeated, tmp_path / "records")
    assert evidence.main(["pack", "--add", str(file), "--records", str(tmp_path / "records")]) == 0
    found = {entry.record.run_id: entry for entry in read_entries(file)}
    assert set(found) == {one.run_id for one in made} and found[second.run_id].record == repeated
    assert [found[one.run_id].history is None for one in (first, repeated, new)] == [False, True, True]


def test_a_run_that_failed_here_does_not_replace_a_packed_one(tmp_path, capsys):
    """A published number would be gone because a disk was full when somebody ran it again."""
    made = records([80.0, 81.0, 82.0])
    file = tmp_path / "p.jsonl"
    pack(made[:2], file)
    for one in made[1:]:
        write_record(replace(one, status="failed", metrics={}, reason="no space"), tmp_path / "records")
    assert evidence.main(["pack", "--add", str(file), "--records", str(tmp_path / "records")]) == 0
    assert [one.status for one in read_pack(file)] == ["ok", "ok", "failed"]
    assert evidence.main(["pack", "--add", str(file), "--records", str(tmp_path / "record")]) == 2
    assert "record: there is no such folder" in capsys.readouterr().err


def test_commands_that_add_to_a_pack_at_the_same_time_both_do(tmp_path, monkeypatch):
    file = tmp_path / "p.jsonl"
    first, *added = records([80.0, 81.0, 82.0])
    pack([first], file)
    for one in added:
        write_record(one, tmp_path / f"of_seed_{one.seed}")

    def add(seed: int) -> None:
        assert evidence.main(["pack", "--add", str(file), "--records", str(tmp_path / f"of_seed_{seed}")]) == 0

    both_rewrite(monkeypatch, evidence, "read_entries", lambda: add(1), lambda: add(2))
    assert [one.seed for one in read_pack(file)] == [0, 1, 2]


@pytest.mark.parametrize("damage", ["a torn line", "a torn archive"])
def test_nothing_is_added_to_a_pack_that_cannot_be_read(tmp_path, capsys, damage):
    """What could not be read would be lost for good."""
    made = records([80.0, 81.0, 82.0])
    file = tmp_path / ("p.jsonl.gz" if damage == "a torn archive" else "p.jsonl")
    pack(made[:2], file)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2 * 2 - 30])
    before = file.read_bytes()
    write_record(made[2], tmp_path / "records")
    assert evidence.main(["pack", "--add", str(file), "--records", str(tmp_path / "records")]) == 2
    assert file.read_bytes() == before and "not " in capsys.readouterr().err


def test_a_history_goes_with_its_own_record(tmp_path):
    """Else a curve would show one run under the number of another, or of a run that is still going on."""
    repeated, unfinished, local, unpacked = made = records([80.0, 81.0, 82.0, 83.0])
    source = tmp_path / "source"
    for one in made:
        kept(source, one, numbered(3))
    packed = run_history.local_histories(made, source)
    (tmp_path / "evidence").mkdir()
    pack(made, tmp_path / "evidence" / "p.jsonl", packed)
    folder = tmp_path / "records"
    write_record(replace(repeated, finished="2026-01-01T00:00:00"), folder)  # run again, its history deleted
    kept(folder, unfinished, numbered(1)).with_suffix(".json").unlink()
    kept(folder, local, numbered(2))
    write_record(unpacked, folder)  # from a former pack, without its history
    found = ResultSet.load(tmp_path).histories
    assert {run: len(history) for run, history in found.items()} == {
        unfinished.run_id: 3,
        local.run_id: 2,
        unpacked.run_id: 3,
    }


@pytest.mark.parametrize(
    "text",
    [
        "step,lr\n1,0.1\n2\n",
        "step,lr\n1,fast\n",
        "step,lr\n2,1\n1,1\n",
        "step,lr\n,1\n",
        "epoch,lr\n1,1\n",
        "step\n\0\n",
    ],
)
def test_a_damaged_history_names_its_file(tmp_path, text, capsys):
    """Else a torn file would shift columns, end in a traceback, or keep a thousand others out of a pack."""
    path = kept(tmp_path / "records", record(), text)
    packed = tmp_path / "p.jsonl"
    command = ["pack", str(packed), "--records", str(tmp_path / "records"), "--histories", "9"]
    assert evidence.main(command) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"{path}: not a readable history (") and error.count("\n") == 1
    (entry,) = read_entries(packed)
    assert entry.record == record() and entry.history is None
    assert evidence.main([*command[:-1], "1"]) == 2 and "--histories 1: choose 2 or more" in capsys.readouterr().err


def test_a_torn_history_of_a_failed_run_stops_nothing(tmp_path):
    """Else one run that failed would block curves, report and gate of all others."""
    good, failed = records([80.0, 81.0])
    kept(tmp_path / "records", good, numbered(3))
    kept(tmp_path / "records", replace(failed, status="failed"), "step,lr\n1,0.1\n2\n")
    assert list(ResultSet.load(tmp_path).histories) == [good.run_id]
    command = ["pack", str(tmp_path / "p.jsonl"), "--records", str(tmp_path / "records"), "--histories", "9"]
    assert evidence.main(command) == 0


def test_a_pack_that_does_not_fit_the_disk_leaves_nothing(tmp_path, monkeypatch):
    """Else a temporary file would lie in the folder that is committed."""

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        pack(records([80.0]), tmp_path / "p.jsonl.gz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "history", [{}, [], {"columns": ["step"], "rows": [[1, 2]]}, {"columns": ["lr"], "rows": [[1]]}]
)
def test_a_damaged_history_in_a_pack_names_the_line(tmp_path, history):
    """Else it would read as a missing configuration, or as no history at all."""
    path = tmp_path / "p.jsonl"
    pack([record()], path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"history": history}))
    with pytest.raises(ValueError, match=r"p\.jsonl:1: not a readable record"):
        read_pack(path)
