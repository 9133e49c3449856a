"""What one case of the distributed tests is: a model, how it is spread over processes, and what a step does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.nn.parallel import DistributedDataParallel

from dfa_core import FeedbackError, Method, insert_marks, make_method, measure_alignment
from tests.engine.distributed_nets import trunk
from tests.helpers.engine_nets import batch, mse

ROWS = 8
Outcome = dict[str, Tensor | None] | str  # gradients, or the phase, the type and the message of the error
Step = Callable[[Method, nn.Module, Tensor, Tensor], None]


def one_step(method: Method, run: nn.Module, x: Tensor, y: Tensor) -> None:
    method.backward(mse(run, (x, y)))


def wrapped_loss(method: Method, run: nn.Module, x: Tensor, y: Tensor) -> None:
    method.wrap(mse(run, (x, y))).backward()


def two_passes(method: Method, run: nn.Module, x: Tensor, y: Tensor) -> None:
    halves = zip(x.chunk(2), y.chunk(2), strict=True)
    method.backward(torch.stack([mse(run, half) for half in halves]).mean())


def accumulated(method: Method, run: nn.Module, x: Tensor, y: Tensor) -> None:
    """Two micro-batches, synchronised with the second."""
    for last, half in enumerate(zip(x.chunk(2), y.chunk(2), strict=True)):
        shards = hasattr(run, "set_requires_gradient_sync")
        if shards:
            run.set_requires_gradient_sync(bool(last))
        no_sync = isinstance(run, DistributedDataParallel) and not last
        with run.no_sync() if no_sync else nullcontext():
            method.backward(mse(run, half) / 2)


def penalised(method: Method, run: nn.Module, x: Tensor, y: Tensor) -> None:
    output, penalty = run(x)
    method.backward((output - y).square().mean() + 0.3 * penalty)


def alignment(method: Method, run: nn.Module, x: Tensor, y: Tensor) -> None:
    measure_alignment(method, lambda: mse(run, (x, y)))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Case:
    """One way to train in several processes.

    Attributes:
        build: makes the model.
        spread: spreads it over the processes; what it returns is run.
        method: the name of the method.
        step: what one step does with the rows of one process.
        on: the method is made on what is ``run``, on the ``inner`` model once that is spread, or on it ``before``.
        part: the part of the model that the method is made of.
        prepare: changes the model before anything else; also where one process trains on all rows.
        tolerance: of each parameter's gradient, relative to its length.
        worlds: the numbers of processes; compiling takes seconds in each of them.
    """

    build: Callable[[], nn.Module]
    spread: Callable[[nn.Module], nn.Module]
    method: str = "dfa"
    step: Step = one_step
    on: str = "run"
    part: Callable[[nn.Module], nn.Module] = lambda model: model
    prepare: Callable[[nn.Module], object] = lambda model: None
    tolerance: float = 1e-6
    worlds: tuple[int, ...] = (2, 4)

    def model(self) -> nn.Module:
        torch.manual_seed(0)
        model = self.build()
        self.prepare(model)
        return model

    def one_process(self) -> dict[str, Tensor | None]:
        """The gradients of one process that has all rows."""
        model = self.model()
        method = make_method(self.method, model)
        for _ in range(2):
            self.step(method, model, *batch(ROWS, 5, 3))
        return {name: p.grad for name, p in model.named_parameters()}

    def run(self, rank: int, world: int) -> Outcome:
        """The gradients in a process that has its share of the rows."""
        torch.compiler.reset()
        rows = slice(ROWS * rank // world, ROWS * (rank + 1) // world)
        x, y = batch(ROWS, 5, 3)
        model = self.model()
        phase = "make_method"
        try:
            method = make_method(self.method, self.part(model)) if self.on == "before" else None
            spread = self.spread(model)
            method = method or make_method(self.method, self.part(model if self.on == "inner" else spread))
            for number in (1, 2):  # the wrapper must be ready for a second step
                phase = f"step {number}"
                self.step(method, spread, x[rows], y[rows])
        except (FeedbackError, RuntimeError) as error:
            return f"{phase}: {type(error).__name__}: {error}"
        return dict(_gradients(model, sharded=any(hasattr(p, "full_tensor") for p in model.parameters())))


def _gradients(model: nn.Module, sharded: bool) -> Iterator[tuple[str, Tensor | None]]:
    """Where parts are sharded, nobody synchronises the other parameters: they are left out."""
    for name, p in model.named_parameters():
        if not sharded or hasattr(p, "full_tensor"):
            whole = p.grad.full_tensor() if sharded and p.grad is not None else p.grad
            yield name.replace("_orig_mod.", "").replace("module.", ""), None if whole is None else whole.clone()


def ddp(model: nn.Module, **options: object) -> nn.Module:
    return DistributedDataParallel(model, **{"bucket_cap_mb": 1e-4, **options})  # many buckets


def ddp_of_trunk(model: nn.Module, **options: object) -> nn.Module:
    model.trunk = ddp(model.trunk, **options)
    return model


def ddp_of_compiled(model: nn.Module, **options: object) -> nn.Module:
    return ddp(torch.compile(model, backend="aot_eager"), **{"bucket_cap_mb": 25, **options})


def compiled_ddp(model: nn.Module, **options: object) -> nn.Module:
    return torch.compile(ddp(model, **{"bucket_cap_mb": 25, **options}), backend="aot_eager")


def fsdp1(model: nn.Module) -> nn.Module:
    return FullyShardedDataParallel(model, device_id=torch.device("cpu"), use_orig_params=True)


def fsdp1_of_body(model: nn.Module) -> nn.Module:
    model.body = fsdp1(model.body)
    return model


def sharded(
    model: nn.Module, parts: tuple[str, ...] = ("blocks", "root"), compiled: bool = False, **options: object
) -> nn.Module:
    """Shards the ``blocks``, the ``trunk``, and the ``root``: those that are among ``parts``."""
    for block in trunk(model).blocks if "blocks" in parts else []:
        if compiled:
            block.compile(backend="aot_eager")
        fully_shard(block, **options)
    if "trunk" in parts:
        fully_shard(trunk(model), **options)
    if "root" in parts:
        fully_shard(model, **options)
    return model


def sharded_in_pairs(model: nn.Module) -> nn.Module:
    pairs = (dist.get_world_size() // 2, 2)
    return sharded(model, mesh=init_device_mesh("cpu", pairs, mesh_dim_names=("replicate", "shard")))


def freeze_untrained(model: nn.Module) -> None:
    """What `shallow` leaves untrained: all that lies below the last point."""
    for layer in model.body.layers[:-1]:
        layer.requires_grad_(False)


def mark(model: nn.Module) -> None:
    insert_marks(model, points={"blocks.0": 8, "blocks.1.a": 10, "blocks.1": 8}, tap={"out": 3})
