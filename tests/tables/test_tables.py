"""Tables: a pure function of records, honest about stand-ins, missing runs and unknown methods."""

from __future__ import annotations

import csv
import io
import random

import pytest

from benchmarks.catalogue.reference import FILE, published
from benchmarks.catalogue.tables import table_specs
from benchmarks.records.aggregation import aggregate
from benchmarks.tables import row_for
from benchmarks.tables.__main__ import main
from benchmarks.tables.build import build
from benchmarks.tables.files import COLUMNS
from benchmarks.tables.text import comma_separated, latex, markdown
from tests.helpers.results_samples import hash_of, rebuild, record, records, save, slice_of

SPEC = {spec.name: spec for spec in table_specs()}


def table(name, made, profile="paper", source="real"):
    return build(SPEC[name], slice_of(made, profile, source))


def row(built, dataset, architecture):
    return next(list(one[2:]) for one in built.rows if list(one[:2]) == [dataset, architecture])


def tidy(results):
    return list(csv.DictReader(io.StringIO((results / "tables" / "all_results.csv").read_text())))


def content(results):
    return {path.relative_to(results): path.read_bytes() for path in (results / "tables").rglob("*.*")}


def test_a_folder_without_records_gets_no_tables(tmp_path, capsys):
    """A mistyped folder had a folder of empty tables in it, and all was well."""
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["--results", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path}: no records or evidence packs") and error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_text_of_records_is_text(tmp_path):
    """Records come from anybody: their text would run as HTML where Markdown is shown, or as a formula."""
    script, formula = "<script>alert(1)</script>", '=HYPERLINK("http://x")'
    made = [record(80.0), record(81.0, variant=script, config_hash="a"), record(82.0, variant=formula, config_hash="b")]
    made.append(record(None, 1, status="failed", reason=script, method="dfa"))
    results = save(tmp_path, made)
    rebuild(results)
    pages = [path.read_text() for path in (results / "tables").rglob("*.md")]
    assert any("&lt;script>" in text for text in pages) and not any("<script" in text for text in pages)
    tables = [path.read_text() for path in (results / "tables").rglob("*.csv")]
    found = {value for text in tables for line in csv.reader(io.StringIO(text)) for value in line}
    assert f"'{formula}" in found and not any(value.startswith(("=", "@")) for value in found)


@pytest.mark.parametrize("text", ["-1", "+2.5", "-1e-3", "-inf", "", "a=b", "−3", "GCN"])
def test_numbers_and_names_stay_what_they_are(text):
    """A negative number behind an apostrophe would be none for other tools."""
    assert comma_separated(["x", "y"], [[text, "y"]]).splitlines()[1] == f"{text},y"


@pytest.mark.parametrize("text", ["=1+1", "+cmd|x", "-2+3", "@SUM(A1)", "-x"])
def test_a_formula_is_shown_and_not_computed(text):
    assert comma_separated(["x"], [[text]]).splitlines()[1] == f"'{text}"


def test_ours_stands_beside_the_papers():
    built = table("table_3", records([80.0, 81.0]) + records([79.0, 79.0], method="dfa"))
    assert list(built.header) == ["dataset", "architecture", "bp", "paper", "dfa", "paper"]
    assert row(built, "Cora", "GCN") == ["80.5 ± 0.7", "80.1", "79.0 ± 0.0", "79.9"]
    assert row(built, "PubMed", "DNAConv") == ["…", "87.2", "…", "79.9"]
    assert built.subtitle == "real data · profile paper · 2 seeds · 250 epochs · mean ± std over seeds"
    assert any("5 stratified folds" in note and note.startswith("DNAConv") for note in built.notes)


