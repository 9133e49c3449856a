"""The settings, with the values that ship; a larger domain has those in conf/architecture."""

from dataclasses import dataclass, field

from benchmarks.settings.limits import COUNT, limited
from benchmarks.settings.schema import ModelConfig, OptimConfig, TaskConfig


@dataclass
class SpiralsConfig(TaskConfig):
    """Telling the points of two spirals apart; the whole training set is a batch."""

    domain: str = "spirals"
    metric: str = "told_apart"
    epochs: int = limited(COUNT, "${by_profile:{smoke: 200, quick: 1000, paper: 2000}}")
    eval_every: int = 20
    optim: OptimConfig = field(default_factory=lambda: OptimConfig(lr=0.01))


@dataclass
class MLPConfig(ModelConfig):
    """Two hidden layers."""

    hidden: int = 32
