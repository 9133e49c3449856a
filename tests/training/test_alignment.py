"""Alignment in a run: no trace in the training, its time by itself, the same numbers in history and record."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.records.record import Record, record_from
from benchmarks.settings.schema import HardwareConfig
from benchmarks.training import alignment, finish
from benchmarks.training import loop as loop_module
from benchmarks.training.alignment import alignment_row, undisturbed
from benchmarks.training.loop import Loop
from benchmarks.training.randomness import seed_everything
from dfa_core import ErrorTap, FeedbackPoint, make_method, measure_alignment
from tests.helpers.runs import build
from tests.helpers.toy_task import BATCHES, Toy, settings, without_time

POINTS = ("2", "5")


class Normed(Toy):
    """A toy with batch norm and dropout, which a forward pass in training mode changes and draws from."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(
            *(nn.Linear(5, 12), nn.BatchNorm1d(12), FeedbackPoint(12)),
            *(nn.Linear(12, 10), nn.Dropout(0.3), FeedbackPoint(10)),
            *(nn.Linear(10, 3), ErrorTap(3)),
        )


def trained(every: int, method: str = "dfa") -> Loop:
    """A loop that has run, measuring at every ``every``-th evaluation (0: never)."""
    seed_everything(3)
    task = Normed()
    attached = make_method(method, task.model)
    seed_everything(4)
    more = lambda number: alignment_row(task, attached) if every and number % every == 0 else {}  # noqa: E731
    found = Loop(task, attached, settings(), HardwareConfig(precision="fp32"), probe=more)
    found.run()
    return found


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "task", ["mnist/mlp_seeds", "mnist/mlp", "citation/gcn_cora", "criteo/deepfm", "wikitext2/micro"]
)
def test_losses_of_points_are_measured_on_the_samples_of_the_loss(task, monkeypatch):
    """Else `local` and `drtp` would be compared with the gradients of other samples; here, the loss is the head's."""
    asked = []
    monkeypatch.setattr(alignment, "measure_alignment", lambda *arguments: asked.append(arguments))
    run = build(task, "local")
    alignment.measured_alignment(run.task, run.method)
    [(_, closure, supervision)] = asked
    outputs = {}
    for module in run.task.model.modules():
        if isinstance(module, ErrorTap):
            module.register_forward_hook(lambda tap, arguments, output: outputs.setdefault("tap", output))
    loss = closure()
    torch.testing.assert_close(supervision.head("tap", outputs["tap"]), loss)


def record() -> Record:
    return Record(
        task="toy", domain="d", architecture="a", dataset="s", method="dfa", profile="p", seed=0, config={},
        config_hash="0" * 12,
    )  # fmt: skip


def test_the_probe_leaves_no_trace_in_the_training():
    """Else a run that is watched would be another experiment: other masks, other batch statistics, other weights."""
    plain, watched = trained(0), trained(2)
    for part in ("model", "method", "best_weights"):
        left, right = plain.state_dict()[part], watched.state_dict()[part]
        assert left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)
    kept = [{key: value for key, value in row.items() if "/" not in key} for row in watched.progress.history]
    assert without_time(kept) == without_time(plain.progress.history)
    assert ["/" in "".join(row) for row in watched.progress.history] == [False, True, False, True]


def test_undisturbed_restores_all_generators_mode_and_statistics():
    """Else a task that draws from Python's or NumPy's generator would go on elsewhere; also after an error."""
    seed_everything(7)
    expected = random.random(), np.random.rand(), torch.rand(1).item()
    seed_everything(7)
    task = Normed()
    seed_everything(7)
    task.model.eval()
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    with pytest.raises(ZeroDivisionError), undisturbed(task):
        task.model.train()
        task.loss(torch.arange(8))
        raise ZeroDivisionError
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == expected
    assert not task.model.training and not task.model[1].training
    assert all(torch.equal(before[name], value) for name, value in task.model.state_dict().items())


