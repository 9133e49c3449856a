"""The protocol of a task, which supplies the training loop with model, batches, loss and evaluation. Nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from dfa_core import Method, Supervision


class Task(ABC):
    """An architecture on a dataset.

    A builder is called with (task settings, data source, seed) while the global generators are seeded with the run's
    seed, so that all methods start from the same weights and the same split.
    """

    model: nn.Module
    selection: str  #: validation metric that picks the best weights, by its direction in `benchmarks.records.metrics`
    keeps_last: bool = False  #: the weights of the last evaluation are tested instead, whatever `selection` says
    about_data: str = ""  #: what of the dataset was used, in words, where settings alone do not say it
    shows_progress: bool = False  #: whether someone is watching: long evaluations may draw a bar on a terminal

    def batches(self, epoch: int, start: int = 0) -> Iterable[Any]:
        """Batches of an epoch from number ``start`` on; the order depends on seed and epoch alone.

        The default is one batch: the whole (transductive) dataset.
        """
        return [None][start:]

    @property
    def epoch_length(self) -> int | None:
        """About how many batches an epoch has, for the time left; None: that is not known before the first is over."""
        return None

    @abstractmethod
    def loss(self, batch: Any) -> Tensor:
        """Forward pass and loss, a scalar."""

    def part(self, batch: Any, number: int, of: int) -> Any:
        """Part ``number`` of ``of`` of a batch, for processes that share it: here, rows of each of its tensors.

        Raises:
            ValueError: the batch is one whole.
        """
        if isinstance(batch, Tensor):
            return batch.tensor_split(of)[number]
        if isinstance(batch, tuple) and all(isinstance(entry, Tensor) for entry in batch):
            parts = [entry.tensor_split(of)[number] for entry in batch]
            return type(batch)(*parts) if hasattr(batch, "_fields") else tuple(parts)
        raise ValueError(f"{type(self).__name__} trains on one batch that cannot be divided: run it in one process")

    def supervision(self, batch: Any) -> Supervision:
        """The supervision of a batch, for methods that ask for more than the loss; see `dfa_core.Supervision`."""
        return Supervision()

    @abstractmethod
    def samples(self, batch: Any) -> int:
        """How many samples the batch holds, for throughput."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Validation metrics, named ``valid_…``. Called without gradients, model in evaluation mode."""

    @abstractmethod
    def test(self) -> dict[str, float]:
        """Test metrics. Called once, with the best weights (or the last ones, `keeps_last`)."""

    def artefacts(self) -> dict[str, bytes]:
        """Files to keep beside the record, by name: pictures, samples, weights. Called once, after `test`."""
        return {}

    def alignment_batch(self) -> Any:
        """The batch that `loss` and `supervision` get where alignment is measured: the first by default."""
        return next(iter(self.batches(0)))

    def alignment_loss(self, batch: Any) -> Tensor:
        """The loss of that batch, with gradients that can be compared with one another."""
        return self.loss(batch)

    def prepare(self, method: Method) -> None:  # noqa: B027  most tasks have nothing to do
        """Called once before training, with the method that will train the model: for initial values that follow it."""

    def compile(self) -> None:
        """Compile, in place, what a training step runs of the model: all of it, or what ends with an error tap."""
        self.model.compile(fullgraph=True)

    def dynamics(self, method: Method) -> Mapping[str, float]:
        """Further numbers of the training, by metric, wherever its alignment is measured."""
        return {}

    def rate_factors(self) -> Mapping[nn.Parameter, float]:
        """Factors on the learning rate of some of the model's parameters; all others learn at the rate itself."""
        return {}

    def first_layer(self) -> list[nn.Module]:
        """Modules of the first layer, for weight decay that is limited to it."""
        return [self.model]
