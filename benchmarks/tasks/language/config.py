"""Settings of the Transformer. Published values lie in the dataclass; what differs by method lies in `conf/`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from benchmarks.settings.limits import COUNT, PROBABILITY, at_least, limited, one_of
from benchmarks.settings.schema import ModelConfig, TaskConfig


@dataclass
class LanguageConfig(TaskConfig):
    """Language modelling. The tokenization and `eval_stride` decide which perplexities may be compared."""

    suite: str = "${.dataset}"
    domain: str = "language"
    name: str = "${.suite}/${.model.placement}"
    metric: str = "valid_perplexity"
    vocabulary: int = limited(at_least(258), 32_000)  # BPE tokens: 256 bytes, a special token and the merges
    lowercase: bool = True
    end_of_line: str = limited(one_of("keep", "drop"), "keep")  # keep: a token for each
    unknown: str = limited(one_of("token", "text"), "token")  # of WikiText's <unk>
    streams: int = limited(COUNT, 64)  # the training text in as many pieces, read side by side, `context` tokens a step
    eval_batch: int = limited(COUNT, 32)  # windows at once
    #: tokens between windows; none: windows do not overlap, as published
    eval_stride: Optional[int] = limited(COUNT, None)  # noqa: UP045

    def min_activations(self) -> int:
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
    dropout: float = limited(PROBABILITY, 0.1)  # of the embedded tokens, the hidden layer, and what a sub-layer adds
    attention_dropout: float = limited(PROBABILITY, 0.1)  # of the attention weights
    #: post: of the sum, as published; pre: of what enters a sub-layer
    norm: str = limited(one_of("post", "pre"), "post")
    tied: bool = False  # do embedding and vocabulary projection share their matrix?
    #: macro: a feedback point a block; micro: three
    placement: str = limited(one_of("macro", "micro"), "macro")
    #: before the vocabulary projection the error has its input's width, after it the vocabulary's
    tap: str = limited(one_of("before", "after"), "before")
    #: what trains the part below the topmost point: feedback, as published, or the gradient of the error
    top: str = limited(one_of("feedback", "error"), "feedback")

    def min_parameters(self) -> int:
        return self.layers * (4 * self.width**2 + 2 * self.width * self.hidden)

    def min_modules(self) -> int:
        return self.layers

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % self.heads:
            raise ValueError(f"task.model.width={self.width}: must be a multiple of heads={self.heads}")
        if self.width % 2:
            raise ValueError(f"task.model.width={self.width}: must be even, positions are pairs of sine and cosine")
        if (self.layers, self.placement, self.top) == (1, "macro", "error"):
            raise ValueError("task.model.top=error: leaves a single block without feedback point; use top=feedback")
