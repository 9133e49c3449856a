"""The first hundred of the trials with altered data files, and proof that a loader which fails is noticed."""

from __future__ import annotations

import hostile_data
import pytest


def test_altered_files_are_loaded_or_refused_in_one_line() -> None:
    """Without it a damaged file ends a run in a traceback, or is trained on as if it were good."""
    assert hostile_data.run(110) == []


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (lambda *arguments: {}["key"], "KeyError"),
        (lambda *arguments: (_ for _ in ()).throw(hostile_data.DataError("x" * 2000)), "no line"),
    ],
)
def test_a_loader_that_fails_is_noticed(monkeypatch: pytest.MonkeyPatch, what: object, said: str) -> None:
    """A runner that catches too much finds nothing, whatever the loaders do."""
    monkeypatch.setattr(hostile_data, "load_citation", what)
    failures = hostile_data.run(1)
    assert len(failures) == 1 and failures[0].startswith("trial 0 (citation): ") and said in failures[0]
