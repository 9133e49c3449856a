"""Peers do the same work as ours, and one that is not installed is left out in words."""

from __future__ import annotations

import importlib.util

import pandas as pd
import pytest
import torch

from benchmarks.settings.schema import HardwareConfig
from benchmarks.speed.peers import __main__ as command
from benchmarks.speed.peers import others
from benchmarks.speed.peers.graphs import GRAPHS
from benchmarks.speed.products import products

ON_CPU = HardwareConfig("cpu", "fp32", 1)


@pytest.mark.parametrize("task", list(GRAPHS))
def test_graph_peers_have_our_parameters(task):
    """A peer with fewer layers or channels would make any step of ours look slow, one with more fast."""
    pair = GRAPHS[task](ON_CPU)
    ours, theirs = _trained(pair.ours), _trained(pair.theirs)
    assert ours == theirs and ours > 0


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="transformers is not installed")
def test_the_language_model_has_the_same_products():
    """Its vocabulary's loss and ours are products of the same sizes, whatever is kept in memory in between."""
    pair = others.language(ON_CPU)
    ours, theirs = products(pair.ours), products(pair.theirs)
    assert theirs == ours


def test_a_missing_peer_is_left_out_in_words(tmp_path, monkeypatch, capsys):
    """Without it the whole table would depend on a package that nobody has to have."""

    def missing(hardware):
        raise ModuleNotFoundError("No module named 'elsewhere'")

    monkeypatch.setitem(command.PEERS, "deepfm", command.Peer("elsewhere", "clicks", missing))
    out = tmp_path / "peers.csv"
    assert command.main(["--peers", "gcn,deepfm", "--threads", "1", "--seconds", "0.1", "--out", str(out)]) == 0
    assert "deepfm: left out, since elsewhere is missing: pip install elsewhere" in capsys.readouterr().out
    frame = pd.read_csv(out)
    assert list(frame.peer) == ["gcn"] and frame.package[0].startswith("torch-geometric ")
    assert (frame.low <= frame.ratio).all() and (frame.ratio <= frame.high).all()
    with pytest.raises(SystemExit) as stopped:
        command.main(["--peers", "deepfm"])
    assert stopped.value.code == 2


def test_an_unknown_peer_is_refused_in_one_line(capsys):
    """Otherwise a misspelt peer would be missing without a word."""
    with pytest.raises(SystemExit) as stopped:
        command.main(["--peers", "gnc"])
    assert stopped.value.code == 2 and "gnc is none; choose of cheb, gcn" in capsys.readouterr().err


def _trained(step) -> int:
    """How many numbers an optimizer's step moves."""
    moved: list[int] = []
    original = torch.optim.Adam.step
    torch.optim.Adam.step = lambda self, *arguments: (
        moved.append(sum(p.numel() for group in self.param_groups for p in group["params"] if p.grad is not None)),
        original(self, *arguments),
    )[1]
    try:
        step()
    finally:
        torch.optim.Adam.step = original
    return moved[0]
