"""README: its table of results is the headline file."""

from __future__ import annotations

import re

from benchmarks.records import paths
from tests import REPOSITORY


def test_the_table_is_the_headline_file():
    """Without it the first numbers that a reader sees could be those of records that are no longer there."""
    headline = paths.tables(paths.published(REPOSITORY / "results")) / "headline.md"
    expected = [line for line in headline.read_text().splitlines() if line.startswith("|")]
    readme = (REPOSITORY / "README.md").read_text().splitlines()
    start = readme.index(expected[0])
    assert readme[start : start + len(expected)] == expected and not readme[start + len(expected)].startswith("|")


def test_every_file_that_is_linked_to_is_there():
    """A link that leads nowhere is the first thing that a reader tries."""
    text = (REPOSITORY / "README.md").read_text()
    links = {target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", text) if "://" not in target}
    assert len(links) >= 5
    assert not [link for link in sorted(links) if link and not (REPOSITORY / link).exists()]
