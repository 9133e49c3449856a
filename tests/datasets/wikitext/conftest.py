"""A data root with WikiText-103, and a cache of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.datasets.wikitext.loading import TRAIN
from tests.helpers.wikitext_samples import write_splits


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with WikiText-103's files, which have no checksum, and an empty cache."""
    monkeypatch.setenv("DFA_DATA_DIR", str(tmp_path / "root"))
    monkeypatch.setenv("DFA_CACHE_DIR", str(tmp_path / "cache"))
    write_splits(tmp_path / "root" / "wikitext-103", TRAIN)
    return tmp_path / "root"
