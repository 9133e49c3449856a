"""Settings of the click-prediction tasks. Published values live in `conf/architecture/`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from benchmarks.settings.limits import COUNT, NOT_NEGATIVE, PROBABILITY, SEED, at_least, limited, one_of
from benchmarks.settings.schema import ModelConfig, TaskConfig
from datasets.criteo.format import FIELDS


@dataclass
class CriteoConfig(TaskConfig):
    """Click prediction on Criteo's data. `rows`, `threshold` and the split decide which AUCs may be compared."""

    suite: str = "${.dataset}"
    domain: str = "recommendation"
    name: str = "${.suite}/${.architecture}"
    metric: str = "auc"
    rows: Optional[int] = limited(COUNT, None)  # noqa: UP045  only the first rows of the file
    threshold: int = limited(COUNT, 10)  # values seen fewer times in their field share one embedding
    #: random: 80% / 10% / 10% as published; days: of seven equal parts in time, the last is the test, one before valid
    split: str = limited(one_of("random", "days"), "random")
    split_seed: int = limited(SEED, 0)  # of the random split, the same for all seeds of a run

    batch_size: int = limited(at_least(2), 2048)  # batch norm needs two
    eval_batch_size: int = limited(COUNT, 8192)
    #: sparse: of the rows that a batch touches; dense: Adam on all rows
    embedding_update: str = limited(one_of("sparse", "dense"), "sparse")


@dataclass
class TableConfig(ModelConfig):
    """The embedding tables."""

    embedding: int = 10  # width

    def min_parameters(self) -> int:
        return FIELDS * self.embedding


@dataclass
class LinearConfig:
    """The linear terms."""

    linear_std: float = limited(
        NOT_NEGATIVE, 0.0
    )  # of their initial values; 1 repeats the code that the paper builds on


@dataclass
class MLPConfig:
    """The MLP of the hybrids."""

    hidden: int = 400
    layers: int = 3
    dropout: float = limited(PROBABILITY, 0.0)

    def min_parameters(self) -> int:
        return super().min_parameters() + (self.layers - 1) * self.hidden**2  # type: ignore[misc]

    def min_modules(self) -> int:
        return self.layers


@dataclass
class FMConfig(LinearConfig, TableConfig):
    """Factorization machine."""


@dataclass
class DeepFMConfig(MLPConfig, LinearConfig, TableConfig):
    """DeepFM."""

    detach: bool = False  # the embeddings where they enter the MLP


@dataclass
class DCNConfig(MLPConfig, TableConfig):
    """Deep & Cross."""

    cross_layers: int = 6

    def min_parameters(self) -> int:
        return super().min_parameters() + 2 * self.cross_layers * FIELDS * self.embedding

    def min_modules(self) -> int:
        return super().min_modules() + self.cross_layers


@dataclass
class AutoIntConfig(MLPConfig, LinearConfig, TableConfig):
    """AutoInt."""

    attention: int = 32  # width
    attention_layers: int = 3
    heads: int = 2

    def min_parameters(self) -> int:
        return super().min_parameters() + (self.attention_layers - 1) * self.attention**2

    def min_modules(self) -> int:
        return super().min_modules() + self.attention_layers

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.attention % self.heads:
            raise ValueError(f"task.model.attention={self.attention}: must be a multiple of heads={self.heads}")


@dataclass
class AFNConfig(MLPConfig, LinearConfig, TableConfig):
    """AFN."""

    neurons: int = 1500  # logarithmic ones
    frozen_embeddings: bool = False  # true repeats the released code

    def min_parameters(self) -> int:
        return super().min_parameters() + self.neurons * (FIELDS + self.embedding * self.hidden)
