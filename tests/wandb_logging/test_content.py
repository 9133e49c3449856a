"""What Weights & Biases receives: the history, the record's numbers, alignment, pictures, texts, result tables."""

from __future__ import annotations

import csv
import logging

import pytest

from benchmarks.records.record import artefact_path
from benchmarks.tables.wandb import send_tables
from tests.helpers.fake_wandb import GROUP, ROWS, install, make_logger
from tests.helpers.results_samples import hash_of, rebuild, record, records, save, tables_of


@pytest.fixture(autouse=True)
def no_warning(caplog):
    yield
    assert not [entry for entry in caplog.records if entry.levelno >= logging.WARNING]


def test_rows_and_numbers_are_those_of_history_and_record(tmp_path, monkeypatch):
    """A number that is left out or renamed cannot be compared with the tables."""
    fake = install(monkeypatch)
    done = record(81.5, seed=2, method="dfa", peak_memory_mb=512.5, samples_per_second=9.5, parameters=99)
    it = make_logger(tmp_path)
    it.start(done, [])
    for row in ROWS:
        it.log(row)
    it.finish(done)
    (run,) = fake.runs
    assert run.rows == ROWS and run.exit_code == 0 and run.media == {}
    expected = {
        "accuracy": 81.5, "train_seconds": 2.0, "eval_seconds": 0.0, "samples_per_second": 9.5,
        "peak_memory_mb": 512.5, "parameters": 99, "epochs": 250, "steps": 250, "status": "ok", "reason": "",
    }  # fmt: skip
    assert expected.items() <= run.summary.items() and not run.summary.keys() & {"seed", "schema"}
    options = run.options
    assert options["group"] == "citation/gcn_cora/dfa" and options["name"] == "citation/gcn_cora/dfa/seed2"
    assert options["project"] == "mine" and options["mode"] == "offline" and options["tags"] == ["paper", "real"]
    assert options["config"]["task"]["lr"] == 2 and options["config"]["config_hash"] == hash_of(method="dfa")
    assert options["config"]["data_source"] == {"source": "real", "fingerprint": "f0"}


def test_alignment_arrives_as_tables(tmp_path, monkeypatch):
    """Every point in a row, quantiles under their probability, statistics that only some points have included."""
    fake = install(monkeypatch)
    first = {"mean": 0.5, "std": 0.1, "samples": 7, "quantiles": [1, 2, 3, 4, 5], "weights": {"mean": 0.25}}
    done = record(alignment={"points": {"a": first, "b": {"mean": 0.125}}, "parameters": {"w": 0.75}})
    it = make_logger(tmp_path)
    it.start(done, [])
    it.finish(done)
    points, parameters = fake.runs[0].media["alignment/points"], fake.runs[0].media["alignment/parameters"]
    quantiles = [f"quantile_{q}" for q in (5, 25, 50, 75, 95)]
    assert points.columns == ["point", "mean", "std", "samples", *quantiles, "weights/mean"]
    assert points.data == [["a", 0.5, 0.1, 7, 1, 2, 3, 4, 5, 0.25], ["b", 0.125, *[None] * 8]]
    assert (parameters.columns, parameters.data) == (["parameter", "cosine"], [["w", 0.75]])


def test_pictures_and_texts_arrive_and_weights_stay(tmp_path, monkeypatch):
    """Text of a model is text: as markup it could run in the reader's browser."""
    fake = install(monkeypatch)
    contents = {"sheet.png": b"png", "samples.txt": "<script>ä</script>".encode(), "weights.pt": b"large"}
    for name, content in contents.items():
        artefact_path(tmp_path / "run", name).write_bytes(content)
    done = record(artefacts=list(contents))
    it = make_logger(tmp_path)
    it.start(done, [])
    it.finish(done)
    assert fake.runs[0].media == {
        "artefacts/sheet_png": ("image", str(tmp_path / "run.sheet.png")),
        "artefacts/samples_txt": ("html", "<pre>&lt;script&gt;ä&lt;/script&gt;</pre>"),
    }


def test_a_continued_run_goes_on_in_wandb_and_a_repeated_one_does_not(tmp_path, monkeypatch):
    """Two runs under one id would mix their rows; one run under two would show as a failed and a headless one."""
    fake = install(monkeypatch)
    interrupted = make_logger(tmp_path)
    interrupted.start(record(), [])
    interrupted.log(ROWS[0])
    interrupted.finish(None)
    fake.starting_step = 20  # the server has all before
    for history in (ROWS[:2], []):  # continued; then the record was removed and the run given again
        it = make_logger(tmp_path)
        it.start(record(), history)
        it.log(ROWS[2])
        it.finish(record())
    first, continued, repeated = fake.runs
    assert first.options["id"] == continued.options["id"] != repeated.options["id"]
    assert all(run.options["resume"] == "allow" for run in fake.runs)
    assert first.exit_code == 1 and continued.exit_code == repeated.exit_code == 0
    assert continued.rows == ROWS[1:]  # what wandb has is not sent again: it would refuse it


def test_different_runs_have_different_ids(tmp_path, monkeypatch):
    """Seeds and methods that share one id overwrite each other."""
    fake = install(monkeypatch)
    for one in (record(), record(seed=1), record(method="dfa"), record(profile="quick")):
        make_logger(tmp_path).start(one, [])
    assert len({run.options["id"] for run in fake.runs}) == 4


def test_result_tables_are_those_on_disk(tmp_path, monkeypatch):
    """The numbers of every table file of the profile, as numbers."""
    fake = install(monkeypatch)
    made = [*records([80.0, 81.0], method="bp"), *records([70.0, 72.5], method="dfa"), record(30.0, method="shallow")]
    save(tmp_path, [*made, record(60.0, profile="quick", source="stand-in")])
    rebuild(tmp_path)
    send_tables(tables_of(tmp_path), "paper", GROUP)
    (run,) = fake.runs
    assert run.options["name"] == "tables/paper" and run.options["job_type"] == "tables" and run.exit_code == 0
    files = {path.stem: path for path in (tmp_path / "tables" / "paper").glob("*.csv")}
    assert run.media.keys() == files.keys() == run.options["config"]["tables"].keys() and len(files) >= 2
    for name, table in run.media.items():
        with files[name].open(newline="") as file:
            header, *rows = csv.reader(file)
        assert table.columns == header
        for sent, written in zip(table.data, rows, strict=True):
            for value, text in zip(sent, written, strict=True):
                assert text == value or (text == "" and value is None) or float(text) == value
    assert "real data" in run.options["config"]["tables"]["table_3"]["subtitle"]
    table = run.media["table_3"]
    assert 71.25 in [row[table.columns.index("dfa accuracy mean")] for row in table.data]


def test_no_tables_no_run(tmp_path, monkeypatch):
    """A sweep whose runs all failed has nothing to send."""
    fake = install(monkeypatch)
    send_tables(tables_of(tmp_path), "paper", GROUP)
    assert fake.runs == []
