"""The scaling study: exponents of losses that follow a power law by construction, seed by seed."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.records.record import Record
from benchmarks.studies import scaling
from benchmarks.studies.study import Done, Findings
from benchmarks.tables.claims import Verdict
from benchmarks.tasks.language.config import TransformerConfig
from benchmarks.tasks.language.transformer import Transformer
from dfa_core import make_method

WIDTHS = (16, 32, 64)
#: Exponents by seed of the law that the losses follow.
LAWS = {"bp": {0: -0.06, 1: -0.08}, "dfa": {0: -0.03, 1: -0.04}, "shallow": {0: -0.01, 1: -0.01}}
#: The law's factor: dfa's losses are larger than backprop's at every compute.
FACTORS = {"bp": 20.0, "dfa": 24.0, "shallow": 28.0}


def run(method: str, width: int, seed: int) -> Done:
    model = {"width": width, "hidden": 4 * width, "layers": 2}
    config = {"task": {"model": model}, "method": {"name": method}}
    record = Record(
        "wikitext2/macro", "language", "transformer", "wikitext2", method, "long", seed, config, "0" * 12,
        samples_per_second=1000.0, train_seconds=50.0,
    )  # fmt: skip
    nats = FACTORS[method] * scaling.compute(Done(record, None)) ** LAWS[method][seed]
    return Done(dataclasses.replace(record, metrics={"valid_perplexity": math.exp(nats)}), None)


RUNS = tuple(run(method, width, seed) for seed in (0, 1) for method in LAWS for width in WIDTHS)
FINDINGS = Findings("scaling", "long", RUNS)


def claims(findings: Findings):
    return list(scaling.STUDY.conclude(findings).claims)


def test_exponents_are_those_of_the_law_seed_by_seed():
    own, dfa, shallow, top, excess = claims(FINDINGS)
    assert own.ours == pytest.approx(-0.07) and own.low == pytest.approx(-0.08) and own.high == pytest.approx(-0.06)
    assert dfa.ours == pytest.approx((0.03 + 0.04) / 2) and (dfa.low, dfa.high) == pytest.approx((0.03, 0.04))
    assert shallow.ours == pytest.approx((0.02 + 0.03) / 2) and shallow.n == 2
    assert top.ours == pytest.approx(dfa.ours)
    assert {one.verdict for one in (own, dfa, shallow, top, excess)} == {Verdict.SHOWN}
    assert not any(math.isnan(one.low) for one in (own, dfa, shallow, top, excess)), "every claim has an interval"


def test_the_excess_is_the_least_distance_from_backprops_line():
    zero = FINDINGS.where(seed=0)
    places = [scaling.compute(one) for one in zero.where(method__name="dfa")]
    expected = min(24.0 * place**-0.03 - 20.0 * place**-0.06 for place in places)
    assert scaling.smallest_excess(zero) == pytest.approx(expected)


def test_a_seed_that_lacks_sizes_has_no_say():
    """Three sizes of one seed and two of the other are two different lines."""
    cut = dataclasses.replace(FINDINGS, runs=tuple(one for one in RUNS[:-1]))
    own, *_ = claims(cut)
    assert own.ours == pytest.approx(-0.06) and own.n == 1


def test_the_largest_two_have_a_verdict_of_their_own():
    """A network that is too small for DFA alone makes its line over all sizes steep."""
    bent = tuple(
        dataclasses.replace(one, record=dataclasses.replace(one.record, metrics={"valid_perplexity": 1e9}))
        if (one.record.method, one.setting("task.model.width")) == ("dfa", 16) else one
        for one in RUNS
    )  # fmt: skip
    _, all_sizes, _, top, _ = claims(dataclasses.replace(FINDINGS, runs=bent))
    assert all_sizes.verdict is Verdict.NOT_SHOWN and all_sizes.ours < 0
    assert top.verdict is Verdict.SHOWN and top.ours == pytest.approx((0.03 + 0.04) / 2)


def without(method: str, width: int, seed: int) -> Findings:
    """The findings without one run, and those of the other seed."""
    kept = [one for one in RUNS if one.record.seed == seed]
    lost = [one for one in kept if (one.record.method, one.setting("task.model.width")) == (method, width)]
    return dataclasses.replace(FINDINGS, runs=tuple(one for one in kept if one not in lost))


@pytest.mark.parametrize("lost", [("bp", 16), ("dfa", 64)])
def test_methods_are_compared_at_sizes_of_both(lost):
    """The losses of one method bend at the size that the other lacks: a line through it is of something else."""
    partial = without(*lost, seed=0)
    bent = tuple(
        dataclasses.replace(one, record=dataclasses.replace(one.record, metrics={"valid_perplexity": 1000.0}))
        if one.setting("task.model.width") == lost[1] else one
        for one in partial
    )  # fmt: skip
    _, gap, *_ = claims(dataclasses.replace(partial, runs=bent))
    assert gap.ours == pytest.approx(-0.03 + 0.06)


def test_seeds_that_lack_different_runs_are_two_different_lines():
    runs = (*without("bp", 16, seed=0).runs, *without("dfa", 64, seed=1).runs)
    assert {one.verdict for one in claims(dataclasses.replace(FINDINGS, runs=runs))} == {Verdict.NOT_TESTABLE}


def test_a_run_without_a_loss_is_no_size():
    """A line through one point has any slope."""
    runs = [one for one in RUNS if one.record.seed == 0 and one.setting("task.model.width") != 64]
    lossless = dataclasses.replace(runs[0].record, metrics={})
    assert (lossless.method, lossless.config["task"]["model"]["width"]) == ("bp", 16)
    findings = dataclasses.replace(FINDINGS, runs=(Done(lossless, None), *runs[1:]))
    own, *_, excess = claims(findings)
    assert own.verdict is excess.verdict is Verdict.NOT_TESTABLE
    assert scaling.STUDY.conclude(findings).sheets[0].rows


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("method", LAWS)
def test_products_are_those_of_the_step(method, layers):
    """Counted in the suite's own Transformer; what attention adds to them with 4 tokens, and 4 words, is 2% at most."""
    settings = {"width": 64, "hidden": 256, "layers": layers, "heads": 2}
    model = Transformer(TransformerConfig(**settings, context=4, dropout=0.0, attention_dropout=0.0), 4)
    ids = torch.randint(4, (3, 4))
    with FlopCounterMode(display=False) as counter:
        make_method(method, model).step(lambda: model.loss(ids, ids))
    one = run(method, 64, 0)
    config = {**one.record.config, "task": {"model": settings}}
    expected = scaling.products(Done(dataclasses.replace(one.record, config=config), None))
    assert counter.get_total_flops() / 2 / ids.numel() == pytest.approx(expected, rel=0.02)


def test_one_size_and_no_run_tell_nothing():
    for runs in ((), tuple(one for one in RUNS if one.setting("task.model.width") == 16)):
        assert {one.verdict for one in claims(dataclasses.replace(FINDINGS, runs=runs))} == {Verdict.NOT_TESTABLE}
