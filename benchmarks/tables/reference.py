"""The paper's number beside a cell."""

from __future__ import annotations

from benchmarks.catalogue.reference import Key, Published, published
from benchmarks.records.cells import ResultCell


def beside(cell: ResultCell) -> Published | None:
    """The number that may stand beside ``cell``: none unless it comes from real data and the settings as shipped."""
    if cell.key.data_source != "real" or cell.key.variant:
        return None
    key = Key(cell.domain, cell.architecture, cell.dataset, cell.key.method, cell.key.metric)
    return published().get(key)