def test_stand_in_never_stands_beside_the_paper(tmp_path):
    made = records([80.0, 81.0], source="stand-in", profile="quick")
    made += records([80.0], source="stand-in", profile="quick", architecture="dna")  # the paper's has a note
    built = table("overview_citation", made, "quick", "stand-in")
    assert "not comparable with the paper" in built.subtitle and built.name == "overview_citation_standin"
    assert "paper" not in built.header and not any("80.1" in cell for one in built.rows for cell in one)
    assert {one[0] for one in built.rows} == {"Cora"}
    assert not any("paper" in text for text in built.numbers_header) and not built.notes
    rebuild(save(tmp_path, made))
    assert {line["paper"] for line in tidy(tmp_path)} == {""}
    assert "paper 80.1" not in row_for(aggregate(made).cells, "citation/gcn_cora")


def test_real_and_stand_in_records_of_a_profile_get_tables_of_their_own(tmp_path):
    save(tmp_path, [*records([80.0]), record(99.0, dataset="pubmed", source="stand-in")])
    rebuild(tmp_path)
    folder = tmp_path / "tables" / "paper"
    assert "99.0" not in (folder / "table_3.md").read_text()
    assert "99.0" in (folder / "table_3_standin.md").read_text()


def test_unknown_methods_architectures_and_datasets_get_their_place():
    made = [record(80.0), record(33.0, method="random_direction", architecture="mine", dataset="karate")]
    built = table("overview_citation", made)
    assert list(built.header)[2::2] == ["bp", "dfa", "shallow", "random_direction"]
    assert row(built, "karate", "mine") == ["…", "–", "…", "–", "…", "–", "33.0", "–"]
    assert "random_direction" not in table("table_a4", [*made, record(30.0, method="shallow")]).header


def test_what_the_paper_never_gave_has_no_column():
    """Without it half of such a table would be empty columns under the paper's name."""
    made = [record(None, method=method, metrics={"silhouette": 0.2, "knn_accuracy": 75}) for method in ("bp", "dfa")]
    built = table("embeddings_citation", made)
    assert list(built.header[2:]) == ["silhouette bp", "silhouette dfa", "1-NN bp", "1-NN dfa"]
    assert row(built, "Cora", "GCN") == ["0.20", "0.20", "75.0", "75.0"] and len(built.numbers_header) == 14
    assert {len(line) for line in built.numbers} == {14}


def test_cells_say_how_many_runs_they_rest_on():
    made = [
        *records([80.0, 81.0, 82.0]),
        *records([70.0, 71.0], architecture="gat"),
        *records([60.0, 61.0], architecture="cheb"),
        record(None, 2, architecture="cheb", status="diverged", reason="loss is not finite"),
        record(None, 0, architecture="dna", status="failed", reason="out of memory"),
        *records([1.0, 2.0, 3.0], architecture="spline"),
    ]
    built = table("table_3", made)
    assert row(built, "Cora", "GCN")[0] == "81.0 ± 1.0"
    assert row(built, "Cora", "GATConv")[0] == "70.5 ± 0.7 (n=2)"
    assert row(built, "Cora", "ChebConv")[0] == "60.5 ± 0.7 (2/3 ok)"
    assert row(built, "Cora", "DNAConv")[0] == "failed (0/1 ok)"
    assert "ChebConv (Cora; bp): 1 of 3 not ok: loss is not finite" in built.notes


def test_what_does_not_exist_differs_from_what_was_not_run():
    made = [
        record(0.79, domain="recommendation", architecture="deepfm", dataset="criteo", metric="auc"),
        record(
            None, method="dfa", domain="recommendation", architecture="dcn", dataset="criteo",
            metric="auc", status="skipped", reason="no time",
        ),
    ]  # fmt: skip
    built = table("table_2", made)
    assert row(built, "Criteo", "FM")[:4] == ["…", "0.7915", "–", "–"]
    assert row(built, "Criteo", "DCN")[:4] == ["…", "0.8104", "–", "0.8009"]
    assert row(built, "Criteo", "DeepFM")[:4] == ["0.7900", "0.7954", "…", "0.7956"]
    assert any("reproduce_autoint.sh" in note for note in built.notes)


