"""How a data source reads above a table or chart, and what it adds to a file's name."""

from __future__ import annotations

REAL, STANDIN = "real", "stand-in"
#: Every data source that a run may have; "unknown" of one that failed before it opened its data.
SOURCES = (REAL, STANDIN, "unknown")


def data_title(source: str) -> str:
    """``source`` in plain words."""
    titles = {REAL: "real data", STANDIN: "stand-in data: not comparable with the paper"}
    return titles.get(source, f"data source {source}")


def suffix_of(source: str) -> str:
    """The end of a file's name that keeps its content apart from that of real data, which has none."""
    return "" if source == REAL else f"_{source.replace('-', '')}"
