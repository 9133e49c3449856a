"""Train a small MLP on scikit-learn's digits:  python examples/digits.py [bp | dfa | shallow]

The loop is an ordinary one; the method's name is the only thing that changes. Takes two seconds. Test
accuracy (seed 0): bp 0.956, dfa 0.953, shallow 0.782.
"""

from __future__ import annotations

import argparse
import sys

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dfa_core import ErrorTap, FeedbackPoint, make_method


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images ``(samples, 64)`` in [0, 1] and labels: 1347 to train on, 450 to test on."""
    data = load_digits()
    images, labels = torch.tensor(data.data / 16, dtype=torch.float32), torch.tensor(data.target)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    train, test = order[450:], order[:450]
    return images[train], labels[train], images[test], labels[test]


def main(name: str = "dfa", epochs: int = 20, seed: int = 0) -> float:
    """Accuracy on the test images after training by method ``name``."""
    x, y, x_test, y_test = digits()
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(64, 32), nn.Tanh(), FeedbackPoint(32),
        nn.Linear(32, 32), nn.Tanh(), FeedbackPoint(32),
        nn.Linear(32, 10), ErrorTap(10),
    )  # fmt: skip
    method = make_method(name, model)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(y)).split(64):
            optimizer.zero_grad()
            method.backward(cross_entropy(model(x[rows]), y[rows]))
            optimizer.step()
    with torch.no_grad():
        return (model(x_test).argmax(1) == y_test).float().mean().item()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train a small MLP on scikit-learn's digits.")
    parser.add_argument("method", nargs="?", default="dfa", choices=("bp", "dfa", "shallow"))
    chosen = parser.parse_args().method
    sys.stdout.write(f"{chosen}: test accuracy {main(chosen):.3f}\n")
