"""The Transformer's training step, and two parts of it that can be timed alone."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import cast

import torch

from benchmarks.settings.schema import HardwareConfig
from benchmarks.speed.stepper import Stepper
from benchmarks.tasks.language.modelling import LanguageModelling
from datasets.wikitext.load import WikiText
from datasets.wikitext.tokenizer import WordTokenizer

#: What is compared, by name: method and placement. Under bp and shallow the placement changes nothing.
FORMS = {
    "bp": ("bp", "macro"),
    "dfa macro": ("dfa", "macro"),
    "dfa micro": ("dfa", "micro"),
    "shallow": ("shallow", "macro"),
}

HEAD_WIDTH = 64  # of an attention head, as published: 8 heads at width 512

_WINDOWS = 4  # of text in every stream


class LanguageStepper(Stepper[LanguageModelling]):
    """One method in one placement, step by step.

    options: streams, context, width, layers, vocabulary, precision, device; see `language_step`.
    """

    def __init__(self, form: str, options: argparse.Namespace) -> None:
        method, placement = FORMS[form]
        super().__init__(
            [f"task=wikitext103/{placement}", f"method={method}", *_overrides(options)],
            lambda settings: LanguageModelling(settings, text(options), seed=0),
            HardwareConfig(device=options.device, precision=options.precision),
        )

    def parts(self) -> dict[str, Callable[[], None]]:
        """The timed parts, by name."""
        return {"step": self.step, "forward": self.forward, "update": self.loop.update}

    def forward(self) -> None:
        """From the next batch to its loss; the loss of a large vocabulary holds its gradients already."""
        with self.loop.forward_context():
            self.task.loss(next(self.batches))
        self.loop.method.reset()


def text(options: argparse.Namespace) -> WikiText:
    """Random tokens: a step takes as long as with those of a text."""
    generator = torch.Generator().manual_seed(0)
    lengths = {"train": options.streams * (_WINDOWS * options.context + 1)}
    lengths |= {split: options.context + 1 for split in ("valid", "test")}
    splits = {
        split: torch.randint(options.vocabulary, (length,), generator=generator) for split, length in lengths.items()
    }
    return WikiText(
        **splits,
        vocabulary=options.vocabulary,
        tokens=lengths,
        words=lengths,
        floors=None,
        tokenizer=cast(WordTokenizer, None),
    )


def _overrides(options: argparse.Namespace) -> list[str]:
    sizes = {"model.width": options.width, "model.layers": options.layers, "model.hidden": 4 * options.width}
    sizes["model.heads"] = options.width // HEAD_WIDTH
    sizes |= {"model.context": options.context, "streams": options.streams, "vocabulary": options.vocabulary}
    return [f"task.{name}={value}" for name, value in sizes.items()]
