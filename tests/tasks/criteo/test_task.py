"""The click-prediction task: batches, metrics, settings, and whole runs on the stand-in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

from benchmarks.settings.choices import options
from benchmarks.settings.compose import compose
from benchmarks.tasks.criteo.click_prediction import ALIGNMENT_SAMPLES
from benchmarks.tasks.criteo.fields import tables
from benchmarks.training.checkpoint import Checkpoint
from benchmarks.training.execute import execute
from benchmarks.training.interrupt import Interrupted
from benchmarks.training.run import Run
from dfa_core import measure_alignment
from tests.helpers.runs import Built, build

pytestmark = pytest.mark.usefixtures("folder")
SUITES = ("criteo", "criteo_10k", "criteo_137k")
TASKS = [f"{suite}/{name}" for suite in SUITES for name in ("afn", "autoint", "dcn", "deepfm", "fm")]
METHODS = ("bp", "dfa", "shallow")


def labels_of(run: Built, epoch: int, start: int = 0) -> list[Tensor]:
    """Each batch's rows, as one tensor of rows and labels."""
    return [torch.cat([b.feature_ids, b.labels.int().unsqueeze(1)], 1) for b in run.task.batches(epoch, start)]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_the_order_depends_on_seed_and_epoch_alone():
    """Without it methods would see other batches, or every epoch the same ones, as in the released code."""
    runs = {key: build("criteo/fm", "bp", f"seed={seed}", *more) for key, seed, *more in (
        ("one", 3), ("again", 3, "task.optim.lr=0.5"), ("other seed", 4))}  # fmt: skip
    first = labels_of(runs["one"], 0)
    assert same(first, labels_of(runs["again"], 0)) and same(first[5:], labels_of(runs["one"], 0, start=5))
    assert not same(first, labels_of(runs["one"], 1)) and not same(first, labels_of(runs["other seed"], 0))
    sets = [{tuple(row) for row in torch.cat(labels_of(*of)).tolist()} for of in ((runs["one"], 0), (runs["one"], 1))]
    assert sets[0] == sets[1] and len(first) == 13  # 3,200 rows in batches of 256


def test_the_split_stays_when_the_seed_changes():
    """Without it AUCs of several seeds, or of ours and another's, would be on different test rows."""
    splits = [build("criteo/fm", "bp", *more).task.split for more in (["seed=0"], ["seed=1"], ["task.split_seed=1"])]
    assert all(torch.equal(a, b) for a, b in zip(splits[0], splits[1], strict=True))
    assert not torch.equal(splits[0].test, splits[2].test)


def test_a_split_by_days_learns_from_the_past_alone():
    """Rows of one day on both sides would tell the test what the day is like."""
    split = build("criteo_137k/fm", "bp", "task.split=days").task.split
    assert [(part[0].item(), part[-1].item()) for part in split] == [(0, 2856), (2857, 3427), (3428, 3999)]


def test_decay_of_the_first_layer_is_of_the_embeddings():
    """Rare values are what overfits: they can be held back without holding back the network."""
    run = build("criteo/fm", "bp", "task.embedding_update=dense", "task.optim.decay=first_layer",
                "task.optim.weight_decay=0.1")  # fmt: skip
    decayed, rest = run.loop().optimizer.param_groups
    assert {id(p) for p in decayed["params"]} == {id(t.weight) for t in tables(run.task.model)}
    assert decayed["weight_decay"] == 0.1 and rest["weight_decay"] == 0 and len(rest["params"]) == 1


def exact_auc(logits: np.ndarray, labels: np.ndarray) -> float:
    """The share of pairs of a clicked and another ad that are in order; a tie counts half."""
    difference = logits[labels == 1][:, None] - logits[labels == 0][None, :]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def test_metrics_are_exact_over_all_batches():
    """Without it a mean over batches, the last one short, would pass for AUC and log loss."""
    run = build("criteo/fm", "bp", "task.eval_batch_size=99")
    with torch.no_grad():
        run.task.model.embedding.weight.mul_(30)
        valid, test = run.task.validate(), run.task.test()
        for found, part, prefix in ((valid, run.task.split.valid, "valid_"), (test, run.task.split.test, "")):
            labels = run.task.data.labels[part].numpy().astype(float)
            logits = run.task.model(run.task.data.feature_ids[part]).double().numpy()
            log_loss = np.logaddexp(0, np.where(labels == 1, -logits, logits)).mean()
            assert found == pytest.approx({f"{prefix}auc": exact_auc(logits, labels), f"{prefix}log_loss": log_loss})
            assert len(labels) == 400


def test_a_model_that_is_not_finite_has_diverged():
    """Without it scikit-learn's error would end the run as failed, or NaN count as the best AUC."""
    run = build("criteo/fm", "bp")
    with torch.no_grad():
        run.task.model.embedding.weight.fill_(torch.nan)
        assert all(np.isnan(value) for value in run.task.validate().values())


@pytest.mark.parametrize("architecture", ["deepfm", "autoint"])
def test_alignment_takes_512_samples_and_leaves_the_tables_sparse(architecture):
    """Without it cosines of sparse gradients would end a run after all its training."""
    run = build(f"criteo/{architecture}", "dfa")
    measured = measure_alignment(run.method, lambda: run.task.alignment_loss(run.task.alignment_batch()))
    assert len(measured.deepest) <= ALIGNMENT_SAMPLES and "embedding.weight" in measured.parameters
    assert max(len(cosines) for cosines in measured.points.values()) == ALIGNMENT_SAMPLES
    run.method.backward(run.task.loss(next(run.task.batches(0))))
    assert run.task.model.embedding.weight.grad.is_sparse


