"""How a data source reads above a table or chart, and what it adds to a file's name."""

from __future__ import annotations

STANDIN = "stand-in data: not comparable with the paper"


def data_title(source: str) -> str:
    """``source`` in plain words."""
    return {"real": "real data", "stand-in": STANDIN}.get(source, f"data source {source}")


def data_markdown(source: str) -> str:
    """The same for a table's subtitle: in bold, but for real data."""
    return data_title(source) if source == "real" else f"**{data_title(source)}**"


def suffix_of(source: str) -> str:
    """The end of a file's name that keeps its content apart from that of real data, which has none."""
    return "" if source == "real" else f"_{source.replace('-', '')}"
