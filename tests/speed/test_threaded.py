"""Segments in threads: the same gradients, and only what shares no part of the graph apart from each other."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmarks.settings.schema import HardwareConfig
from benchmarks.speed.forms import FORMS
from benchmarks.speed.peers import threaded
from benchmarks.speed.peers.threaded import segments, shared_out
from benchmarks.speed.subjects import Subject


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("task", ["mnist/mlp", "wikitext2/micro", "criteo/deepfm"])
def test_gradients_are_those_of_one_call(task, two_threads, monkeypatch):
    """A segment that was lost, or an embedding's sum that two threads wrote at once, would differ."""
    shared: list[int] = []
    monkeypatch.setattr(threaded, "shared_out", lambda *given: shared.append(len(found := shared_out(*given))) or found)
    gradients = {}
    for form in ("dfa", "dfa, in threads"):
        stepper = Subject(task, "laptop").stepper(FORMS[form], HardwareConfig("cpu", "fp32", 2))
        stepper.loop.gradients(next(stepper.batches))
        gradients[form] = {name: p.grad for name, p in stepper.task.model.named_parameters() if p.grad is not None}
    assert shared == [2]  # both threads had something to do
    assert gradients["dfa"].keys() == gradients["dfa, in threads"].keys()
    for name, found in gradients["dfa, in threads"].items():
        torch.testing.assert_close(found, gradients["dfa"][name], rtol=1e-5, atol=1e-7)


def test_segments_that_share_a_part_of_the_graph_stay_together():
    """Two threads in one part would free its tensors under each other's hands; a shared parameter is no such part."""
    layer, x = nn.Linear(3, 3), torch.ones(2, 3)
    trunk = torch.tanh(layer(x))
    left, right, apart = trunk * 2, trunk * 3, torch.tanh(layer(x))
    roots = [(root, torch.ones_like(root)) for root in (left, apart, right)]
    groups = [[root for root, _ in group] for group, _ in segments(roots)]
    assert sorted(map(len, groups)) == [1, 2]
    (alone,) = next(group for group in groups if len(group) == 1)
    assert alone is apart


def test_threads_get_equal_shares():
    """Otherwise one thread would wait for the other, and the measurement would say nothing of threads."""
    groups = [([(torch.ones(1), None)], size) for size in (1, 5, 2, 4)]
    parts = shared_out(groups, 2)
    assert sorted(len(part) for part in parts) == [2, 2]
    assert len(shared_out(groups[:1], 2)) == 1
