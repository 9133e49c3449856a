"""Statistics over seeds: the bootstrap by enumeration, gaps by hand, numbers of seeds by published tables."""

from __future__ import annotations

import itertools
import math
import statistics

import numpy as np
import pytest

from benchmarks.records.aggregation import aggregate
from benchmarks.statistics import average, compare, estimate, mean_of, seeds_for_sign, seeds_for_width
from benchmarks.statistics.bootstrap import percentile_interval, resampled_means, tail
from tests.helpers.results_samples import line, record, records, runs, table


def compared(made):
    cells = [cell for cell in aggregate(made).cells if cell.primary]
    (one,) = compare({cell.key.method: cell for cell in cells})
    return one


def resamples(values):
    """Every equally likely resampled mean."""
    return sorted(map(statistics.fmean, itertools.product(values, repeat=len(values))))


def quantile(ordered, probability):
    return ordered[math.ceil(probability * len(ordered)) - 1]


@pytest.mark.parametrize("values", [[1.0, 2.0, 4.0], [1.0, 2.0, 4.0, 8.0]])
def test_resampled_means_have_the_exact_distribution(values):
    """A seed drawn too rarely (an index off by one) would narrow every interval and go unseen."""
    exact = resamples(values)
    draws = resampled_means(np.array(values)[:, None], "key")[:, 0]
    for level in sorted(set(exact)):
        share = sum(one <= level for one in exact) / len(exact)
        spread = math.sqrt(share * (1 - share) / len(draws))
        assert abs((draws <= level + 1e-9).mean() - share) <= 4 * spread


def test_interval_of_a_mean_over_tasks_is_that_of_the_enumeration():
    """Tasks resampled in step (one random stream for all) would widen the means of architectures unnoticed."""
    one, other = [1.0, 2.0, 4.0, 8.0], [3.0, 3.5, 10.0, 30.0]
    exact = sorted((left + right) / 2 for left in resamples(one) for right in resamples(other))
    # Student's t(.975) with 6 degrees of freedom, from a table
    beyond = statistics.NormalDist().cdf(-2.446912 * math.sqrt(4 / 3))
    assert tail([4, 4]) == pytest.approx(beyond, rel=1e-4)
    found = mean_of([estimate(one, "one"), estimate(other, "other")])
    assert found.value == pytest.approx(7.6875) and found.sizes == (4, 4)
    low, high = found.interval
    assert quantile(exact, 0.5 * beyond) <= low <= quantile(exact, 1.5 * beyond)
    assert quantile(exact, 1 - 1.5 * beyond) <= high <= quantile(exact, 1 - 0.5 * beyond)
    assert found.std == pytest.approx(math.sqrt(statistics.variance(one) + statistics.variance(other)) / 2)


def test_percentiles_are_moved_outward_for_few_seeds():
    """Plain percentiles cover 90% for ten seeds and 84% for five where they say 95%."""
    for seeds, student in ((3, 4.302653), (5, 2.776445), (10, 2.262157)):
        expected = statistics.NormalDist().cdf(-student * math.sqrt(seeds / (seeds - 1)))
        assert tail([seeds]) == pytest.approx(expected, rel=1e-4) and tail([seeds]) < 0.0125
    assert tail([1000]) == pytest.approx(0.025, rel=0.01)
    assert tuple(estimate([5.0, 1.0, 2.0], "key").interval) == (1.0, 5.0)


def test_difference_and_gap_by_hand():
    """The definition: swapped roles of bp and shallow, or means of ratios, give other numbers that look as good."""
    one = compared(runs([80.0, 82.0], [78.0, 79.0], [40.0, 42.0]))
    assert one.difference.value == -2.5 and one.difference.std == pytest.approx(math.sqrt(0.5))
    assert tuple(one.difference.interval) == (-3.0, -2.0)
    assert one.gap.value == pytest.approx(37.5 / 40)
    assert tuple(one.gap.interval) == pytest.approx((37 / 40, 38 / 40))
    ratio_of_means = compared(runs([60.0, 70.0, 80.0], [50.0, 50.0, 80.0], [40.0, 40.0, 40.0])).gap.value
    assert ratio_of_means == pytest.approx(20 / 30)  # the mean of ratios is .611


def test_seeds_are_resampled_with_all_their_runs():
    """Runs resampled apart would drown a constant difference in the spread between seeds."""
    level = [0.0, 30.0, 50.0, 55.0]
    one = compared(runs([x + 40 for x in level], [x + 30 for x in level], level))
    assert one.gap.value == pytest.approx(0.75) and tuple(one.gap.interval) == pytest.approx((0.75, 0.75))
    assert one.difference.std == 0 and tuple(one.difference.interval) == (-10.0, -10.0)
    assert one.score.std == pytest.approx(statistics.stdev(level))


