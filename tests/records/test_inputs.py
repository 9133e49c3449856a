"""Files from outside: each that is bad is named by file, line and field, and stops none of the others."""

from __future__ import annotations

import gzip
import json
import math
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from benchmarks import evidence
from benchmarks.compare.__main__ import main as compare
from benchmarks.records import inputs
from benchmarks.records.aggregation import aggregate
from benchmarks.records.inputs import BadInput, LeftOut, read_bytes
from benchmarks.records.packs import pack, read_entries, read_pack
from benchmarks.records.record import iterate_records, read_record, write_record
from benchmarks.records.result_set import ResultSet
from benchmarks.report.__main__ import main as report
from benchmarks.tables.__main__ import main as tables
from tests.helpers.report_samples import POINTS
from tests.helpers.results_samples import hash_of, record, records, save


def written(folder: Path, **changed: object) -> Path:
    """A record's file with some of its fields replaced."""
    path = write_record(record(alignment={"points": POINTS}), folder)
    path.write_text(json.dumps(asdict(record(alignment={"points": POINTS})) | changed))
    return path


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("task", "../../x", "'..' is no name"),
        ("profile", "/etc", "it may have no slash"),
        ("method", "", "an empty name"),
        ("artefacts", ["../x.png"], "artefacts.0: '../x.png' is no name: for artefact"),
        ("data", {"source": "a/b"}, "data.source: "),
        ("config_hash", "../../x", "no hash"),
        ("seed", True, "seed: "),
        ("seed", 2**31, "no seed"),
        ("seed", "0", "valid integer"),
        ("status", "fine", "status: must be 'ok', 'diverged', 'failed' or 'skipped', found 'fine'"),
        ("metrics", {"accuracy": "80"}, "metrics.accuracy: must be a valid number, found '80'"),
        ("metrics", {"accuracy": True}, "metrics.accuracy: "),
        ("metrics", {"../x": 1.0}, "metrics"),
        ("metrics", [], "metrics: must be"),
        ("metrics", {"accuracy/\x1b]0;x\x07": 1.0}, "is not one line of plain text"),
        ("metrics", {"accuracy/\u202eevil": 1.0}, "is not one line of plain text"),
        ("primary_metric", "accuracy/\x9b2J", "primary_metric"),
        ("primary_metric", None, "primary_metric"),
        ("train_seconds", -1, "greater than or equal to 0"),
        ("train_seconds", 1e300, "less than or equal to"),
        ("budget", {"steps": 1.5}, "budget.steps"),
        ("parameters", 10**30, "parameters"),
        ("alignment", {"points": {"a": {"mean": 0.1}}}, "alignment.points.a."),
        ("alignment", {"points": [1]}, "alignment.points"),
        ("config", None, "config: "),
        ("config", {"task": "x"}, "config: task must be an object, found 'x'"),
        ("config", {"task": [1]}, "config: task must be an object, found [1]"),
        ("config", {"task": None}, "config: task must be an object, found None"),
        ("config", {"task": {"epochs": [1]}}, "config: task.epochs must be a whole number, found [1]"),
        ("config", {"task": {"steps": "many"}}, "config: task.steps must be a whole number, found 'many'"),
        ("config", {"a": [[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]}, "levels of lists"),
        ("variant", "a\nb", "not one line"),
        ("finished", "yesterday", "finished"),
        ("code", {"commit": 3}, "code.commit"),
        ("schema", 2, "schema: 2, and this version reads 1"),
        ("schema", True, "schema: True"),
        ("surprise", 1, "surprise: unknown field"),
    ],
)
def test_the_field_is_named_and_what_was_expected(tmp_path, field, value, words):
    """Without it a wrong value would be noticed deep in a table, by an exception that names no file."""
    path = written(tmp_path, **{field: value})
    with pytest.raises(BadInput) as found:
        read_record(path)
    assert str(found.value).startswith(f"{path}: not a readable record (") and words in str(found.value)
    assert "\n" not in str(found.value)


