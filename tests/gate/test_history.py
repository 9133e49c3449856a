"""The history of the baseline: lines by hand, drift by hand, git by a repository made for the test."""

from __future__ import annotations

import dataclasses
import json
from xml.etree import ElementTree

import pytest

from benchmarks import baseline
from benchmarks.history import file
from benchmarks.history.__main__ import main
from benchmarks.history.baseline_snapshot import BaselineSnapshot, Level, Line, summary
from benchmarks.history.chart import MOST_SNAPSHOTS, chart_of
from benchmarks.history.trend import DRIFT, STEP, trends
from benchmarks.records.aggregation import aggregate
from tests.helpers.results_samples import record, save

LINE = Line("citation", "gcn", "dfa")


def snapshot(mean, number=0, settings="s", metric="accuracy", **fields):
    """BaselineSnapshot ``number``: one line at ``mean``, made on a day and by a commit of its own."""
    fields = {"date": f"2026-01-{number + 1:02d}T00:00:00+00:00", "commit": f"{number:040x}"} | fields
    return BaselineSnapshot(
        versions={"torch": "2"}, seeds=3, levels={LINE: Level(metric, mean, settings)}, speed={"dfa": 0.9}, **fields
    )


def trend(*means, **fields):
    (found,) = trends([snapshot(mean, number, **fields) for number, mean in enumerate(means)])
    return found


def smoke(value, seed=0, **fields):
    fields = {"commit": "c0", "finished": "2026-01-01T10:00:00+00:00"} | fields
    code = {"commit": fields.pop("commit"), "dirty": fields.pop("dirty", False)}
    return record(value, seed, profile="smoke", source="stand-in", code=code, versions={"torch": "2.13.0"}, **fields)


def test_a_landing_by_hand():
    """Means over runs instead of tasks would let a task with more seeds count more; times must be those of bp."""
    made = [smoke(80.0, 0, architecture="gcn"), smoke(84.0, 1, architecture="gcn")]
    made += [smoke(70.0, 0, architecture="gcn", dataset="pubmed")]
    made += [smoke(60.0, method="dfa", train_seconds=1.0), smoke(0.3, metric="auc", architecture="gae")]
    found = summary(aggregate(made).cells, "2026", "c", {})
    means = {line[1:]: (level.metric, level.mean) for line, level in found.levels.items()}
    assert means == {("gae", "bp"): ("auc", 0.3), ("gcn", "bp"): ("accuracy", 76.0), ("gcn", "dfa"): ("accuracy", 60.0)}
    assert (found.speed, found.seeds) == ({"dfa": 0.5}, 2)


def test_settings_tell_which_landings_can_be_compared():
    """A new dataset or rate would otherwise look like a jump of the code."""

    def settings(**fields):
        (level,) = summary(aggregate([smoke(80.0, **fields)]).cells, "2026", "c", {}).levels.values()
        return level.settings

    same = settings()
    assert same == settings(finished="2027-01-01", train_seconds=5.0)
    others = [
        settings(config_hash="b"),
        settings(dataset="pubmed"),
        settings(data={"source": "stand-in", "fingerprint": "f1"}),
    ]
    assert len({same, *others}) == 4


def test_a_written_baseline_adds_one_line_and_the_same_one_none(tmp_path, capsys):
    """A history with a line per `make baseline` would show the tries of an afternoon, not what landed."""
    results, lines = tmp_path, tmp_path / "published" / "history" / "smoke.jsonl"

    def write(**fields):
        save(results, [smoke(seed=seed, **fields) for seed in (0, 1)])
        assert baseline.main(["write", "--results", str(results)]) == 0
        return [(one.commit, one.date[:10], one.levels[Line("citation", "gcn", "bp")].mean) for one in file.read(lines)]

    assert write(value=80.0) == [("c0", "2026-01-01", 80.0)]
    text = lines.read_bytes()
    assert write(value=80.0) and lines.read_bytes() == text
    # made again on top of the same commit, after changes that are not committed: only this one can land
    again = write(value=82.0, dirty=True, finished="2026-01-01T11:00:00+00:00")
    assert again == [("c0+", "2026-01-01", 82.0)]
    after = write(value=82.0, commit="c1", finished="2026-01-02T10:00:00+00:00")
    assert after == [*again, ("c1", "2026-01-02", 82.0)]
    assert file.read(lines)[0].versions == {"torch": "2.13.0"}


def test_a_baseline_that_cannot_be_written_is_in_no_history(tmp_path, capsys):
    save(tmp_path, [smoke(80.0, seed=seed) for seed in (0, 1)])
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as ended:
        baseline.main(["write", "--results", str(tmp_path), "--out", str(tmp_path / "file" / "x.json")])
    assert ended.value.code == 2 and not (tmp_path / "published" / "history").exists()


def test_what_is_written_is_what_is_read(tmp_path):
    """A number that is lost in the file is lost: the records behind it are local."""
    snapshots = [snapshot(80.1234, 0), snapshot(79.0, 1, settings="t")]
    file.write(tmp_path / "h.jsonl", snapshots)
    assert file.read(tmp_path / "h.jsonl") == snapshots


