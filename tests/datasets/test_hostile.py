"""Proof that a loader which fails on altered data files is noticed (`test_hostile.py` tries the loaders there are)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile import data as hostile_data


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (lambda *arguments: {}["key"], KeyError),
        (lambda *arguments: (_ for _ in ()).throw(hostile_data.DataError("x" * 2000)), AssertionError),
    ],
)
def test_a_loader_that_fails_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: object, said: type[Exception]
) -> None:
    """A runner that catches too much finds nothing, whatever the loaders do."""
    monkeypatch.setattr(hostile_data, "load_citation", what)
    with pytest.raises(said):
        hostile_data.Hostile(tmp_path).attempt(0)
