"""`python -m benchmarks.evidence verify`: whether published numbers are those of the records."""

from __future__ import annotations

import json
import shutil

import pytest

from benchmarks import evidence
from benchmarks.studies.discovery import studies
from benchmarks.studies.files import findings_of, write
from benchmarks.tables.__main__ import main as tables
from tests import REPOSITORY

PUBLISHED = REPOSITORY / "results" / "published"
PACK = "evidence/citation_paper.jsonl"
STUDY = "studies/optics/evidence/long.jsonl.gz"


@pytest.fixture
def copy(folder):
    """Two packs and one file of what a study computed, their tables and manifest, in a folder of their own."""
    published = folder / "results" / "published"
    computed = next((PUBLISHED / "studies").glob("*/computed/*.json")).relative_to(PUBLISHED).as_posix()
    for name in (PACK, STUDY, computed):
        (published / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PUBLISHED / name, published / name)
    evidence.main(["manifest"])
    assert tables(["--results", str(published)]) == 0
    return published


def changed(path, change):
    """The first line of a pack, changed."""
    lines = path.read_text().splitlines()
    values = json.loads(lines[0])
    change(values)
    path.write_text("\n".join([json.dumps(values), *lines[1:]]) + "\n")


def test_what_is_committed_is_verified(capsys):
    """A pack, or a table, that was changed by hand would be published as what was measured."""
    assert evidence.main(["verify", "--results", str(PUBLISHED)]) == 0, capsys.readouterr().out
    assert "records in" in capsys.readouterr().out


def test_what_was_just_written_is_verified(copy, capsys):
    assert evidence.main(["verify"]) == 0, capsys.readouterr().out
    assert "in 2 packs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda at: (at / STUDY).unlink(), f"{STUDY}: is missing"),
        (lambda at: shutil.copy(at / STUDY, at / "evidence" / "more.jsonl.gz"), "more.jsonl.gz: is not in SHA256SUMS"),
        (lambda at: (at / STUDY).write_bytes((PUBLISHED / STUDY).read_bytes() + b"\0"), "is not what SHA256SUMS says"),
    ],
)
def test_files_are_those_of_the_manifest(copy, capsys, break_it, said):
    """Without it evidence could vanish, or arrive, in a commit about something else."""
    break_it(copy)
    assert evidence.main(["verify"]) == 1
    assert said in capsys.readouterr().out


def test_a_number_changed_with_its_manifest_shows_in_the_tables(copy, capsys):
    """The manifest is as easily rewritten as a pack."""
    changed(copy / PACK, lambda values: values["metrics"].update({"accuracy": 99.0}))
    evidence.main(["manifest"])
    assert evidence.main(["verify"]) == 1
    assert "is not what the evidence gives" in capsys.readouterr().out


def test_a_setting_changed_with_its_manifest_shows_in_the_hash(copy, capsys):
    """A run of other settings must not pass for one of these."""
    changed(copy / PACK, lambda values: values["config"]["task"]["optim"].update({"lr": 123.0}))
    evidence.main(["manifest"])
    assert evidence.main(["verify"]) == 1
    assert "its hash is not that of its settings" in capsys.readouterr().out


def test_a_field_changed_with_its_manifest_and_tables_is_not_what_the_settings_say(copy, capsys):
    """The hash is of the settings alone: a stand-in's number could be called real."""
    changed(copy / PACK, lambda values: values["data"].update({"source": "stand-in"}))
    evidence.main(["manifest"])
    tables(["--results", str(copy)])
    assert evidence.main(["verify"]) == 1
    assert "data.source is 'stand-in', and 'real' in its settings" in capsys.readouterr().out


def test_a_number_that_no_run_has_is_told(copy, capsys):
    """Manifest and tables agree with it."""
    changed(copy / PACK, lambda values: values["metrics"].update({"accuracy": 200.0}))
    evidence.main(["manifest"])
    tables(["--results", str(copy)])
    assert evidence.main(["verify"]) == 1
    assert "accuracy is 200, and it lies from 0 to 100" in capsys.readouterr().out