def test_scenes_average_and_a_part_is_compared_with_the_same_part():
    scene = {"domain": "view_synthesis", "architecture": "nerf", "metric": "psnr", "method": "dfa"}
    two = [
        record(20.0, dataset="nerf_synthetic/lego", **scene),
        record(30.0, dataset="nerf_synthetic/chair", **scene),
    ]
    place = row(table("table_1", two), "NeRF-Synthetic", "NeRF")
    # the paper's Lego 24.93 and Chair 28.74 average to 26.835
    assert place[2:] == ["25.00 (2/8 scenes)", "26.84"] or place[2:] == ["25.00 (2/8 scenes)", "26.83"]
    names = {key.dataset for key in published() if key.dataset.startswith("nerf_synthetic/")}
    whole = [record(20.0, dataset=name, **scene) for name in names]
    assert row(table("table_1", whole), "NeRF-Synthetic", "NeRF")[2:] == ["20.00", "25.41"]
    assert row(table("table_a5", two), "NeRF-Synthetic lego", "NeRF")[2:] == ["20.00", "24.93"]
    assert row(table("table_1", two), "NeRF-Synthetic", "SRN")[:2] == ["–", "22.26"]


def test_every_published_recipe_has_its_row():
    language = {"domain": "language", "dataset": "wikitext103", "metric": "valid_perplexity"}
    made = [
        record(60.0, architecture="transformer", method="dfa_macro", **language),
        record(99.0, architecture="transformer_noam", method="dfa_macro", **language),
    ]
    built = table("table_5", made)
    papers = {"": "52.0", ", Noam β₂ .98": "95.0", ", Adam β₂ .98": "77.1", ", Adam β₂ .999": "55.0"}
    for recipe, paper in papers.items():
        shown = row(built, "WikiText-103", f"Transformer{recipe}")
        assert paper in shown and ("60.0" in shown) == (recipe == "") and ("99.0" in shown) == ("Noam" in recipe)
    assert "29.8" in row(built, "WikiText-103", "Transformer") and "428.0" in row(built, "WikiText-103", "Transformer")
    assert "34.4" in row(built, "WikiText-103", "Transformer, Noam β₂ .98")


def test_rebuild_is_byte_identical_whatever_the_order(tmp_path):
    made = [
        *records([80.0, 81.0, 79.3]),
        *records([78.0, 77.0], method="dfa"),
        *records([33.3], method="shallow", profile="quick", source="stand-in"),
        *records([50.0], variant="task.optim.lr=1", config_hash="v"),
    ]
    rebuild(save(tmp_path / "one", made))
    before = content(tmp_path / "one")
    rebuild(tmp_path / "one")
    assert content(tmp_path / "one") == before
    random.Random(1).shuffle(made)
    rebuild(save(tmp_path / "two", made))
    assert content(tmp_path / "two") == before


def test_a_fresh_clone_rebuilds_the_same_tables_from_packs(tmp_path):
    from benchmarks.evidence import main as evidence

    save(tmp_path / "here", [*records([80.0, 81.0]), *records([70.0, 71.0], method="dfa")])
    rebuild(tmp_path / "here")
    pack = tmp_path / "clone" / "evidence" / "citation.jsonl"
    assert evidence(["pack", str(pack), "--records", str(tmp_path / "here" / "records")]) == 0
    rebuild(tmp_path / "clone")
    assert content(tmp_path / "clone") == content(tmp_path / "here")