WRONG = {
    "task.optim.weight_decay=0.1": r"weight_decay=0\.1: .* give task\.embedding_update=dense",
    "task.optim.kind=sgd task.optim.momentum=0.9": r"momentum=0\.9: .* give task\.embedding_update=dense",
    "task.batch_size=3199": r"task\.batch_size=3199: one of the 3200 training rows .* choose another size",
    "task.rows=20": r"task\.rows=20, .*: the 2 rows of the validation split .* take more rows",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_settings_that_do_not_go_together_are_one_line(wrong):
    """Without it the user would meet batch norm's or scikit-learn's error, after the training."""
    with pytest.raises(ValueError, match=WRONG[wrong]) as caught:
        build("criteo/fm", "bp", *wrong.split())
    assert "\n" not in str(caught.value)


def test_dense_update_trains_alike():
    """Without it the reference could differ by more than the momentum of untouched rows."""
    aucs = {}
    for update in ("sparse", "dense"):
        run = build("criteo/deepfm", "dfa", f"task.embedding_update={update}")
        aucs[update] = run.loop().run().best
        assert run.task.model.embedding.weight.grad.is_sparse == (update == "sparse")
    assert aucs["sparse"] == pytest.approx(aucs["dense"], abs=0.05) and aucs["sparse"] != aucs["dense"]


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path):
    """Without it a long run that was stopped would see other batches, or tables without their moments."""

    def finished(stop_at: int | None) -> dict[str, Tensor]:
        path = tmp_path / "checkpoint.pt"
        run = build("criteo/dcn", "dfa", "task.epochs=2")  # clipped, and with the tables behind a cut
        loop = run.loop()
        loop._stop_requested = lambda: loop.progress.step == stop_at
        Checkpoint(path).restore(loop)
        try:
            loop.run()
        except Interrupted:
            Checkpoint(path).save(loop)
            return finished(None)
        Checkpoint(path).remove()
        return run.task.model.state_dict()

    whole, resumed = finished(None), finished(17)  # of 13 batches an epoch
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_the_record_names_the_preprocessing():
    """Without it AUCs on different rows or vocabularies would stand side by side."""
    record = execute(Run.plan(["task=criteo/fm", "method=bp", "profile=smoke", "task.epochs=1", "task.threshold=5"]))
    assert record.status == "ok" and {"auc", "log_loss", "valid_auc", "valid_log_loss"} <= set(record.metrics)
    kept = {key: record.config["task"][key] for key in ("rows", "threshold", "split_seed")}
    assert kept == {"rows": 4000, "threshold": 5, "split_seed": 0} and record.data["fingerprint"]


@pytest.mark.parametrize("method", ["dfa", "shallow"])
def test_fm_says_why_it_has_backprop_only(method):
    """Without it the table's empty cells would look like runs that failed."""
    record = execute(Run.plan(["task=criteo/fm", f"method={method}", "profile=smoke"]))
    assert record.status == "skipped" and "no hidden layer" in record.reason


# The configurations: they compose, and say of themselves what is true.

# The paper's table: embedding; lr, dropout, batch, epochs, patience for (bp, dfa, shallow).
PUBLISHED = {
    "deepfm": (10, (3e-4, 5e-5, 1e-4), (0.5, 0.5, 0.1), (2048,) * 3, (30,) * 3, (5,) * 3),
    "dcn": (16, (2e-4, 5e-5, 1e-3), (0.0,) * 3, (512, 512, 2048), (15, 15, 30), (3, 3, 5)),
    "autoint": (16, (1e-4, 5e-5, 4e-4), (0.0, 0.0, 0.5), (2048,) * 3, (15, 15, 30), (3, 3, 5)),
    "afn": (10, (4e-4, 3e-4, 4e-4), (0.3, 0.0, 0.0), (2048,) * 3, (15, 15, 30), (3, 3, 5)),
}
KEYS = ("optim.lr", "model.dropout", "batch_size", "epochs", "patience")
LAYERS = {
    "deepfm": {"hidden": 400, "layers": 3},
    "dcn": {"hidden": 1024, "layers": 2, "cross_layers": 6},
    "autoint": {"hidden": 400, "layers": 3, "attention": 32, "heads": 2, "attention_layers": 3},
    "afn": {"hidden": 400, "layers": 3, "neurons": 1500, "frozen_embeddings": False},
}


@pytest.mark.parametrize("architecture", PUBLISHED)
def test_settings_are_the_published_ones(architecture):
    """Without it a slip in one number would be blamed on the method."""
    embedding, *by_method = PUBLISHED[architecture]
    for number, method in enumerate(METHODS):
        config = compose([f"task=criteo/{architecture}", f"method={method}", "profile=paper"]).task
        for key, values in zip(KEYS, by_method, strict=True):
            assert OmegaConf.select(config, key) == values[number], (method, key)
        assert {key: config.model[key] for key in LAYERS[architecture]} == LAYERS[architecture]
        assert config.model.embedding == embedding and config.optim.schedule == "constant"
        assert config.optim.clip_norm == (100 if architecture == "dcn" else None)
        assert (config.rows, config.threshold, config.split_seed) == (None, 10, 0)


def test_fm_has_its_published_settings():
    """FM is the baseline of all four."""
    config = compose(["task=criteo/fm", "method=bp", "profile=paper"]).task
    assert (config.model.embedding, config.optim.lr, config.batch_size, config.epochs) == (16, 1e-4, 2048, 15)


def test_every_architecture_has_both_tasks():
    """Without it a table cell could be missing and nobody would notice."""
    assert set(TASKS) <= set(options("task"))