def test_gap_ignores_scale_and_origin_and_order():
    """A gap in the metric's unit, or draws that depend on the order of records, would still look like a number."""
    values = [[80.0, 83.0, 81.0], [77.0, 82.0, 79.0], [40.0, 46.0, 41.0]]
    one = compared(runs(*values))
    scaled = compared(runs(*[[0.5 * x + 7 for x in part] for part in values]))
    assert scaled.gap.value == pytest.approx(one.gap.value)
    assert tuple(scaled.gap.interval) == pytest.approx(tuple(one.gap.interval))
    assert tuple(scaled.difference.interval) == pytest.approx([x / 2 for x in one.difference.interval])
    turned = compared(runs(*values)[::-1])
    assert turned.gap.value == one.gap.value and turned.gap.interval == one.gap.interval


def test_lower_is_better_turns_the_difference_and_not_the_gap():
    """Without the sign every loss would be "not better than shallow", or worse, a failing bp would count as a gap."""
    values = [[0.80, 0.83, 0.81], [0.77, 0.82, 0.79], [0.40, 0.46, 0.41]]
    auc = compared(runs(*values, metric="auc"))
    loss = compared(runs(*[[1 - x for x in part] for part in values], metric="log_loss"))
    assert loss.gap.value == pytest.approx(auc.gap.value)
    assert tuple(loss.gap.interval) == pytest.approx(tuple(auc.gap.interval))
    assert loss.difference.value == pytest.approx(-auc.difference.value) and loss.difference.value > 0
    assert compared(runs(*values, metric="log_loss")).gap is None


def test_perplexity_is_compared_in_nats():
    """On its own scale a method at perplexity 60 between 30 and 480 would close 93% instead of 75%."""
    made = runs([30.0, 30.0], [60.0, 60.0], [480.0, 480.0], metric="valid_perplexity", domain="language")
    one = compared(made)
    assert one.gap.value == pytest.approx(0.75) and one.difference.value == pytest.approx(math.log(2))
    assert one.bp.value == 30.0 and one.effect == 0.01
    assert line(table(made), "Cora")["method − bp"] == "+.693 [+.693, +.693]"
    with pytest.raises(ValueError, match="no logarithm"):
        compared(runs([30.0], [0.0], [480.0], metric="valid_perplexity"))


@pytest.mark.parametrize(
    ("bp", "shallow"),
    [
        ([51.0, 52.0, 59.0], [50.0] * 3),  # every seed better, but t = 1.6: the bootstrap alone would let it pass
        ([50.0] * 3, [50.0] * 3),
        ([50.1] * 3, [50.0] * 3),  # certain, and smaller than anything that matters
        ([50.0] * 3, [60.0] * 3),
        ([50.2], [50.0]),
    ],
)
def test_no_gap_where_bp_is_not_clearly_better_than_shallow(bp, shallow):
    """A ratio over a denominator around 0 is huge, of either sign, and would lead every mean astray."""
    one = compared(runs(bp, [55.0] * len(bp), shallow))
    assert one.gap is None and one.remarks == ("no gap: bp is not clearly better than shallow",)
    assert one.difference.value == pytest.approx(55 - statistics.fmean(bp))


def test_a_denominator_lost_in_resampling_stays_an_open_end(monkeypatch):
    """A resampled bp − shallow of 0 or less must not come out as a large negative gap."""
    lost = np.tile([[30.0, 40.0], [30.0, -1.0]], (5000, 1))
    monkeypatch.setattr("benchmarks.statistics.comparison.resampled_means", lambda values, key: lost)
    gap = compared(runs([80.0] * 9, [70.0] * 9, [40.0] * 9)).gap
    assert gap.value == 0.75 and gap.interval is None and gap.draws.min() == 0.75
    few = np.where(np.arange(10_000) < 9_950, 0.75, np.inf)  # fewer than lie beyond the interval
    assert tuple(percentile_interval(few, [10])) == (0.75, 0.75)


def test_one_seed_gives_values_without_intervals():
    """An interval from nothing would look like certainty."""
    made = runs([80.0], [70.0], [40.0])
    one = compared(made)
    assert one.gap.value == 0.75 and one.gap.interval is None and one.difference.interval is None
    shown = line(table(made), "Cora")
    assert (shown["gap closed"], shown["method − bp"], shown["n effect"], shown["n sign"]) == (
        "75.0",
        "−10.0",
        "–",
        "–",
    )


def test_only_common_seeds_are_compared():
    """Means over different seeds differ by the seeds, which pairing is there to exclude."""
    made = [
        *records([10.0, 20.0, 80.0, 80.0]),
        *records([70.0, 72.0, 99.0, 99.0], method="dfa", first_seed=2),
        *records([40.0] * 6, method="shallow"),
    ]
    one = compared(made)
    assert one.difference.value == -9.0 and one.difference.sizes == one.gap.sizes == (2,)
    assert one.gap.value == pytest.approx(31 / 40) and one.bp.value == 47.5
    assert one.remarks == ("2 seeds in common: bp has 4, dfa has 4, shallow has 6",)
    apart = compared(
        [*records([80.0]), *records([70.0], method="dfa", first_seed=1), *records([4.0], method="shallow")]
    )
    assert apart.difference is None and "no seed in common" in apart.remarks[0]


