"""The report: every number with its records, honest about stand-ins, one file that needs nothing else."""

from __future__ import annotations

import base64
import csv
import hashlib
import random

import pytest

from benchmarks.catalogue.domain import TableSpec
from benchmarks.catalogue.reference import FILE
from benchmarks.report import page as page_module
from benchmarks.report import write
from benchmarks.report.__main__ import main
from benchmarks.tables import table_set
from tests.helpers.report_samples import HOSTILE, citation, filled, noise, picture, read, standins, table
from tests.helpers.results_samples import hash_of, record, records, save


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = filled(tmp_path_factory.mktemp("report") / "results")
    write(folder)
    return folder


@pytest.fixture(scope="module")
def page(results):
    return read(results / "report.html")


def shown(results, **options):
    out = results / "page.html"
    write(results, out, **options)
    return read(out)


def published(method):
    """The paper's number for GCN on Cora, straight from the file."""
    with FILE.open(newline="") as file:
        for row in csv.DictReader(file):
            if (row["architecture"], row["dataset"], row["method"], row["metric"]) == (
                "gcn",
                "cora",
                method,
                "accuracy",
            ):
                return float(row["value"])
    raise AssertionError(method)


def linked_runs(page, place):
    """The names of the records that a place of a table leads to."""
    anchor = place.all("a")[0].attributes["href"].removeprefix("#")
    items = page.all("li", id=anchor)
    anchors = [link.attributes["href"].removeprefix("#") for link in items[0].all("a")] if items else [anchor]
    entries = [page.all("details", id=name)[0] for name in anchors]
    return {code.text for entry in entries for code in entry.all("ul", class_="runs")[0].all("code")}


def test_our_numbers_stand_beside_the_papers(page):
    """A column shifted by one would put another method's published value beside ours."""
    (row,) = [row for row in table(page, "table-paper-overview_citation") if row["architecture"].text == "GCN"
              and row["dataset"].text == "Cora"]  # fmt: skip
    expected = {"bp": "80.5 ± 0.7 (2/3 ok)", "dfa": "79.2 ± 0.4", "shallow": "36.5 ± 0.7"}
    assert {method: row[method].text for method in expected} == expected
    for method in expected:
        assert float(row[f"paper, {method}"].text) == published(method)
        assert not row[f"paper, {method}"].all("a")


def test_a_number_leads_to_exactly_its_records(page):
    """Else a sceptic who follows a number would find other runs than those behind it."""
    (row,) = [row for row in table(page, "table-paper-gap_closed") if row["architecture"].text == "GCN"]
    runs = {name: {f"paper/citation/gcn_cora/{name}/seed{seed}-{hash_of(method=name)}" for seed in (0, 1)} for name in
            ("bp", "dfa", "shallow")}  # fmt: skip
    runs["bp"].add(f"paper/citation/gcn_cora/bp/seed2-{hash_of()}")  # the one that failed
    assert linked_runs(page, row["score"]) == runs["dfa"]
    assert linked_runs(page, row["method − bp"]) == runs["dfa"] | runs["bp"]
    assert linked_runs(page, row["gap closed"]) == runs["dfa"] | runs["bp"] | runs["shallow"]


def test_a_cost_leads_to_its_runs_and_a_ratio_to_backprops_too(page):
    """A step's time over backprop's rests on both; with half of it shown it could not be worked out again."""
    (row,) = [row for row in table(page, "table-paper-cost") if row["architecture"].text == "GCN"
              and row["method"].text == "dfa"]  # fmt: skip
    own = {f"paper/citation/gcn_cora/dfa/seed{seed}-{hash_of(method='dfa')}" for seed in (0, 1)}
    assert linked_runs(page, row["train s"]) == linked_runs(page, row["quality"]) == own
    both = linked_runs(page, row["step / bp"])
    assert own < both and {name.split("/")[3] for name in both} == {"bp", "dfa"}


def test_provenance_says_what_the_records_say(page):
    """An entry without commit, data or seeds' values could not be checked."""
    (entry,) = [
        one for one in page.all("details") if one.text.startswith("paper · citation/gcn_cora · dfa · 2 records")
    ]
    facts = dict(zip([one.text for one in entry.all("dt")], [one.text for one in entry.all("dd")], strict=True))
    assert facts["settings"] == hash_of(method="dfa") and facts["data"] == "real, fingerprint f0"
    assert facts["code"] == "commit c0ffee" and facts["hardware"] == "cores 2" and facts["versions"] == "torch 2.13"
    assert f"seed1-{hash_of(method='dfa')}: accuracy 79.5, 2 s" in entry.text and '{"method": "dfa"}' in entry.text


