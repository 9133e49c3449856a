"""Ways to break the benchmark that a regression gate exists for, each as a context in which runs are broken.

Each is put where the real mistake would be made, in the engine or in a task's data, and leaves settings, data
fingerprints and the records' form alone: only the numbers can give it away.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from benchmarks.tasks.citation import classification, gae
from benchmarks.tasks.criteo import click_prediction
from benchmarks.tasks.language import modelling
from benchmarks.tasks.view_synthesis import reconstruction
from datasets.scenes.load import Views
from dfa_core.methods import DFA

_signals = DFA.signals


@contextmanager
def flipped_sign() -> Iterator[None]:
    """−B in place of B at one feedback point, the deepest, in training and in the alignment measurement alike."""

    def signals(self: DFA, forward_pass: Any) -> dict[str, Tensor | None]:
        sent = _signals(self, forward_pass)
        deepest = next(iter(self.layout.points))
        return {name: -signal if name == deepest else signal for name, signal in sent.items()}

    with mock.patch.object(DFA, "signals", signals):
        yield


@contextmanager
def shallow_in_disguise() -> Iterator[None]:
    """What calls itself dfa sends nothing: the hidden layers stay as they were drawn."""
    with mock.patch.object(DFA, "signals", lambda self, forward_pass: {}):
        yield


@contextmanager
def zero_feedback() -> Iterator[None]:
    """Signals are sent, and all are zero: gradients exist, and an optimizer with weight decay acts on them."""

    def signals(self: DFA, forward_pass: Any) -> dict[str, Tensor | None]:
        return {name: torch.zeros_like(signal) for name, signal in _signals(self, forward_pass).items()}

    with mock.patch.object(DFA, "signals", signals):
        yield


@contextmanager
def leaked_labels(share: float = 1.0) -> Iterator[None]:
    """Training sees what the test scores: nodes, links, clicks, views, or text. ``share`` of it, at least one."""
    with ExitStack() as stack:
        for place in (_leaked_nodes, _leaked_links, _leaked_clicks, _leaked_views, _leaked_text):
            stack.enter_context(place(share))
        yield


def _some(held_out: Tensor, share: float) -> Tensor:
    return held_out[: max(1, round(share * len(held_out)))]


def _leaked_nodes(share: float) -> AbstractContextManager[Any]:
    honest = classification._split

    def split(data: Any, kind: str, seed: int) -> tuple[Tensor, Tensor, Tensor]:
        train, valid, test = honest(data, kind, seed)
        return torch.cat([train, _some(test, share)]), valid, test

    return mock.patch.object(classification, "_split", split)


def _leaked_links(share: float) -> AbstractContextManager[Any]:
    class Split(gae.RandomLinkSplit):
        def forward(self, data: Any) -> tuple[Any, Any, Any]:
            train, valid, test = super().forward(data)
            pairs = test.pos_edge_label_index
            pairs = pairs[:, : max(1, round(share * pairs.size(1)))]
            train.edge_index = torch.cat([train.edge_index, pairs, pairs.flip(0)], 1)
            return train, valid, test

    return mock.patch.object(gae, "RandomLinkSplit", Split)


def _leaked_clicks(share: float) -> AbstractContextManager[Any]:
    def leak(task: Any) -> None:
        split = task.split
        task.split = split._replace(train=torch.cat([split.train, _some(split.test, share)]))

    return _afterwards(click_prediction.ClickPrediction, leak)


def _leaked_views(share: float) -> AbstractContextManager[Any]:
    def leak(task: Any) -> None:
        train, test = task.scene.train, task.scene.test
        count = max(1, round(share * len(test)))
        more = Views(
            torch.cat([train.images, test.images[:count]]),
            torch.cat([train.poses, test.poses[:count]]),
            train.names + test.names[:count],
        )
        task._train = reconstruction._Pixels(more)

    return _afterwards(reconstruction.Reconstruction, leak)


def _leaked_text(share: float) -> AbstractContextManager[Any]:
    honest = modelling.load_once

    def load(*arguments: Any) -> Any:
        text = honest(*arguments)
        train = torch.from_numpy(np.concatenate([text.train.numpy(), _some(text.valid, share).numpy()]))
        return dataclasses.replace(text, train=train)

    return mock.patch.object(modelling, "load_once", load)


def _afterwards(task: type, leak: Callable[[Any], None]) -> AbstractContextManager[Any]:
    """The task's constructor, with ``leak`` called on what it made."""
    honest = task.__init__  # type: ignore[misc]

    def construct(self: Any, *arguments: Any, **options: Any) -> None:
        honest(self, *arguments, **options)
        leak(self)

    return mock.patch.object(task, "__init__", construct)


#: By name, as `tests.gate_trials` takes them.
SABOTAGES: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "flipped_sign": flipped_sign,
    "shallow_in_disguise": shallow_in_disguise,
    "zero_feedback": zero_feedback,
    "leaked_labels": leaked_labels,
}
