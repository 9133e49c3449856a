"""The list of mutants: every method has three or more, and each can be made in the code as it stands."""

from __future__ import annotations

from collections import Counter

from benchmarks.catalogue.methods import shipped_methods
from tests import REPOSITORY
from tests.mutants.mutants import MUTANTS


def test_every_mutant_can_be_made():
    """Without it a renamed variable would show when somebody runs all mutants, half an hour later."""
    for mutant in MUTANTS:
        text = (REPOSITORY / "dfa_core" / f"{mutant.module}.py").read_text(encoding="utf-8")
        assert text.count(mutant.right) == 1, f"{mutant.module}: {mutant.what}"
        assert mutant.wrong != mutant.right


def test_every_method_has_three_or_more():
    counts = Counter(mutant.method for mutant in MUTANTS)
    assert all(counts[method] >= 3 for method in shipped_methods())