def test_drift_by_hand():
    """The gate sees single steps only: 1.5 of 2.0 points allowed passes twice and is a loss of three."""
    found = trend(80.0, 78.5, 77.0)
    assert (found.since_first, found.since_last, found.verdict, found.worse) == (-3.0, -1.5, DRIFT, True)
    assert trend(80.0, 78.5, 80.0).verdict == ""
    assert trend(80.0, 77.0, 77.0).verdict == STEP
    assert (trend(80.0).since_first, trend(80.0).since_last, trend(80.0).verdict) == (0.0, 0.0, "")
    lower = trend(100.0, 104.0, 108.0, metric="valid_perplexity")  # 5% are allowed, and less is better
    assert (lower.verdict, lower.worse) == (DRIFT, True)


def test_changes_count_from_the_last_change_of_settings():
    """Otherwise a deliberate new rate would be a step in every later trend, and hide every drift after it."""
    parts = [snapshot(60.0, 0, "old"), snapshot(80.0, 1), snapshot(78.5, 2), snapshot(77.0, 3)]
    (found,) = trends(parts)
    assert found.stretch == [80.0, 78.5, 77.0]
    assert found.verdict == DRIFT
    assert [found.restarted(number) for number in range(4)] == [False, True, False, False]


def test_twenty_thousand_landings_are_read_once_each_and_drawn_in_part():
    """Without it a long history would take minutes, by looking back to its start at every snapshot, and 100 MB."""

    class Counted(tuple):
        asked = 0

        def __iter__(self):
            Counted.asked += len(self)
            return super().__iter__()

        def __getitem__(self, place):
            found = super().__getitem__(place)
            Counted.asked += len(found) if isinstance(place, slice) else 1
            return found

    levels = Counted(Level("accuracy", 80.0, f"s{number // 10_000}") for number in range(20_000))
    one = dataclasses.replace(trend(80.0), levels=levels)
    assert [number for number in range(20_000) if one.restarted(number)] == [10_000]
    assert one.since_first == 0.0 and one.verdict == ""
    assert Counted.asked <= 10 * len(levels)
    drawn = chart_of("smoke", [snapshot(80.0)] * 20_000)
    assert len(drawn.panels[0].series[0].x) == MOST_SNAPSHOTS and "the newest of 20,000" in drawn.subtitle


def history(folder, snapshots):
    file.write(folder / "published" / "history" / "smoke.jsonl", snapshots)
    return main(["--results", str(folder), "--last", "2"])


def test_the_command_prints_the_trend_and_draws_it(tmp_path, capsys):
    """The vertices in the figure are compared with the numbers: a picture nobody checks can show anything."""
    means = [60.0, 80.0, 78.5, 77.0]
    assert history(tmp_path, [snapshot(m, n, "old" if n == 0 else "new") for n, m in enumerate(means)]) == 0
    out = capsys.readouterr().out
    (row,) = [line for line in out.splitlines() if line.startswith("gcn")]
    assert row.split() == ["gcn", "dfa", "accuracy", "78.5", "77.0", "-3.0", "-1.5", "drift", "to", "the", "worse"]
    assert "4 snapshots, 1 lines, 1 drift: gcn dfa" in out
    drawing = (tmp_path / "published" / "figures" / "history" / "smoke.svg").read_text()
    (path,) = [node for node in ElementTree.fromstring(drawing).iter() if node.get("id") == "gcn--dfa"]
    (line, *_) = [node.get("d") for node in path.iter() if node.get("d") and "clip-path" in node.attrib]
    moves = [part.split() for part in line.strip().replace("L", "|L").replace("M", "|M").split("|") if part.strip()]
    assert [part[0] for part in moves] == ["M", "M", "L", "L"]  # it breaks where the settings changed
    heights = [float(part[2]) for part in moves]
    scale = (heights[3] - heights[1]) / (77.0 - 80.0)
    assert heights[2] - heights[1] == pytest.approx(-1.5 * scale, rel=1e-4)


@pytest.mark.parametrize(
    "line",
    ["{", "[]", '{"schema": 7}', '{"schema": 1}', "NaN", "BAD_METRIC", "OLDER", "NAN"],
)
def test_bad_lines_are_named_and_no_baseline_is_written_over_them(tmp_path, capsys, line):
    """One torn line would block the trend of all others; rewriting the file without it would lose it."""
    path = tmp_path / "published" / "history" / "smoke.jsonl"
    file.write(path, [snapshot(80.0, 5)])
    good = json.loads(path.read_text())
    bad = {
        "OLDER": good | {"date": "2025-01-01T00:00:00+00:00"},
        "NAN": good | {"speed": {"dfa": float("nan")}},
        "BAD_METRIC": json.loads(json.dumps(good).replace('"accuracy"', '"acuracy"')),
    }
    path.write_text(path.read_text() + (json.dumps(bad[line]) if line in bad else line) + "\n")
    before = path.read_bytes()
    assert main(["--results", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and "smoke.jsonl:2: not a readable snapshot (" in captured.err
    assert "1 snapshots" in captured.out
    save(tmp_path, [smoke(80.0)])
    assert baseline.main(["write", "--results", str(tmp_path)]) == 2
    assert not (tmp_path / "published" / "baselines").exists() and path.read_bytes() == before


def test_no_history_and_bad_numbers_are_one_line(tmp_path, capsys):
    """Each says what to do next."""
    assert main(["--results", str(tmp_path)]) == 2
    assert "make baseline" in capsys.readouterr().err
    assert main(["--results", str(tmp_path), "--last", "0"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
