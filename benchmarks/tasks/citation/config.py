"""Settings of the citation-graph tasks. Published values live in `conf/architecture/`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from benchmarks.settings.limits import PROBABILITY, at_least, limited, one_of
from benchmarks.settings.schema import ModelConfig, TaskConfig

#: Of the smallest graph, PubMed.
FEATURES = 500


@dataclass
class CitationConfig(TaskConfig):
    """Node classification or link prediction on a citation graph."""

    cpu_only: ClassVar[bool] = True  # graph, splits and cached operators; a step takes milliseconds there
    precisions: ClassVar[tuple[str, ...]] = ("fp32",)  # PyTorch has no sparse products of bf16
    compiles: ClassVar[bool] = False  # sparse products end a compiled region: dozens of them in a step of 2 ms

    domain: str = "citation"
    suite: str = "citation"
    metric: str = "accuracy"
    #: folds: 5 stratified ones, drawn by the seed; 1 for training, 1 for validation, 3 for the test
    split: str = limited(one_of("public", "folds"), "public")
    normalize: bool = True  # rows of the bag-of-words features sum to one


@dataclass
class GCNConfig(ModelConfig):
    """Two-layer GCN."""

    hidden: int = 16
    dropout: float = limited(PROBABILITY, 0.5)

    def min_parameters(self) -> int:
        return FEATURES * self.hidden


@dataclass
class ChebConfig(ModelConfig):
    """Two-layer Chebyshev network."""

    hidden: int = 16
    order: int = 2  # K: polynomials T_0 … T_{K−1}
    dropout: float = limited(PROBABILITY, 0.5)

    def min_parameters(self) -> int:
        return FEATURES * self.hidden * self.order

    def min_modules(self) -> int:
        return self.order


@dataclass
class SplineConfig(ModelConfig):
    """Two-layer spline network."""

    hidden: int = 16
    kernel_size: int = limited(at_least(2), 2)
    dropout: float = limited(PROBABILITY, 0.5)  # on the input and on the hidden layer

    def min_parameters(self) -> int:
        return FEATURES * self.hidden * self.kernel_size


@dataclass
class GATConfig(ModelConfig):
    """Two-layer GAT."""

    hidden: int = 8  # per head
    heads: int = 8
    dropout: float = limited(PROBABILITY, 0.6)  # on the input and on the hidden layer
    attention_dropout: float = limited(PROBABILITY, 0.6)  # first layer
    attention_dropout_out: float = limited(PROBABILITY, 0.6)  # second layer

    def min_parameters(self) -> int:
        return FEATURES * self.hidden * self.heads


@dataclass
class DNAConfig(ModelConfig):
    """DNA network."""

    hidden: int = 128
    layers: int = 5
    heads: int = 8
    groups: int = 16
    dropout: float = limited(PROBABILITY, 0.5)  # after the input layer and before the output layer
    attention_dropout: float = limited(PROBABILITY, 0.8)
    #: log_softmax repeats the released code, whose "error" is the constant −onehot/n
    tap: str = limited(one_of("scores", "log_softmax"), "scores")

    def min_parameters(self) -> int:
        return self.hidden * (FEATURES + self.layers * self.hidden // self.groups)

    def min_modules(self) -> int:
        return self.layers * self.groups

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden % self.groups or self.groups % self.heads:
            raise ValueError(
                f"task.model.hidden={self.hidden}, groups={self.groups}, heads={self.heads}: "
                "hidden must be a multiple of groups, and groups one of heads"
            )


@dataclass
class GAEConfig(ModelConfig):
    """Graph autoencoder."""

    hidden: int = 32
    embedding: int = 16

    def min_parameters(self) -> int:
        return self.hidden * (FEATURES + self.embedding)
