"""The words of docstrings and documents: plain ones, and a subject first."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests import REPOSITORY

PACKAGES = ("benchmarks", "datasets", "dfa_core", "examples")
#: Openings after which a reader has to guess what is spoken of.
RIDDLES = ("What ", "Of ", "Those ")
QUAINT = re.compile(r"\b(mend|mends|mended|cure|cures|dear|enshrine|for ever)\b", re.IGNORECASE)


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every docstring of a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), text


def test_docstrings_open_with_their_subject():
    """Without it readers who are not native speakers would have to parse a riddle before they know what a thing is."""
    found = [
        f"{path.relative_to(REPOSITORY)}:{line}: {text.splitlines()[0]}"
        for package in PACKAGES
        for path in sorted((REPOSITORY / package).rglob("*.py"))
        for line, text in docstrings(path)
        if text.startswith(RIDDLES)
    ]
    assert not found, "\n".join(found)


def test_no_rare_words():
    """Without it words that a dictionary is needed for would come back, one comment at a time."""
    folders = [REPOSITORY / name for name in (*PACKAGES, "conf", "docs", "tests")]
    texts = [path for folder in folders for end in ("py", "md", "yaml") for path in folder.rglob(f"*.{end}")]
    kept = [*texts, *REPOSITORY.glob("*.md"), REPOSITORY / "results/README.md"]
    kept.remove(Path(__file__))
    found = [
        f"{path.relative_to(REPOSITORY)}: {one[0]}" for path in kept for one in QUAINT.finditer(path.read_text("utf-8"))
    ]
    assert len(kept) > 300 and not found, "\n".join(found)
