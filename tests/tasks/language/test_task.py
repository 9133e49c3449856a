"""The language-modelling task: what is predicted from what, what a perplexity is, and what a run leaves behind."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import nn

from benchmarks.records.record import artefact_path
from benchmarks.settings.compose import compose
from benchmarks.tasks.language.windows import windows
from benchmarks.training.execute import execute
from benchmarks.training.interrupt import Interrupted
from benchmarks.training.run import Run
from tests.helpers.runs import build

pytestmark = pytest.mark.usefixtures("folder")


def overrides(task="wikitext2/macro", method="dfa", steps=6, **settings):
    settings = {"task.epochs": "null", "task.steps": steps, "task.eval_every": 2} | settings
    given = [f"{key}={value}" for key, value in settings.items()]
    return [f"task={task}", f"method={method}", "profile=smoke", "data=standin", *given]


@pytest.mark.parametrize("n", [3, 8, 9, 10, 17, 18, 40, 41])
@pytest.mark.parametrize("stride", [1, 3, 8])
def test_every_token_but_the_first_is_scored_once_after_its_own_context(n, stride):
    """A token scored twice, left out, or seen by its own prediction would shift every perplexity."""
    ids = torch.arange(100, 100 + n, dtype=torch.int32).to(torch.uint16)
    scored = []
    for window, targets in windows(ids, context=8, stride=stride, batch=3):
        assert window.dtype == targets.dtype == torch.int64 and len(window) <= 3 and window.shape[1] <= 8
        for row, following in zip(window.tolist(), targets.tolist(), strict=True):
            assert row == list(range(row[0], row[0] + len(row)))  # neighbours in the text
            assert following == list(range(row[-1] - len(following) + 2, row[-1] + 2))  # and what follows them
            seen = [following[i] - row[0] for i in range(len(following))]
            if stride < 8 and scored:  # only the first window's tokens have less than a context without a stride
                assert min(seen) >= min(8 - stride + 1, n - 1)
            scored += following
    assert scored == list(range(101, 100 + n))


class Uniform(nn.Module):
    """Stands in for the network: every token is as likely as any other."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(()))
        self.vocabulary = vocabulary

    def loss(self, ids, targets):
        return self.anchor + math.log(self.vocabulary)


def test_perplexities_of_a_uniform_model():
    """Per token it is the vocabulary; per word it has the tokens of a word in the exponent, whatever the tokenizer."""
    task = build("wikitext2/macro").task
    task.model = Uniform(400)
    with torch.no_grad():
        valid, test = task.validate(), task.test()
    assert math.isclose(valid["valid_perplexity"], 400, rel_tol=1e-4)
    assert math.isclose(valid["valid_loss"], math.log(400), rel_tol=1e-5)
    text = task.text
    assert math.isclose(
        math.log(valid["valid_perplexity_word"]),
        math.log(400) * text.tokens["valid"] / text.words["valid"],
        rel_tol=1e-5,
    )
    assert math.isclose(
        math.log(test["test_perplexity_word"]), math.log(400) * text.tokens["test"] / text.words["test"], rel_tol=1e-5
    )


def test_words_are_those_of_the_file():
    """Counted in tokens of ours, perplexities per word would depend on the tokenizer again."""
    task = build("wikitext2/macro").task
    lines = next(path for path in task_files("valid")).read_text(encoding="utf-8").splitlines()
    assert task.text.words["valid"] == sum(len(line.split()) + 1 for line in lines)


def task_files(split):
    run = Run.plan(overrides())
    return run.source.folder.glob(f"wiki.{split}.tokens")


def test_a_window_overlap_gives_more_context():
    """The option would do nothing, or score tokens twice."""
    apart = build("wikitext2/macro", "bp")
    overlapping = build("wikitext2/macro", "bp", "task.eval_stride=8")
    with torch.no_grad():
        losses = [run.task.validate()["valid_loss"] for run in (apart, overlapping)]
    assert losses[0] != losses[1] and math.isclose(losses[0], losses[1], rel_tol=0.05)


def test_training_windows_are_consecutive_and_move_with_seed_and_epoch():
    """Targets that are not the next tokens train nonsense; windows that never move see the same boundaries forever."""
    task = build("wikitext2/macro", "dfa", "seed=1").task
    batches = list(task.batches(2))
    per_stream = len(task.text.train) // 16
    starts = set()
    for batch in batches:
        assert batch.ids.shape == batch.targets.shape == (16, 32) and torch.equal(
            batch.ids[:, 1:], batch.targets[:, :-1]
        )
    flat = torch.cat([batch.ids for batch in batches], dim=1)
    text = task.text.train.to(torch.int64)
    for epoch in (2, 3):
        first = next(task.batches(epoch)).ids
        (offset,) = [o for o in range(32) if torch.equal(text[o : o + 32], first[0])] or [None]
        starts.add(offset)
    assert None not in starts and len(starts) == 2
    offset = next(o for o in range(32) if torch.equal(text[o : o + 32], flat[0, :32]))
    assert torch.equal(flat[1], text[per_stream + offset : per_stream + offset + flat.shape[1]])
    assert per_stream - offset - flat.shape[1] <= 32  # nothing but the end is left out
    assert all(torch.equal(a.ids, b.ids) for a, b in zip(task.batches(2, start=3), batches[3:], strict=True))


