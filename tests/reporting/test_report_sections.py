"""The report's sections: what is made how often, and in which order it stands."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.records.record import write_record
from benchmarks.records.result_set import ResultSet
from benchmarks.report import sections
from benchmarks.report.files import renderings
from benchmarks.report.gather import gather_material
from benchmarks.report.sections import sections_of
from tests.helpers.report_samples import POINTS, citation, filled, picture
from tests.helpers.results_samples import record, save


def test_each_chart_is_made_once(tmp_path, monkeypatch):
    """Else a report of every task would take twice as long, half of it for the names of charts."""
    made = []

    def counted(chart):
        def make(runs, axis, *chosen):
            made.append((chart.__name__, runs.name, axis.column))
            return chart(runs, axis, *chosen)

        return make

    for name in ("learning_chart", "alignment_chart"):
        monkeypatch.setattr(sections, name, counted(getattr(sections, name)))
    sections_of(gather_material(ResultSet.load(filled(tmp_path))))
    assert made and len(made) == len(set(made))


def test_a_committed_copy_of_a_chart_is_not_shown_beside_it(tmp_path):
    """Else every figure of `make curves` would stand in the report twice."""
    figures = filled(tmp_path) / "figures"
    for name in ("paper/citation/gcn_cora.svg", "paper/citation/other.svg"):
        (figures / name).write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"></svg>')
    found = {section.anchor: section for section in sections_of(gather_material(ResultSet.load(tmp_path)))}
    captions = [picture.caption for group in found["figures"].groups for picture in group.blocks]
    assert captions == ["paper/citation/other, committed figure"]


def test_figures_and_pictures_stand_in_one_order(tmp_path):
    """Else a stand-in's picture could come before a real one's, or datasets in another order than in the tables."""

    def scene(dataset, **fields):
        fields = {"architecture": "nerf", "domain": "view_synthesis", "metric": "psnr"} | fields
        return record(20.0, dataset=dataset, artefacts=["sheet.png"], **fields)

    chair, lego, real = "nerf_synthetic/chair", "nerf_synthetic/lego", "llff_real/fern"
    made = [scene(real), scene(lego), scene(chair, profile="long"), scene(chair, source="stand-in", profile="quick")]
    for shade, one in enumerate(made):
        picture(write_record(one, tmp_path / "records").with_suffix(".sheet.png"), shade=shade)
    shown = [found.caption.split(" · ") for found in renderings(gather_material(ResultSet.load(tmp_path)))]
    assert [(parts[0].removeprefix("citation/nerf_"), parts[3].removeprefix("profile ")) for parts in shown] == [
        (lego, "paper"),
        (real, "paper"),
        (chair, "long"),
        (chair, "quick"),
    ]


def test_curves_of_stand_ins_say_so_in_the_same_words(tmp_path):
    """Else two sections of one page would call the same data by two names."""
    save(tmp_path, made := [replace(one, alignment={"points": POINTS}) for one in citation(source="stand-in")])
    for one in made:
        history = tmp_path / "records" / f"{one.run_id}.csv"
        history.write_text("step,epoch,train_loss,lr,valid_accuracy,train_seconds\n1,1,2.0,0.1,60.0,1.0\n")
    found = {section.anchor: section for section in sections_of(gather_material(ResultSet.load(tmp_path)))}
    (heading,) = [group.title for group in found["curves"].groups]
    assert heading == "citation · profile paper · stand-in data: not comparable with the paper"
