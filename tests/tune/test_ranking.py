"""Which trial of a search is the best: judged by validation alone, with all its seeds."""

from __future__ import annotations

import dataclasses

import pytest

from benchmarks.tune.report import remarks
from benchmarks.tune.search import Search
from benchmarks.tune.space import load
from benchmarks.tune.validation import blind
from tests.helpers.trials import ranked, record


def test_the_test_metric_does_not_count(tmp_path):
    """Settings chosen on the test set would look better than they are, those of the method tuned longest the most."""
    ranking = ranked(
        tmp_path,
        [record(0, accuracy=50.0, valid_accuracy=70.0)],
        [record(1, accuracy=99.0, valid_accuracy=10.0)],
        [record(2, accuracy=1.0, valid_accuracy=60.0)],
        [record(3, accuracy=55.0, valid_accuracy=40.0)],
    )
    assert ranking.best.trial.number == 2 and ranking.best.value == 60.0 and ranking.shipped_is_better
    assert ranking.growth() == {1: 10.0, 2: 60.0, 3: 60.0}
    seen = blind(record(1, accuracy=99.0, valid_accuracy=10.0, alignment_cosine_mean=0.9))
    assert seen.metrics == {"valid_accuracy": 10.0} and seen.primary_metric == "valid_accuracy"


def test_a_bad_trial_ranks_last_whatever_its_other_runs_say(tmp_path):
    """A mean over the seeds that survived would prefer settings that diverge on the hard ones."""
    ranking = ranked(
        tmp_path,
        [record(0, valid_accuracy=70.0)],
        [record(1, 0, valid_accuracy=95.0), record(1, 1, "diverged", valid_accuracy=94.0)],
        [record(2, 0, "failed"), record(2, 1, valid_accuracy=95.0)],
        [record(3, 0, valid_accuracy=30.0), record(3, 1, valid_accuracy=50.0)],
        [record(4, 0, valid_accuracy=40.0), record(4, 1, valid_accuracy=40.0)],
        [record(5, valid_accuracy=1e99)],
    )
    assert ranking.best.trial.number == 3 and ranking.best.value == 40.0  # the earlier of two equal ones
    assert ranking.growth() == {1: None, 2: None, 4: 40.0, 5: 40.0}
    assert (ranking.count("ok"), ranking.count("diverged"), ranking.count("failed")) == (2, 2, 1)
    with pytest.raises(ValueError, match="no valid_accuracy in its record"):
        ranked(tmp_path, [record(6, accuracy=1.0)])


def test_a_trial_that_was_skipped_has_not_diverged(tmp_path):
    """A method that a task does not suit would read as one that explodes at every setting."""
    ranking = ranked(tmp_path, [record(0, 0, "skipped")], [record(1, 0, "skipped"), record(1, 1, "diverged")])
    assert ranking.shipped.status == "skipped" and (ranking.count("skipped"), ranking.count("diverged")) == (1, 0)
    search = Search("citation/gcn_cora", ("dfa",), load("rate"), 1, 0, "smoke", (0, 1))
    assert "dfa: 1 of 1 trials skipped: the task does not suit it" in remarks(search, {"dfa": ranking})


def test_a_lower_perplexity_is_better(tmp_path):
    """The worst settings of language models would be written down as the best."""
    values = [record(n, valid_perplexity=v) for n, v in enumerate([50.0, 80.0, 40.0, 60.0])]
    values = [dataclasses.replace(one, primary_metric="valid_perplexity") for one in values]
    ranking = ranked(tmp_path, *([one] for one in values), metric="valid_perplexity")
    assert ranking.best.value == 40.0 and not ranking.shipped_is_better and ranking.growth()[1] == 80.0
