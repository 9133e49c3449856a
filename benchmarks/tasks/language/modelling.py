"""Language modelling: predict each token of a text from those before it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.tasks.language.config import LanguageConfig, TransformerConfig
from benchmarks.tasks.language.sampling import generate
from benchmarks.tasks.language.transformer import Transformer
from benchmarks.tasks.language.windows import windows
from benchmarks.tasks.task import Task
from datasets.core.source import Source
from datasets.wikitext.load import Tokenization, WikiText, load_wikitext
from dfa_core import Classes, Supervision

#: Temperatures of the text samples: the likeliest text, and one that varies.
SAMPLE_TEMPERATURES = (0.0, 0.8)
SAMPLE_PROMPT, SAMPLE_TOKENS, SAMPLE_TOP_K = 24, 100, 40

load_once = lru_cache(maxsize=2)(load_wikitext)  # a worker trains several methods on the same text


class Batch(NamedTuple):
    """Tokens of all streams and those that follow them, ``(streams, context)`` each."""

    ids: Tensor
    targets: Tensor


def build(config: LanguageConfig, source: Source, seed: int) -> LanguageModelling:
    """The task on the text of ``source``, which is encoded if that was not done before."""
    return LanguageModelling(config, load_once(source, tokenization(config)), seed)


def tokenization(config: LanguageConfig) -> Tokenization:
    """How a task's settings want the text to be encoded."""
    return Tokenization(config.vocabulary, config.lowercase, config.end_of_line, config.unknown)


class LanguageModelling(Task):
    """Cross-entropy per BPE token; perplexity per token, and per word as WikiText counts them.

    The training text is cut into `streams` pieces of one length, which are read side by side. Nothing is carried over
    from one window of `context` tokens to the next. Where windows begin changes with seed and epoch.

    Raises:
        ValueError: the text is shorter than one window of every stream, or than an evaluation's.
    """

    model: Transformer
    selection = "valid_loss"

    def __init__(self, config: LanguageConfig, text: WikiText, seed: int) -> None:
        self.config, self.text, self.seed = config, text, seed
        model = TransformerConfig(**config.model)
        self.context = model.context
        self._check()
        self.model = Transformer(model, text.vocabulary)
        per_stream = len(text.train) // config.streams
        self._streams = text.train[: config.streams * per_stream].unflatten(0, (config.streams, per_stream))
        self.about_data = f"{text.vocabulary:,} BPE tokens, {text.tokens['train']:,} of text"
        if text.floor is not None:
            self.about_data += f"; the grammar's own perplexity per word is {math.exp(text.floor):.1f}"

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        offset = int(np.random.SeedSequence([self.seed, epoch]).generate_state(1)[0]) % self.context
        last = self._streams.shape[1] - self.context - 1
        for begin in range(offset + start * self.context, last + 1, self.context):
            window = self._streams[:, begin : begin + self.context + 1].to(torch.int64)
            yield Batch(window[:, :-1], window[:, 1:])

    @property
    def epoch_length(self) -> int:
        return (self._streams.shape[1] - 1) // self.context

    def loss(self, batch: Batch) -> Tensor:
        ids, targets = (part.to(self._device, non_blocking=True) for part in batch)
        return self.model.loss(ids, targets)

    def supervision(self, batch: Batch) -> Supervision:
        targets = batch.targets.to(self._device)
        return Supervision(
            head=lambda tap, output: self.model.loss_of_output(output, targets),
            targets=lambda tap: Classes(targets, self.text.vocabulary),
        )

    def samples(self, batch: Batch) -> int:
        return batch.targets.numel()

    def validate(self) -> dict[str, float]:
        return {f"valid_{name}": value for name, value in self._scores("valid").items()}

    def test(self) -> dict[str, float]:
        scores = self._scores("test")
        return {f"test_{name}": scores[name] for name in ("perplexity", "perplexity_word")}

    def artefacts(self) -> dict[str, bytes]:
        """Text of the trained model: continuations of the test split's beginning."""
        prompt = self.text.test[:SAMPLE_PROMPT].to(torch.int64)
        samples = [f"prompt:\n{self.text.decode(prompt)}"]
        for temperature in SAMPLE_TEMPERATURES:
            generator = torch.Generator().manual_seed(self.seed)
            ids = generate(
                self.model,
                prompt.unsqueeze(0).to(self._device),
                SAMPLE_TOKENS,
                temperature=temperature,
                top_k=SAMPLE_TOP_K,
                generator=generator,
            )
            samples.append(f"temperature {temperature:g}:\n{self.text.decode(ids[0, SAMPLE_PROMPT:].cpu())}")
        return {"samples.txt": "\n\n".join(samples).encode()}

    def compile(self) -> None:
        # Up to the vocabulary, whose loss has a backward pass of its own, and which may lie above the tap. Block by
        # block every one would be compiled anew, since the names of marks differ.
        self.model.hidden = torch.compile(self.model.hidden, fullgraph=True)  # type: ignore[method-assign]

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _scores(self, split: str) -> dict[str, float]:
        """Loss in nats per token, perplexity per token and per word of a split."""
        ids: Tensor = getattr(self.text, split)
        stride = self.config.eval_stride or self.context
        nats, scored = 0.0, 0
        for window, targets in windows(ids, self.context, stride, self.config.eval_batch):
            nats += self.model.loss(window.to(self._device), targets.to(self._device)).item() * targets.numel()
            scored += targets.numel()
        # All tokens but the first are scored; a word's share of the loss is therefore taken of as many words.
        words = self.text.words[split] * scored / self.text.tokens[split]
        return {
            "loss": nats / scored,
            "perplexity": _perplexity(nats / scored),
            "perplexity_word": _perplexity(nats / words),
        }

    def _check(self) -> None:
        config, text = self.config, self.text
        if len(text.train) // config.streams <= 2 * self.context:
            raise ValueError(
                f"task.streams={config.streams}: {len(text.train)} training tokens are not enough for windows of "
                f"{self.context} tokens in each; take fewer streams, or a shorter task.model.context"
            )
        for split in ("valid", "test"):
            if (length := len(getattr(text, split))) <= self.context:
                raise ValueError(
                    f"task.model.context={self.context}: the {split} split has {length} tokens, and more than a "
                    "context are needed; take a shorter one"
                )
        if (config.eval_stride or 1) > self.context:
            raise ValueError(f"task.eval_stride={config.eval_stride}: must be {self.context} (the context) or less")


def _perplexity(nats: float) -> float:
    """exp(nats); of a model that is worse than anything, infinity."""
    return math.exp(nats) if nats < 700 else math.inf