def test_the_last_row_and_the_record_hold_the_same_numbers():
    """Else columns could be of other points, other statistics or another moment than the record's."""
    done, made = trained(1), record()
    finish.finalize_record(made, done, alignment=True)
    row = done.progress.history[-1]
    assert made.alignment["order"] == list(POINTS) == list(made.alignment["points"])
    for point, values in made.alignment["points"].items():
        low, _, middle, _, high = values["quantiles"]
        for name, value in {
            "mean": values["mean"],
            "std": values["std"],
            "q05": low,
            "q50": middle,
            "q95": high,
        }.items():
            assert row[f"alignment_cosine_{name}/{point}"] == value
        weights = values["weights"]
        assert row[f"weight_alignment_cosine/{point}"] == weights["cosine"]
        assert row[f"weight_alignment_cosine_mean/{point}"] == weights["mean"]
        assert row[f"weight_alignment_cosine_q05/{point}"] == weights["quantiles"][0]
        assert row[f"weight_alignment_cosine_q95/{point}"] == weights["quantiles"][4]
    assert sum(name.endswith("/2") for name in row) == 9  # histories stay small
    assert [values["weights"]["rows"] for values in made.alignment["points"].values()] == [12, 10]
    deepest = made.alignment["points"]["2"]
    metrics = {name: value for name, value in made.metrics.items() if "alignment" in name}
    assert metrics == pytest.approx(
        {
            "alignment_cosine_mean": deepest["mean"],
            "alignment_cosine_std": deepest["std"],
            "weight_alignment_cosine": deepest["weights"]["cosine"],
            "weight_alignment_cosine_mean": deepest["weights"]["mean"],
            "weight_alignment_cosine_std": deepest["weights"]["std"],
        },
        abs=1e-6,
    )


def test_statistics_are_those_of_the_probe():
    """Else mean, std and quantiles could be of all points together, or of the wrong level."""
    task = trained(0).task
    method = make_method("dfa", task.model)
    seed_everything(1)
    row = alignment_row(task, method)
    seed_everything(1)
    task.model.train()
    found = measure_alignment(method, lambda: task.loss(task.alignment_batch()))
    for point in POINTS:
        samples, rows = found.points[point].numpy(), found.weights[point].rows.numpy()
        assert row[f"alignment_cosine_std/{point}"] == pytest.approx(samples.std(ddof=1), abs=1e-6)
        assert row[f"alignment_cosine_q95/{point}"] == pytest.approx(np.quantile(samples, 0.95), abs=1e-6)
        assert row[f"weight_alignment_cosine_mean/{point}"] == pytest.approx(rows.mean(), abs=1e-6)
        assert row[f"weight_alignment_cosine_q05/{point}"] == pytest.approx(np.quantile(rows, 0.05), abs=1e-6)


def test_time_of_the_probe_is_neither_training_nor_evaluation(monkeypatch):
    """Else DFA's runs, which alone are probed, would look slower the more often one looks."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    assert loop_module.time is time and finish.time is time

    def probing(seconds):
        now[0] += seconds
        return {}

    monkeypatch.setattr(finish, "add_alignment", lambda *_: probing(5.0))
    seed_everything(3)
    task = Normed()
    evaluate, step = task.validate, task.loss
    task.validate = lambda: probing(10.0) or evaluate()
    task.loss = lambda batch: (probing(1.0), step(batch))[1]
    made, method = record(), make_method("dfa", task.model)
    loop = Loop(task, method, settings(), HardwareConfig(precision="fp32"), probe=lambda number: probing(100.0))
    loop.run()
    finish.finalize_record(made, loop, alignment=True)
    assert (made.train_seconds, made.eval_seconds, made.alignment_seconds) == (4 * BATCHES, 40.0, 405.0)


def test_methods_without_signals_have_neither_numbers_nor_time():
    """Else bp's rows in the cost table would show a probe that never ran."""
    for method in ("bp", "shallow"):
        made = record()
        finish.finalize_record(made, trained(0, method), alignment=True)
        assert made.alignment == {} and not any("alignment" in name for name in made.metrics)


def test_records_from_before_the_probe_was_timed_load():
    """Else the committed evidence could not be read any more."""
    old = {key: value for key, value in vars(record()).items() if key != "alignment_seconds"}
    assert record_from(old).alignment_seconds == 0.0