def test_the_widest_spread_of_cosines_is_a_record_s(tmp_path):
    """Without it a run whose two weight rows point to and fro could be written, and not be read again."""
    cosines = torch.tensor([1.0, -1.0])
    points = {"a": {**next(iter(POINTS.values())), "std": cosines.std().item(), "mean": 0.0}}
    assert read_record(write_record(record(alignment={"points": points}), tmp_path)).alignment["points"] == points


def test_the_gradients_of_a_diverging_training_are_a_record_s(tmp_path):
    """Without it DRTP's run on AutoInt could be written, and every later command refused the folder."""
    points = {"a": {**next(iter(POINTS.values())), "reference": 1.7e19, "activation": 3.0e16}}
    assert read_record(write_record(record(alignment={"points": points}), tmp_path)).alignment["points"] == points


@pytest.mark.parametrize("config", [{"task": "x"}, {"task": [1]}])
def test_a_foreign_record_stops_no_reader(tmp_path, capsys, config):
    """It was valid, and ended every reader of the folder with a traceback."""
    results = save(tmp_path, records([80.0, 81.0]))
    path = write_record(record(70.0, method="dfa"), results / "records")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"config": config}))
    for main in (tables, report):
        assert main(["--results", str(results)]) == 0
        err = capsys.readouterr().err
        assert str(path) in err and "task must be an object" in err and err.count("\n") == 1
    assert compare([str(results), str(results)]) == 2


