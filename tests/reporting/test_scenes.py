"""What shares a place of a table: scenes are averaged and their runs counted, other tasks are not."""

from __future__ import annotations

from benchmarks.catalogue.tables import table_specs
from benchmarks.records.aggregation import aggregate
from benchmarks.tables.build import build
from benchmarks.tables.gap import primary_by_task
from benchmarks.tables.table import Table
from tests.helpers.results_samples import record, records, slice_of

SPEC = {spec.name: spec for spec in table_specs()}
SCENE = {"domain": "view_synthesis", "architecture": "nerf", "metric": "psnr", "method": "dfa"}
LEGO, CHAIR = ({"dataset": f"nerf_synthetic/{name}", **SCENE} for name in ("lego", "chair"))


def table(name, made) -> Table:
    return build(SPEC[name], slice_of(made))


def beside(ours, theirs):
    """The column of published runs in table 1, where there is one."""
    built = build(SPEC["table_1"], slice_of(ours), slice_of(theirs))
    assert len(shown(built)) == 1
    return shown(built, "published") if "published" in built.header else []


def scene(value, about=LEGO, fingerprint="f0", **more):
    return record(value, **about, data={"source": "real", "fingerprint": fingerprint}, **more)


def test_a_mean_stands_beside_the_published_mean_over_the_same_scenes():
    """The first scene's data alone were compared: ours of Lego and Ship stood beside the published one of Lego."""
    lego, chair = scene(20.0), scene(30.0, CHAIR, "f1")
    assert beside([lego, chair], [lego, chair]) == ["25.00 (n=1)"]
    assert beside([lego], [scene(21.0)]) == ["21.00 (n=1)"]
    for ours, theirs in (([lego, chair], [lego]), ([lego], [lego, chair]), ([chair], [lego]), ([lego], [chair])):
        assert beside(ours, theirs) == []
    assert beside([lego, chair], [lego, scene(30.0, CHAIR, "another")]) == []
    assert beside([lego, chair], [scene(32.0, CHAIR, "f1"), scene(10.0)]) == ["21.00 (n=1)"]


def test_a_scene_that_gave_nothing_is_no_part_of_a_mean():
    """Else the published mean over one scene would stand beside ours over two, whose second failed there."""
    lego, chair = scene(20.0), scene(30.0, CHAIR, "f1")
    failed = scene(None, CHAIR, "f1", status="failed", reason="no memory")
    assert beside([lego, chair], [lego, failed]) == [] == beside([lego, failed], [lego, chair])
    assert beside([lego, failed], [scene(21.0)]) == ["21.00 (n=1)"]


def shown(built, method="dfa"):
    """What stands in the column of ``method``, but for places without runs."""
    place = built.header.index(method)
    return [row[place] for row in built.rows if row[place] not in ("…", "–")]


def elsewhere(made, task):
    """The same runs, as those of ``task``."""
    for one in made:
        one.task = task
    return made


def test_runs_of_all_scenes_are_counted():
    """Else two more seeds of one scene would pass for failures, and a failure of the second scene for none."""
    made = [*records([20.0, 21.0, 22.0], **CHAIR), *records([30.0], **LEGO)]
    built = table("table_1", made)
    assert shown(built) == ["25.00 (2/8 scenes)"]
    assert not any("not ok" in note for note in built.notes)
    failed = [*made, record(None, 1, status="failed", reason="RuntimeError", **LEGO)]
    built = table("table_1", failed)
    assert shown(built) == ["25.00 (4/5 ok) (2/8 scenes)"]
    assert "NeRF (NeRF-Synthetic; dfa): 1 of 5 not ok: RuntimeError" in built.notes


def test_a_reason_belongs_to_a_failure_that_is_counted():
    """Else the reason of a scene that was skipped on purpose would be given for the divergence of another.

    A dataset without any scene that ended well once divided by their number.
    """
    skipped = record(None, status="skipped", reason="no photographs", **CHAIR)
    assert shown(table("table_1", [skipped])) == []
    assert any(note.endswith("not run: no photographs") for note in table("table_1", [skipped]).notes)
    built = table("table_1", [*records([20.0], **LEGO), skipped])
    assert shown(built) == ["20.00 (1/8 scenes)"] and not any("no photographs" in note for note in built.notes)
    diverged = record(None, 1, status="diverged", reason="loss is not finite", **LEGO)
    built = table("table_1", [*records([20.0], **LEGO), diverged, skipped])
    assert [note for note in built.notes if "not ok" in note] == [
        "NeRF (NeRF-Synthetic; dfa): 1 of 2 not ok: loss is not finite"
    ]


def test_two_tasks_in_one_place_are_not_averaged():
    """Else a second task on the same network and data would silently move a published-looking number."""
    second = elsewhere(records([60.0]), "citation/gcn_cora_deep")
    built = table("table_3", [*records([80.0, 82.0]), *second])
    assert shown(built, "bp") == ["81.0 ± 1.4"]
    assert "GCN (Cora; bp): runs of citation/gcn_cora; those of citation/gcn_cora_deep are left out" in built.notes
    assert [cell.key.task for row in built.behind for cell in row[2]] == ["citation/gcn_cora"]
    assert shown(table("table_3", [*records([80.0]), *second]), "bp") == ["80.0"]
    again = elsewhere(records([10.0], **LEGO), "nerf_synthetic/lego_wide")
    built = table("table_1", [*records([20.0, 22.0], **LEGO), *records([30.0, 32.0], **CHAIR), *again])
    assert shown(built) == ["26.00 ± 1.41 (2/8 scenes)"]
    assert any("nerf_synthetic/lego_wide are left out" in note for note in built.notes)


def test_cost_and_gap_choose_the_same_task():
    """Else two tables of one page would show different runs under the same name."""
    second = elsewhere(records([60.0]), "citation/gcn_cora_deep")
    for made in ([*records([80.0]), *second], [*second, *records([80.0, 81.0])]):
        (task,) = primary_by_task(aggregate(made).cells)
        assert task["bp"].key.task == "citation/gcn_cora"


def test_a_task_that_skips_a_method_leaves_its_place_to_another():
    """Else backprop, which runs with one placement of the feedback, would be said to have been left out of another."""
    micro = elsewhere([record(None, status="skipped", reason="see macro")], "citation/gcn_micro")
    built = table("table_3", [*records([80.0]), *micro])
    assert shown(built, "bp") == ["80.0"] and not any("see macro" in note or "left out" in note for note in built.notes)