def test_all_results_has_its_columns_and_shipped_settings_only(tmp_path):
    made = [*records([80.0, 82.0]), *records([10.0], variant="task.optim.lr=1", config_hash="v")]
    rebuild(save(tmp_path, made))
    assert (tmp_path / "tables" / "all_results.csv").read_text().splitlines()[0] == ",".join(COLUMNS)
    (line,) = tidy(tmp_path)
    assert (line["mean"], line["std"], line["n"], line["paper"]) == ("81", "1.41421", "2", "80.1")
    assert (line["steps_or_epochs"], line["train_seconds"], line["config_hash"]) == ("250", "2", hash_of())
    assert "task.optim.lr=1" in (tmp_path / "tables" / "variants.csv").read_text()
    variants = (tmp_path / "tables" / "paper" / "variants.md").read_text()
    assert "10.0" in variants and "81.0 ± 1.4 (n=2)" in variants
    shipped = (tmp_path / "tables" / "paper" / "table_3.md").read_text()
    assert "10.0" not in shipped and "81.0 ± 1.4 |" in shipped


def test_tables_without_records_disappear_and_other_files_stay(tmp_path):
    save(tmp_path, [record(80.0), record(0.9, architecture="gae", metric="auc")])
    rebuild(tmp_path)
    folder = tmp_path / "tables" / "paper"
    (folder / "notes.md").write_text("mine")
    for path in (tmp_path / "records").rglob("*gae*/**/*.json"):
        path.unlink()
    rebuild(tmp_path)
    assert not list(folder.glob("table_4*")) and (folder / "notes.md").exists() and (folder / "table_3.md").exists()


def test_stale_runs_are_named_in_the_index(tmp_path):
    save(tmp_path, [record(1.0, config_hash="old", finished="2024-01-01"), record(80.0)])
    rebuild(tmp_path)
    assert f"run(s) of other settings {hash_of('old')} left out" in (tmp_path / "tables" / "README.md").read_text()


def test_markdown_and_latex_escape_what_would_break_them():
    built = table("overview_citation", [record(80.0, method="a|b_c", architecture="x&y")])
    grid = [line for line in markdown(built).splitlines() if line.startswith("|")]
    assert r"a\|b_c" in grid[0]
    assert {line.replace(r"\|", "").count("|") for line in grid} == {len(built.header) + 1}
    text = latex(built)
    assert r"x\&y" in text and r"a$|$b\_c" in text and r"\toprule" in text and "±" not in text
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert {line.replace(r"\&", "").count("&") for line in body} == {len(built.header) - 1}


def test_texts_of_records_are_no_links_and_keep_their_signs():
    """LaTeX's default font has ¡ and ¿ in the places of < and >."""
    reason = "<b> ![x](http://example.org/x.png) >1000"
    built = table("overview_citation", [record(80.0), record(None, seed=1, status="failed", reason=reason)])
    assert r"&lt;b> ![x]\(http:" in markdown(built) and "](" not in markdown(built)
    assert "$<$b$>$" in latex(built) and "$>$1000" in latex(built)


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 99}', '{"schema": 1, "surprise": 2}'])
def test_a_malformed_record_is_named_and_the_others_are_shown(tmp_path, capsys, text):
    """Without it one torn file would block the tables of a thousand runs; and tables of nothing would replace them."""
    path = tmp_path / "records" / "bad.json"
    path.parent.mkdir()
    path.write_text(text)
    assert main(["--results", str(tmp_path)]) == 2
    assert "no record can be read; the tables stay as they are" in capsys.readouterr().err
    assert not (tmp_path / "tables").exists()
    save(tmp_path, [record(80.0)])
    assert main(["--results", str(tmp_path)]) == 0
    message = capsys.readouterr().err
    assert message.startswith(f"{path}: not a readable record (") and message.endswith("; left out\n")
    assert message.count("\n") == 1
    assert "80.0" in (tmp_path / "tables" / "paper" / "table_3.md").read_text()


def test_reference_numbers_are_complete_and_ordered():
    with FILE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    tables = list(dict.fromkeys(line["table"] for line in rows))
    assert tables == ["1", "2", "3", "4", "5", "A.1", "A.2", "A.3", "A.4", "A.5", "bottleneck", "images"]
    assert len(rows) == 317
    assert all(line["source"] for line in rows)
    from benchmarks.records.metrics import lookup

    assert all(lookup(line["metric"]).better == line["better"] for line in rows)
