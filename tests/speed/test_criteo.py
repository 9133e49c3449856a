"""Criteo's step timing: the parts that it times make up the training loop's step."""

from __future__ import annotations

from itertools import count, islice

import pytest
import torch

from benchmarks.speed import criteo_step
from benchmarks.speed.criteo_step import FORMS, PARTS, CriteoStepper, read_rows, write_rows


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A thousand rows of the 39 fields, each with five values, and a batch of 16."""
    monkeypatch.setattr(criteo_step, "FIELD_SIZES", (5,) * 39)
    write_rows(tmp_path, 1000)
    return read_rows(tmp_path)


@pytest.mark.parametrize("form", FORMS)
def test_the_timed_parts_are_a_step(form, small):
    """Without it a part that is forgotten (clipping, say) would make steps look shorter than those of training."""
    timed, other = CriteoStepper(form, small), CriteoStepper(form, small)
    batches = (batch for epoch in count() for batch in other.task.batches(epoch))
    torch.manual_seed(1)
    seconds = [timed.timed_step() for _ in range(3)]
    torch.manual_seed(1)
    for batch in islice(batches, 3):
        other.loop.step(batch)
    assert all(len(parts) == len(PARTS) and min(parts) >= 0 for parts in seconds)
    for (name, mine), (_, its) in zip(
        timed.task.model.named_parameters(), other.task.model.named_parameters(), strict=True
    ):
        assert torch.equal(mine, its), name