def test_a_pack_that_cannot_be_read_is_told_once(copy, capsys):
    """And settings that are none have no hash; neither is a traceback."""
    (copy / PACK).write_text('{"half a line\n')
    assert evidence.main(["verify"]) == 1
    said = capsys.readouterr()
    assert said.err.count(f"{PACK}:1") == 1 and "is not what the evidence gives" in said.out


@pytest.mark.parametrize("name", [PACK, STUDY])
@pytest.mark.parametrize("damage", ["cut", "emptied"])
def test_a_damaged_pack_gets_no_hash(copy, capsys, name, damage):
    """Its damage would be certified: `verify` finds what the manifest says."""
    content, before = (copy / name).read_bytes(), (copy / "SHA256SUMS").read_bytes()
    (copy / name).write_bytes(content[: len(content) // 2 - 7] if damage == "cut" else b"")
    assert evidence.main(["manifest"]) == 2
    said = capsys.readouterr().err
    assert name in said and said.count("\n") == 1 and (copy / "SHA256SUMS").read_bytes() == before


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_file_has_one_line_in_the_manifest(copy, capsys, place):
    """Of two the last one counted, whatever the other said."""
    text = (copy / "SHA256SUMS").read_text()
    other = f"{'0' * 64}  {PACK}\n"
    (copy / "SHA256SUMS").write_text(other + text if place == "before" else text + other)
    assert evidence.main(["verify"]) == 1
    assert f"{PACK}: SHA256SUMS has 2 lines for it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("studies.csv", "studies.csv: optics at profile long is not what the evidence gives"),
        ("studies/optics_optics.csv", "optics_optics.csv is not what the evidence gives"),
    ],
)
def test_a_verdict_changed_by_hand_is_not_what_the_packs_give(copy, capsys, file, told):
    """A study's numbers are as public as those of the domains."""
    optics = studies()["optics"]
    write(optics, optics.conclude(findings_of(optics, "long", copy)), "long", copy)
    assert evidence.main(["verify"]) == 0, capsys.readouterr().out
    path = copy / "tables" / file
    path.write_text(path.read_text().replace("MNIST", "Fashion-MNIST").replace(",shown,", ",not shown,"))
    assert evidence.main(["verify"]) == 1
    assert told in capsys.readouterr().out


def test_publishing_reads_the_packs_first_and_verifies_at_the_end():
    """A table would be rewritten without what a damaged pack held, and nobody would have looked at the whole."""
    text = (REPOSITORY / "Makefile").read_text()
    recipe = text.partition("\npublish:")[2].partition("\n\n")[0].splitlines()[1:]
    commands = [line.partition("benchmarks.")[2].split(" --")[0].rstrip(")") for line in recipe]
    assert [command.split("$")[0].strip() for command in commands] == [
        *("evidence pack", "evidence manifest", "tables", "curves", "report", "evidence verify")
    ]


def test_without_a_manifest_it_is_one_line(copy, capsys):
    (copy / "SHA256SUMS").unlink()
    assert evidence.main(["verify"]) == 2
    assert "python -m benchmarks.evidence manifest" in capsys.readouterr().err


def test_a_folder_without_evidence_gets_no_manifest(folder, capsys):
    """A mistyped folder would be made, and verified."""
    assert evidence.main(["manifest", "--results", "nowhere"]) == 2
    assert "nowhere: holds no evidence" in capsys.readouterr().err and not (folder / "nowhere").exists()


def test_a_manifest_of_another_kind_is_told_line_by_line(copy, capsys):
    """What somebody sends may be no manifest, and hold characters that a terminal obeys."""
    (copy / "SHA256SUMS").write_bytes(b"\xff\x00 nonsense\n0  ../x\x1b[2J\n")
    assert evidence.main(["verify"]) == 1
    out = capsys.readouterr().out
    assert "is missing" in out and "is not in SHA256SUMS" in out and "\x1b" not in out
