"""The Transformer's training step, and two parts of it that can be timed alone."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator
from itertools import count

import torch
from omegaconf import OmegaConf

from benchmarks.settings.compose import compose
from benchmarks.tasks.language.modelling import Batch, LanguageModelling
from benchmarks.training.checkpoint import seed_everything
from benchmarks.training.optim import Schedule, build_optimizer, clip_gradients
from datasets.wikitext.load import WikiText
from dfa_core import make_method

#: What is compared, by name: method and placement. Under bp and shallow the placement changes nothing.
FORMS = {
    "bp": ("bp", "macro"),
    "dfa macro": ("dfa", "macro"),
    "dfa micro": ("dfa", "micro"),
    "shallow": ("shallow", "macro"),
}

HEAD_WIDTH = 64  # of an attention head, as published: 8 heads at width 512

_WINDOWS = 4  # of text in every stream


class LanguageStepper:
    """One method in one placement, step by step.

    options: streams, context, width, layers, vocabulary, precision, device; see `language_step`.
    """

    def __init__(self, form: str, options: argparse.Namespace) -> None:
        method, placement = FORMS[form]
        config = compose(
            [f"task=wikitext103/{placement}", f"method={method}", "profile=paper", *_overrides(options)]
        ).task
        settings = OmegaConf.to_object(config)
        settings.model = OmegaConf.to_container(config.model)
        self._device, self._autocast = torch.device(options.device), options.precision == "bf16"
        self._clip_norm = settings.optim.clip_norm
        seed_everything(0)
        self.task = LanguageModelling(settings, text(options), seed=0)
        self.model = self.task.model.to(self._device).train()
        self.method = make_method(method, self.model)
        self.optimizer = build_optimizer(self.task, settings.optim)
        self.schedule = Schedule(self.optimizer, settings.optim, higher_is_better=False)
        self.batches: Iterator[Batch] = (batch for epoch in count() for batch in self.task.batches(epoch))

    def parts(self) -> dict[str, Callable[[], None]]:
        """What is timed, by name."""
        return {"step": self.step, "forward": self.forward, "update": self.update}

    def step(self) -> None:
        """From the next batch to the update of the weights, as `benchmarks.training.loop` does it."""
        self.optimizer.zero_grad(set_to_none=True)
        self.method.backward(self._loss())
        self.update()
        self.schedule.after_step()

    def forward(self) -> None:
        """From the next batch to its loss; the loss of a large vocabulary holds its gradients already."""
        self._loss()
        self.method.reset()

    def update(self) -> None:
        """Clipping and the optimizer's step, with the gradients of the last :meth:`step`."""
        clip_gradients(self.model.parameters(), self._clip_norm)
        self.optimizer.step()

    def _loss(self) -> torch.Tensor:
        with self._forward_context():
            return self.task.loss(next(self.batches))

    def _forward_context(self) -> contextlib.AbstractContextManager[None]:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._autocast)


def text(options: argparse.Namespace) -> WikiText:
    """Random tokens: a step takes as long as with those of a text."""
    generator = torch.Generator().manual_seed(0)
    lengths = {"train": options.streams * (_WINDOWS * options.context + 1)}
    lengths |= {split: options.context + 1 for split in ("valid", "test")}
    splits = {
        split: torch.randint(options.vocabulary, (length,), generator=generator) for split, length in lengths.items()
    }
    return WikiText(**splits, vocabulary=options.vocabulary, tokens=lengths, words=lengths, floors=None, tokenizer=None)


def _overrides(options: argparse.Namespace) -> list[str]:
    sizes = {"model.width": options.width, "model.layers": options.layers, "model.hidden": 4 * options.width}
    sizes["model.heads"] = options.width // HEAD_WIDTH
    sizes |= {"model.context": options.context, "streams": options.streams, "vocabulary": options.vocabulary}
    return [f"task.{name}={value}" for name, value in sizes.items()]