def test_diverged_and_absent_runs_leave_a_reason():
    """Survivors alone would make an unstable method look good."""
    lost = record(None, 1, method="dfa", status="diverged", reason="loss is not finite")
    one = compared([*records([80.0, 80.0]), record(70.0, method="dfa"), lost, *records([40.0, 40.0], method="shallow")])
    assert one.gap.value == 0.75 and "dfa: 1 of 2 runs not ok: loss is not finite" in one.remarks
    none = compared([*records([80.0]), lost, *records([40.0], method="shallow")])
    assert none.score is None and none.difference is None
    assert none.remarks == ("no gap: dfa has no result (1 of 1 runs not ok: loss is not finite)",)
    assert compared(runs([80.0], [70.0], None)).remarks == ("no gap: shallow has no result",)
    headless = compared(runs(None, [70.0], [40.0]))
    assert headless.difference is None and headless.remarks == ("no gap: bp has no result",)
    both = compared(
        [record(None, method="bp", status="diverged", reason="of bp"), lost, *records([4.0], method="shallow")]
    )
    assert both.remarks[1:] == ("dfa: 1 of 1 runs not ok: loss is not finite",) and "of bp" in both.remarks[0]


def test_domains_are_means_over_architectures_not_over_tasks():
    """With one mean over all tasks, architectures on many datasets would outvote the others."""
    gcn = [compared(runs([80.0], [own], [40.0], dataset=name)) for own, name in ((60.0, "cora"), (68.0, "pubmed"))]
    gae = compared(runs([0.9], [0.86], [0.5], architecture="gae", metric="auc"))
    architecture = average(gcn, "gcn")
    assert (architecture.gap.value, architecture.bp.value, architecture.difference.value) == (0.6, 80.0, -16.0)
    domain = average([architecture, average([gae], "gae")], "citation")
    assert domain.gap.value == pytest.approx((0.6 + 0.9) / 2) and domain.tasks == 3
    assert (domain.metric, domain.bp, domain.difference) == ("", None, None)
    assert math.isnan(domain.effect)


def test_a_minority_of_tasks_gives_no_mean_gap():
    """Gaps are missing where bp is no better than shallow: the mean of what is left would be a selection."""
    whole, empty = runs([80.0], [70.0], [40.0]), runs([50.0], [50.0], [50.0], dataset="pubmed")
    built = table([*whole, *empty, *runs([80.0], [60.0], [40.0], dataset="citeseer")])
    assert line(built, "mean of 3")["gap closed"] == "62.5 (2/3)"
    built = table([*whole, *empty])
    assert line(built, "mean of 2")["gap closed"] == "–"
    assert "no mean gap: 1 of 2 tasks have one: GCN (dfa)" in built.notes


def test_recipes_without_controls_do_not_hide_their_domains_gap():
    """A recipe of DFA has no bp beside it; counted as an architecture, it would leave the domain without a mean."""
    fields = {"domain": "language", "dataset": "wikitext2", "metric": "valid_perplexity"}
    whole = runs([30.0], [60.0], [120.0], method="dfa_macro", architecture="transformer", **fields)
    recipe = records([90.0], method="dfa_macro", architecture="transformer_noam", **fields)
    built = table([*whole, *recipe])
    assert [row[1] for row in built.rows] == ["Transformer"] and built.rows[0][6] == "50.0"


def test_numbers_of_seeds_are_those_of_the_textbooks():
    """The normal quantile in place of Student's would ask for 32 pairs where 34 are needed, and for 4 in place of 7."""
    # paired t test, two-sided 5%, power .8, effects of .2, .5 and .8 std: Cohen 1988
    assert [seeds_for_sign(1.0, effect) for effect in (0.2, -0.5, 0.8)] == [199, 34, 15]
    # t(.975, 6) / √7 = .925 and t(.975, 5) / √6 = 1.050; t(.975, 17) / √18 = .497 and t(.975, 16) / √17 = .514
    assert [seeds_for_width(1.0, 1.0), seeds_for_width(10.0, 5.0)] == [7, 18]
    # three tasks: t(.975, 12) / √5 = .974 and t(.975, 9) / √4 = 1.131
    assert seeds_for_width(1.0, 1.0, tasks=3) == 5
    assert seeds_for_width(0.0, 0.5) == seeds_for_sign(0.0, 0.5) == 2
    assert seeds_for_sign(0.0, 0.0) == seeds_for_sign(1.0, 1e-9) == seeds_for_width(1.0, 1e-3) == math.inf
    assert math.isnan(seeds_for_width(math.nan, 1.0)) and math.isnan(seeds_for_sign(math.nan, 1.0))
