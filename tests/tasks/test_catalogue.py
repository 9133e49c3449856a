"""Finding the catalogues of domains."""

from __future__ import annotations

import importlib
import sys

import pytest

import benchmarks.tasks
from benchmarks.catalogue import discovery


@pytest.mark.parametrize("text", ["", "DOMAIN = 'mine'\n"])
def test_a_catalogue_without_a_domain_is_named(text, tmp_path, monkeypatch):
    """It was an AttributeError, of every command."""
    package = tmp_path / "nameless"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "catalogue.py").write_text(text)
    monkeypatch.setattr(discovery, "_TASKS", tmp_path)
    monkeypatch.setattr(benchmarks.tasks, "__path__", [str(tmp_path)])
    importlib.invalidate_caches()
    monkeypatch.delitem(sys.modules, "benchmarks.tasks.nameless", raising=False)
    monkeypatch.delitem(sys.modules, "benchmarks.tasks.nameless.catalogue", raising=False)
    with pytest.raises(ValueError, match=r"nameless/catalogue\.py: write DOMAIN = Domain"):
        discovery.domains.__wrapped__()