def test_every_link_leads_somewhere_and_no_two_places_share_an_id(page):
    """A dead link to provenance looks like a live one."""
    tags = ("a", "details", "li", "h2", "h3", "h4", "section")
    ids = [one.attributes["id"] for tag in tags for one in page.all(tag) if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    links = [one.attributes["href"] for one in page.all("a")]
    assert len(links) > 50 and {link.removeprefix("#") for link in links} <= set(ids)


def test_nothing_comes_from_outside(page):
    """One external address, and the report breaks offline and tells others who reads it."""
    (policy,) = [one.attributes["content"] for one in page.all("meta") if "http-equiv" in one.attributes]
    (script,) = page.all("script")
    digest = base64.b64encode(hashlib.sha256(script.text.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'") and f"script-src 'sha256-{digest}'" in policy
    for tag in ("link", "iframe", "object", "embed", "base", "form", "video", "audio", "source", "image", "use"):
        assert not page.all(tag), tag
    assert page.all("img") and all(one.attributes["src"].startswith("data:image/") for one in page.all("img"))
    assert all(one.attributes["href"].startswith("#") for one in page.all("a"))
    styles = "".join(one.text for one in page.all("style"))
    assert "@import" not in styles and "url(" not in styles
    assert not [name for one in page.within() for name in one.attributes if name.startswith("on")]


def test_hostile_text_stays_text(page):
    """A reason or a sample comes from outside; as markup it would run in whoever opens the report."""
    assert len(page.all("script")) == 1 and not [one for one in page.all("img") if "onerror" in one.attributes]
    assert HOSTILE in page.text  # as text: in a note, in provenance and in the sample
    assert [one.text for one in page.all("pre") if one.text.startswith("prompt:")] == [f"prompt: once {HOSTILE}"]


def test_stand_ins_are_labelled_and_have_no_paper(page):
    """Numbers from generated data beside the paper's would be taken for a reproduction."""
    (row,) = [row for row in table(page, "table-quick-table_2_standin") if row["architecture"].text == "DeepFM"]
    assert row["AUC bp"].text == "0.8000 ± 0.0000" and not [name for name in row if name.startswith("paper")]
    labels = [one.text for one in page.all("span", class_="standin")]
    assert any("not comparable with the paper" in label and "profile quick" in label for label in labels)
    (line,) = [row for row in table(page, "table-all-headline") if row["architecture"].text == "DeepFM"]
    assert line["data"].text == "STAND-IN · quick · Criteo" and line["gap closed"].text.startswith("50.0")
    assert line["paper, gap closed"].text == "–"


def test_artefacts_and_figures_are_shown_once_each(page):
    """A committed copy of a contact sheet would stand there twice; an embedding among the renderings is misplaced."""
    captions = {section.attributes["aria-labelledby"]: [one.text for one in section.all("figcaption")]
                for section in page.all("section")}  # fmt: skip
    assert captions["renderings"] == [
        "citation/nerf_nerf_synthetic/lego · bp · seed 0 · profile paper · PSNR 20.00 dB records"
    ]
    assert captions["embeddings"] == ["citation/gcn_cora: hidden layer in the plane · profile paper records"]
    assert captions["curves"] == ["citation/gcn_cora records"] and len(captions["cost"]) == 1
    alts = [one.attributes["alt"] for one in page.all("img")]
    assert all(alts) and any("accuracy (%), at the end: bp 75, dfa 75" in alt for alt in alts)
    assert "figures" not in captions and "alignment" not in captions  # nothing to show: no heading


def test_same_inputs_same_bytes_whatever_the_order(tmp_path):
    """A report that changes by itself cannot be compared, nor its figure committed."""
    made = [*citation(), *standins()]
    write(save(tmp_path / "one", made))
    random.Random(1).shuffle(made)
    write(save(tmp_path / "two", made))
    for name in ("report.html", "figures/headline.svg"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    before = (tmp_path / "one" / "report.html").read_bytes()
    write(tmp_path / "one")  # its own figure is no input
    assert (tmp_path / "one" / "report.html").read_bytes() == before


def test_a_fresh_clone_has_the_numbers_from_packs(tmp_path):
    """Records are local; a report that only reads those would be empty for everyone else."""
    from benchmarks.evidence import main as evidence

    save(tmp_path / "here", citation())
    pack = tmp_path / "clone" / "evidence" / "citation.jsonl"
    assert evidence(["pack", str(pack), "--records", str(tmp_path / "here" / "records")]) == 0
    page = shown(tmp_path / "clone")
    assert [row for row in table(page, "table-paper-overview_citation") if row["dfa"].text == "79.2 ± 0.4"]
    assert "evidence/citation.jsonl" in page.text and "records/, local" not in page.text


def test_smoke_is_left_out_unless_there_is_nothing_else(tmp_path):
    """Numbers of ten steps of training among the others would only mislead."""
    save(tmp_path, [*records([50.0], profile="smoke"), *citation()])
    assert not shown(tmp_path).all("h4", id="table-smoke-overview_citation")
    assert shown(tmp_path, profile="smoke").all("h4", id="table-smoke-overview_citation")
    save(tmp_path / "only", records([50.0], profile="smoke"))
    assert shown(tmp_path / "only").all("h4", id="table-smoke-overview_citation")


def test_a_table_that_is_added_later_needs_no_edit_here(tmp_path, monkeypatch):
    """Else a new table would be missing in the report and nobody would notice."""
    spec = TableSpec("mine", "My table", ("valid_accuracy",), domain="citation")
    known = table_set.table_specs()
    monkeypatch.setattr(table_set, "table_specs", lambda: [*known, spec])
    page = shown(save(tmp_path, [record(metrics={"accuracy": 80.0, "valid_accuracy": 77.7})]))
    assert [row["bp"].text for row in table(page, "table-paper-mine")] == ["77.7"]


def test_what_does_not_fit_is_left_out_and_named(tmp_path, monkeypatch):
    """Above the limit no mail takes it; a picture that vanished silently would be missed by none."""
    save(tmp_path, citation())
    figures = tmp_path / "figures" / "paper"
    noise(figures / "large.png")
    picture(figures / "citation" / "gcn_cora_embedding.png")
    whole = write(tmp_path, tmp_path / "page.html")[0].stat().st_size
    monkeypatch.setattr(page_module, "MAX_BYTES", whole - 10_000)
    page = shown(tmp_path)
    assert (tmp_path / "page.html").stat().st_size <= whole - 10_000
    assert len(page.all("img")) == 1 and "Left out, since the report would be too large: paper/large" in page.text
    monkeypatch.setattr(page_module, "MAX_BYTES", 1000)
    with pytest.raises(ValueError, match="without pictures, more than 1000; choose a --profile"):
        write(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("nothing/x", "", "no records or evidence packs"),
        ("figures/paper/bad.png", "no picture", "bad.png"),
        ("figures/paper/bad.svg", "<p>", "bad.svg"),
    ],
)
def test_bad_input_is_one_line_and_the_old_report_stays(tmp_path, capsys, name, content, named):
    """A traceback helps no one, and half a report is worse than yesterday's."""
    if "figures" in name:
        save(tmp_path, citation())
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    (tmp_path / "report.html").write_text("old")
    assert main(["--results", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and named in message
    assert (tmp_path / "report.html").read_text() == "old" and not (tmp_path / "figures" / "headline.svg").exists()


@pytest.mark.parametrize(
    ("name", "named"), [("records/bad.json", "bad.json: not a"), ("evidence/bad.jsonl", "bad.jsonl:1: not a")]
)
def test_a_bad_record_is_named_and_the_others_are_shown(tmp_path, capsys, name, named):
    """Without it one torn file would block the report of all other runs."""
    path = save(tmp_path, citation()) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{")
    assert main(["--results", str(tmp_path)]) == 0
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and named in message and message.endswith("left out\n")
    assert "80.5" in (tmp_path / "report.html").read_text()


def test_an_unknown_profile_names_those_there_are(tmp_path, capsys):
    """A typo would otherwise give an empty report."""
    assert main(["--results", str(save(tmp_path, citation())), "--profile", "papre"]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}: no record of profile papre; there is paper\n"
