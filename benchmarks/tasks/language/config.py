"""Settings of the Transformer. Published values lie in the dataclass; what differs by method lies in `conf/`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional

from benchmarks.settings.architectures import Architecture
from benchmarks.settings.schema import ModelConfig, TaskConfig


@dataclass
class LanguageConfig(TaskConfig):
    """Language modelling. The tokenization and `eval_stride` decide which perplexities may be compared."""

    datasets: ClassVar[tuple[str, ...]] = ("wikitext2", "wikitext103")

    suite: str = "${.dataset}"
    domain: str = "language"
    name: str = "${.suite}/${.model.placement}"
    metric: str = "valid_perplexity"
    vocabulary: int = 32_000  # BPE tokens, special ones included
    lowercase: bool = True
    end_of_line: str = "keep"  # keep (a token for each) | drop
    unknown: str = "token"  # WikiText's <unk>: one token | text
    streams: int = 64  # the training text in as many pieces, read side by side, `context` tokens a step
    eval_batch: int = 32  # windows at once
    eval_stride: Optional[int] = None  # noqa: UP045  tokens between windows; none: windows do not overlap, as published

    def least_activations(self) -> int:
        return self.model.layers * self.streams * self.model.context * (self.model.width + self.model.hidden)


@dataclass
class TransformerConfig(ModelConfig):
    """A decoder-only Transformer: as published by default (arXiv:2006.12878, section 3.4).

    The placement decides where a feedback method cuts the network. It changes neither parameters nor initial values,
    and nothing at all under backprop.
    """

    layers: int = 6  # blocks
    width: int = 512
    heads: int = 8
    hidden: int = 2048  # width of the feed-forward network's hidden layer
    context: int = 128  # tokens the network can look at; the positions that are encoded
    dropout: float = 0.1  # of the embedded tokens, the hidden layer, and what a sub-layer adds
    attention_dropout: float = 0.1  # of the attention weights
    norm: str = "post"  # post (of the sum, as published) | pre (of what enters a sub-layer)
    tied: bool = False  # do embedding and vocabulary projection share their matrix?
    placement: str = "macro"  # macro (a feedback point a block) | micro (three)
    tap: str = "before"  # the vocabulary projection: the error has its input's width | after: the vocabulary's
    top: str = (
        "feedback"  # what trains the part below the topmost point: feedback (as published) | error (its gradient)
    )

    choices: ClassVar[dict[str, tuple[str, str]]] = {
        "norm": ("post", "pre"),
        "placement": ("macro", "micro"),
        "tap": ("before", "after"),
        "top": ("feedback", "error"),
    }

    def least_parameters(self) -> int:
        return self.layers * (4 * self.width**2 + 2 * self.width * self.hidden)

    def least_modules(self) -> int:
        return self.layers

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % self.heads:
            raise ValueError(f"task.model.width={self.width}: must be a multiple of heads={self.heads}")
        if self.width % 2:
            raise ValueError(f"task.model.width={self.width}: must be even, positions are pairs of sine and cosine")
        if (self.layers, self.placement, self.top) == (1, "macro", "error"):
            raise ValueError("task.model.top=error: leaves a single block without feedback point; use top=feedback")


_MODELLING = "benchmarks.tasks.language.modelling:build"
_METRICS = (
    *("valid_perplexity", "valid_perplexity_word", "valid_loss"),
    *("test_perplexity", "test_perplexity_word"),
)

#: One network; the names tell the published recipes of optimization apart (Table 5).
ARCHITECTURES = {
    name: Architecture(LanguageConfig, TransformerConfig, _MODELLING, _METRICS)
    for name in ("transformer", "transformer_noam", "transformer_adam", "transformer_beta2")
}