def test_placements_are_told_apart_in_records():
    """Macro and micro would overwrite each other's column, as both are run as method=dfa."""
    found = {task: Run.plan(overrides(f"wikitext2/{task}")) for task in ("macro", "micro")}
    assert [run.method for run in found.values()] == ["dfa_macro", "dfa_micro"]
    assert all(f"/{run.method}/" in run.id for run in found.values())
    assert Run.plan(overrides(method="bp")).method == "bp"
    record = execute(found["macro"])
    assert record.method == "dfa_macro" and record.run_id == found["macro"].id
    assert found["macro"].finished_record() == record


def final(record):
    return {name: value for name, value in record.metrics.items()}, record.alignment["points"]


@pytest.mark.parametrize("task", ["wikitext2/macro", "wikitext2/micro"])
def test_an_interrupted_run_ends_with_the_same_numbers(task):
    """Windows or dropout masks would be others after a restart: same quality, other bits."""
    dropout = {"task.model.dropout": 0.1, "task.model.attention_dropout": 0.1}
    whole = execute(Run.plan(overrides(task, results="whole", **dropout)))
    run = Run.plan(overrides(task, results="parts", **dropout))
    for _ in range(2):
        polled = iter([False, True])
        with pytest.raises(Interrupted):
            execute(run, stop_requested=lambda polled=polled: next(polled))
        torch.manual_seed(99)
    assert final(execute(run)) == final(whole)


def test_a_run_leaves_text():
    """The reader of a perplexity wants to see what it reads like."""
    run = Run.plan(overrides())
    record = execute(run)
    path = run.records / f"{run.id}.json"
    assert record.artefacts == json.loads(path.read_text())["artefacts"] == ["samples.txt"]
    text = artefact_path(path, "samples.txt").read_text()
    assert [part.split(":")[0] for part in text.split("\n\n") if part.startswith(("prompt", "temperature"))] == [
        "prompt",
        "temperature 0",
        "temperature 0.8",
    ]


def test_the_table_says_how_far_the_floor_is():
    """A perplexity on a made-up language means nothing without that of the language itself."""
    task = build("wikitext2/macro").task
    assert f"{math.exp(task.text.floor):.1f}" in task.about_data and "400 BPE tokens" in task.about_data


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("task.streams=3000", "task.streams=3000"),
        ("task.model.context=20000", "task.model.context=20000"),
        ("task.eval_stride=33", "must be 32"),
        ("task.vocabulary=300000", "vocabulary=300000 is more than this text supports"),
    ],
)
def test_what_does_not_go_together_is_one_line(wrong, said):
    """Hours into a sweep a shape error of some tensor would say nothing."""
    with pytest.raises(ValueError, match=said) as error:
        build("wikitext2/macro", "bp", wrong, "task.streams=2" if "context" in wrong else "task.cost=1")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("placement", ["macro", "micro"])
def test_published_settings(placement):
    """A value mistyped in conf/ would be reported as the paper's."""

    def task(recipe, method):
        return compose([f"task=wikitext103/{placement}{recipe}", f"method={method}", "profile=paper"]).task

    for recipe, lr, betas, schedule in (
        ("_noam", 7e-4, [0.9, 0.98], "noam"),
        ("_adam", 5e-5, [0.9, 0.98], "constant"),
        ("_beta2", 5e-5, [0.9, 0.999], "constant"),
        ("", 1e-4, [0.9, 0.999], "plateau"),
    ):
        config = task(recipe, "dfa")
        assert (config.optim.lr, config.optim.betas, config.optim.schedule) == (lr, betas, schedule)
        model = config.model
        assert (model.layers, model.width, model.heads, model.hidden, model.context) == (6, 512, 8, 2048, 128)
        assert (config.streams, config.vocabulary, config.optim.clip_norm, config.optim.eps) == (64, 32000, 0.5, 1e-9)
        assert (model.dropout, model.norm, model.tap, model.placement) == (0.1, "post", "before", placement)
    assert (task("", "dfa").optim.schedule_factor, task("", "dfa").optim.schedule_steps) == (0.2, 1)
    assert task("_noam", "bp").optim == task("_noam", "dfa").optim
    best = task("", "bp").optim
    assert (best.schedule, best.schedule_steps, best.betas) == ("noam", 4000, [0.9, 0.999])