@pytest.mark.parametrize("name", ["p.jsonl", "p.jsonl.gz"])
@pytest.mark.parametrize("content", [b"", gzip.compress(b"", mtime=0)])
def test_an_empty_pack_is_none(tmp_path, name, content):
    """A pack that a full disk left behind counted as one in which all is well."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=r"holds no record|not a readable record"):
        read_pack(tmp_path / name)


@pytest.mark.parametrize("reference", [float("inf"), float("nan"), -1.0])
def test_what_could_not_be_read_is_not_written(tmp_path, reference):
    """Without it one run would take a whole folder of records from every command."""
    points = {"a": {**next(iter(POINTS.values())), "reference": reference}}
    with pytest.raises(ValueError, match="could not be read again"):
        write_record(record(alignment={"points": points}), tmp_path)
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\0", b"\xff\xfe{}", b"3", b"null", b"[1]", b"{", b"[" * 100_000, b'{"schema": NaN}', b'{"a": 1e999}'),
        *(b'{"schema": ' + b"9" * 5000 + b"}", b'{"schema": "\\ud800"}', b"{}"),
    ],
)
def test_what_is_no_record_at_all(tmp_path, content):
    """Without it such a file would end in a traceback: RecursionError is no ValueError."""
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"x\.json: not a readable record"):
        read_record(path)


@pytest.mark.parametrize(
    ("once", "twice", "key"),
    [
        ('"seed": 0', '"seed": 98, "seed": 0', "'seed'"),
        ('"accuracy": 80.0', '"accuracy": 1.0 ,\n\t"accuracy"\t: 80.0', "'accuracy'"),
        ('"seed": 0', '"seed": 0, "s\\u0065ed" :0', "'seed'"),
        ('"source": "real"', '"source": "x", "source": "y", "source": "real"', "'source' is there 3 times"),
    ],
)
def test_a_key_that_is_there_twice_is_refused(tmp_path, once, twice, key):
    """The last one won without a word: who reads the file by eye may see another seed, or another accuracy."""
    path = written(tmp_path)
    text = path.read_text()
    assert text.count(once) == 1
    path.write_text(text.replace(once, twice))
    with pytest.raises(BadInput, match=key):
        read_record(path)
    pack([record()], tmp_path / "p.jsonl")
    line = (tmp_path / "p.jsonl").read_text().replace('"seed":0', '"seed":1,"seed":0')
    (tmp_path / "p.jsonl").write_text(line)
    with pytest.raises(BadInput, match=r"p\.jsonl:1: .*the key 'seed' is there 2 times"):
        read_entries(tmp_path / "p.jsonl")


def test_texts_that_look_like_keys_are_texts(tmp_path):
    """A count of colons alone would refuse them."""
    made = record(reason=':a": b', status="failed", hardware={"processor": '":":', "x": ["\\", ":", '\\":']})
    assert read_record(write_record(made, tmp_path)) == made


def test_every_field_must_be_there(tmp_path):
    """Without it a run whose status was lost would count as one that ended well."""
    for name in asdict(record()):
        path = written(tmp_path)
        values = json.loads(path.read_text())
        del values[name]
        path.write_text(json.dumps(values))
        if name in ("alignment_seconds", "artefacts"):  # the first records did not have them
            read_record(path)
        else:
            with pytest.raises(BadInput, match=rf"\({name}: (missing|None)"):
                read_record(path)


def test_folders_pipes_and_links_in_place_of_files(tmp_path):
    """Without it a command would wait without end for a pipe, or stop at a folder that is called x.json."""
    save(tmp_path, [record()])
    folder = tmp_path / "records"
    (folder / "a.json").mkdir()
    os.mkfifo(folder / "b.json")
    (folder / "c.json").symlink_to(folder / "c.json")
    (folder / "d.json").symlink_to(folder / "nowhere")
    bad: list[str] = []
    assert list(iterate_records(folder, lambda error: bad.append(str(error)))) == [record()]
    assert [line.split(": ")[0] for line in bad] == [str(folder / f"{name}.json") for name in "abcd"]


def test_a_run_that_two_files_hold_counts_once(tmp_path):
    """Without it a copy that somebody edited could win over the run in its place, unnoticed."""
    path = write_record(record(80.0), tmp_path)
    for copy in (tmp_path / "a.json", path.with_name("z.json")):  # one comes before, one after
        copy.write_text(path.read_text().replace("80.0", "99.0"))
    bad: list[str] = []
    (kept,) = iterate_records(tmp_path, lambda error: bad.append(str(error)))
    assert kept.metrics == {"accuracy": 80.0}
    assert len(bad) == 2 and all(f"the same run as {path}" in line or "the same run as" in line for line in bad)


def test_one_bad_line_of_a_pack_stops_no_other(tmp_path, capsys):
    """Without it a torn line would take a thousand runs with it, those that share its configuration first of all."""
    made = records([80.0, 81.0, 82.0])
    path = tmp_path / "p.jsonl"
    pack(made, path)
    lines = path.read_text().splitlines()
    lines[0] = lines[0].replace('"status":"ok"', '"status":"fine"')  # the line with the configuration
    path.write_text("\n".join([*lines, lines[2], "", "{"]) + "\n")
    bad: list[str] = []
    assert read_pack(path, lambda error: bad.append(str(error))) == made[1:]
    assert [line.removeprefix(f"{path}:").partition(":")[0] for line in bad] == ["1", "4", "5", "6"]
    assert "status: must be" in bad[0] and "an earlier line holds" in bad[1]
    assert evidence.main(["unpack", str(path), "--records", str(tmp_path / "back")]) == 2
    printed = capsys.readouterr()
    assert "2 records written" in printed.out and printed.err.count("\n") == 5
    assert len(list((tmp_path / "back").rglob("*.json"))) == 2


def test_a_line_ends_at_a_line_feed_only(tmp_path):
    """Without it a text with another separator, which JSON allows, would tear its line when it is read again."""
    content = json.dumps(asdict(record(reason="a b"))).replace("a b", "a\u2028b")
    (tmp_path / "p.jsonl").write_text(content + "\n")
    with pytest.raises(BadInput, match=r"p\.jsonl:1: .*reason: .* is not one line"):
        read_entries(tmp_path / "p.jsonl")


def test_an_archive_of_zeros_is_given_up_in_time(tmp_path, monkeypatch):
    """Without it a megabyte could unpack to a gigabyte, or a large file exhaust the memory."""
    monkeypatch.setattr(inputs, "MOST_BYTES", 1000)
    (tmp_path / "p.jsonl.gz").write_bytes(gzip.compress(bytes(1001)))
    with pytest.raises(BadInput, match="more than 1,000 bytes"):
        read_bytes(tmp_path / "p.jsonl.gz")
    (tmp_path / "q.jsonl.gz").write_bytes(gzip.compress(bytes(1000)))
    assert read_bytes(tmp_path / "q.jsonl.gz") == bytes(1000)


def test_what_was_left_out_is_said_once_and_briefly(capsys):
    """Without it ten thousand bad lines would hide everything else, and a file that is read twice be named twice."""
    with LeftOut() as left_out:
        for number in [*range(25), *range(25)]:
            left_out.add(BadInput(f"file{number}", "bad\nthing", "do it"))
    *lines, last = capsys.readouterr().err.splitlines()
    assert lines == [f"file{number}: bad thing; do it; left out" for number in range(10)]
    assert last == "25 inputs were left out, 15 are not named"
    with pytest.raises(RuntimeError), LeftOut() as left_out:  # what ends the command hides no line
        left_out.add(BadInput("file", "bad"))
        raise RuntimeError
    assert capsys.readouterr().err == "file: bad; left out\n"


def test_an_unknown_metric_is_left_out_and_the_rest_of_the_run_is_shown(tmp_path, capsys):
    """Without it one run with task.metric=foo would break tables, report and comparisons of all others."""
    good = records([80.0, 81.0])
    odd = replace(record(70.0, method="dfa"), metrics={"accuracy": 70.0, "foo": 1.0})
    worse = replace(
        record(60.0, 1, method="dfa"), primary_metric="foo", variant="task.metric=foo", config_hash="0" * 12
    )
    results = save(tmp_path, [*good, odd, worse])
    assert tables(["--results", str(results)]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and all("unknown metric 'foo'; the nearest are" in line for line in lines[:2])
    text = (results / "tables" / "paper" / "overview_citation.md").read_text()
    assert "80.5" in text and "70.0" in text
    assert report(["--results", str(results)]) == 0
    assert len(capsys.readouterr().err.splitlines()) == 3
    assert compare([str(results), str(results)]) == 2
    assert {cell.key.metric for cell in ResultSet.load(results, lambda error: None).cells} == {"accuracy"}


def test_a_variant_has_its_own_primary_metric():
    """Without it the primary metric of whichever run came last would judge the settings as shipped, too."""
    shipped = replace(record(80.0), metrics={"accuracy": 80.0, "auc": 0.5})
    variant = replace(shipped, primary_metric="auc", variant="task.metric=auc", config_hash=hash_of("v"))
    primary = {(cell.key.variant, cell.key.metric) for cell in aggregate([shipped, variant]).cells if cell.primary}
    assert primary == {("", "accuracy"), ("task.metric=auc", "auc")}


@pytest.mark.parametrize("place", ["records/paper", "tables/paper", "tables", "records"])
def test_nothing_is_written_or_removed_through_a_link_that_leads_out(tmp_path, capsys, place):
    """Without it a link in a results folder that somebody sent would let a command write wherever it points."""
    results, outside = tmp_path / "results", tmp_path / "outside"
    (outside / "paper").mkdir(parents=True)
    (outside / "table_3.md").write_text("mine")
    pack([record()], results / "evidence" / "p.jsonl")
    link = results / place
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside)
    before = sorted(outside.rglob("*"))
    if place.startswith("records"):
        command = ["unpack", str(results / "evidence" / "p.jsonl"), "--records", str(results / "records")]
        code = evidence.main(command)
    else:
        code = tables(["--results", str(results)])
    if place != "records":  # that is the very folder which the command was given
        error = capsys.readouterr().err
        assert code == 2 and "leads out of" in error and error.count("\n") == 1
        assert sorted(outside.rglob("*")) == before


def test_what_is_written_is_one_line(tmp_path):
    """Without it a run that failed with a coloured message would leave a record that no command reads."""
    path = write_record(record(status="failed", reason="E\x1b[31mrror\tat\u2028x"), tmp_path)
    assert read_record(path).reason == "E [31mrror at x"


def test_numbers_that_json_does_not_have_are_refused_where_they_are_read(tmp_path):
    """Without it a mean would silently be NaN."""
    path = written(tmp_path, metrics={"test_accuracy": math.nan})
    with pytest.raises(BadInput, match="not a readable record"):
        read_record(path)
