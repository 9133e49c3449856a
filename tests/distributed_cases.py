"""What the processes of `test_engine_distributed` run: cases of data-parallel training, all in one process group."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from engine_nets import WithHead, batch, mse
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from dfa_core import ErrorTap, FeedbackError, FeedbackPoint, Method, insert_marks, make_method, measure_alignment

ROWS = 8
Outcome = dict[str, Tensor | None] | str  # gradients, or the message of the error
Step = Callable[[Method, nn.Module, Tensor, Tensor], None]


class Block(nn.Module):
    """Two layers, with a point between them and one behind them, as ``marks`` says."""

    def __init__(self, marks: str) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 10), nn.Linear(10, 8)
        self.middle = FeedbackPoint(10) if "middle" in marks else nn.Identity()
        self.end = FeedbackPoint(8) if "end" in marks else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.end(torch.tanh(self.b(self.middle(torch.tanh(self.a(x))))))


class Trunk(nn.Module):
    """Blocks between layers that belong to no block, below the first and above the last of them.

    ``marks``: feedback points in the *middle* or at the *end* of each block, or *after* it, outside; ``plain``: none.
    """

    def __init__(self, marks: str = "after", *, recompute: bool = False, plain: bool = False) -> None:
        super().__init__()
        self.embed = nn.Linear(5, 8)
        self.blocks = nn.ModuleList(Block("" if plain else marks) for _ in range(2))
        after = "after" in marks and not plain
        self.points = nn.ModuleList(FeedbackPoint(8) if after else nn.Identity() for _ in self.blocks)
        self.norm, self.up, self.out = nn.LayerNorm(8), nn.Linear(8, 9), nn.Linear(9, 3)
        self.tap = nn.Identity() if plain else ErrorTap(3)
        self.recompute = recompute

    def below(self, x: Tensor) -> Iterator[Tensor]:
        """What goes into each point, and at last into the tap."""
        x = torch.tanh(self.embed(x))
        for block, point in zip(self.blocks, self.points, strict=True):
            x = checkpoint(block, x, use_reentrant=False) if self.recompute else block(x)
            yield x
            x = point(x)
        yield self.out(torch.tanh(self.up(self.norm(x))))

    def forward(self, x: Tensor) -> Tensor:
        *_, output = self.below(x)
        return self.tap(output)


class Penalised(Trunk):
    """Returns a penalty on the activations that go into its points, too."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        *hidden, output = self.below(x)
        return self.tap(output), torch.stack([h.pow(4).mean() for h in hidden]).sum()


class Tied(Trunk):
    """Uses the weights below its tap once more above it."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(super().forward(x)) @ self.out.weight @ self.out.weight.T


class Headed(nn.Module):
    """A trunk that ends in its tap, and a head above it."""

    def __init__(self, marks: str) -> None:
        super().__init__()
        self.trunk = Trunk(marks)
        self.head = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.trunk(x))


class TapOutside(nn.Module):
    """A trunk without a tap, which comes behind it."""

    def __init__(self, marks: str = "after") -> None:
        super().__init__()
        self.trunk = Trunk(marks)
        self.trunk.tap, self.tap = nn.Identity(), ErrorTap(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.tap(self.trunk(x))


def trunk(model: nn.Module) -> nn.Module:
    return getattr(model, "trunk", model)


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


BF16 = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
EVERYWHERE = "middle end after"

#: Exact under DistributedDataParallel.
DDP: dict[str, Case] = {
    "dfa": Case(WithHead, ddp),
    "bp": Case(WithHead, ddp, method="bp"),
    "shallow, the rest frozen": Case(WithHead, ddp, method="shallow", prepare=freeze_untrained),
    "one bucket": Case(WithHead, partial(ddp, bucket_cap_mb=25)),
    "gradient_as_bucket_view": Case(WithHead, partial(ddp, gradient_as_bucket_view=True)),
    "method of the inner model": Case(WithHead, ddp, on="inner"),
    "method before DDP": Case(WithHead, ddp, on="before"),
    "no_sync": Case(WithHead, ddp, step=accumulated),
    "several passes": Case(Trunk, ddp, step=two_passes),
    "wrapped loss": Case(WithHead, ddp, step=wrapped_loss),
    "weights tied over the tap": Case(Tied, ddp),
    "weights tied over the tap, no_sync": Case(Tied, ddp, step=accumulated),
    "a penalty below the tap": Case(Penalised, ddp, step=penalised),
    "tap outside the wrapper": Case(TapOutside, ddp_of_trunk),
    "tap outside the wrapper, wrapped loss": Case(TapOutside, ddp_of_trunk, on="before", step=wrapped_loss),
    "inserted marks": Case(partial(Trunk, plain=True), ddp, prepare=mark),
    "activation checkpointing": Case(partial(Trunk, "middle end", recompute=True), ddp),
    "DDP around torch.compile": Case(Trunk, ddp_of_compiled, worlds=(2,)),
    "torch.compile around DDP": Case(Trunk, compiled_ddp, worlds=(2,)),
    "torch.compile around DDP, split": Case(Trunk, partial(compiled_ddp, bucket_cap_mb=1e-4), worlds=(2,)),
}

#: Exact under `fully_shard` (FSDP2), with feedback points after the blocks or inside them.
FSDP: dict[str, Case] = {
    "points outside, blocks": Case(Trunk, partial(sharded, parts=("blocks",))),
    "points outside, blocks and root": Case(Trunk, sharded),
    "points outside, root alone": Case(Trunk, partial(sharded, parts=("root",))),
    "points outside, no reshard": Case(Trunk, partial(sharded, reshard_after_forward=False)),
    "points at the end of blocks": Case(partial(Trunk, "end"), partial(sharded, parts=("blocks",))),
    "points at the end, blocks and root": Case(partial(Trunk, "end"), sharded),
    "points in the middle": Case(partial(Trunk, "middle"), sharded),
    "points everywhere": Case(partial(Trunk, EVERYWHERE), sharded),
    "bp": Case(partial(Trunk, EVERYWHERE), sharded, method="bp"),
    "shallow": Case(partial(Trunk, EVERYWHERE), sharded, method="shallow"),
    "tap outside the sharded trunk": Case(
        partial(TapOutside, "end"),
        partial(
            sharded,
            parts=(
                "blocks",
                "trunk",
            ),
        ),
    ),
    "a head above, sharded trunk": Case(
        partial(Headed, "end"),
        partial(
            sharded,
            parts=(
                "blocks",
                "trunk",
            ),
        ),
    ),
    "a head above, sharded root": Case(partial(Headed, "end after"), sharded),
    "method before fully_shard": Case(partial(Trunk, "end"), sharded, on="before"),
    "accumulated": Case(partial(Trunk, "end"), sharded, step=accumulated),
    "several passes": Case(partial(Trunk, "end"), sharded, step=two_passes),
    "wrapped loss": Case(partial(Trunk, "end"), sharded, step=wrapped_loss),
    "weights tied over the tap": Case(partial(Tied, "end"), sharded),
    "a penalty below the tap": Case(partial(Penalised, "middle after"), sharded, step=penalised),
    "activation checkpointing": Case(partial(Trunk, EVERYWHERE, recompute=True), sharded),
    "compiled blocks": Case(partial(Trunk, EVERYWHERE), partial(sharded, compiled=True), worlds=(2,)),
    "torch.compile around it": Case(
        partial(Trunk, EVERYWHERE), lambda m: torch.compile(sharded(m), backend="aot_eager"), worlds=(2,)
    ),
    "inserted marks": Case(partial(Trunk, plain=True), sharded, prepare=mark),
    "sharded within pairs, replicated between them": Case(partial(Trunk, EVERYWHERE), sharded_in_pairs),
    "bf16": Case(partial(Trunk, EVERYWHERE), partial(sharded, mp_policy=BF16), tolerance=3e-2),
}

OPTION = r"FeedbackError: DistributedDataParallel\({0}=True\) .*use {0}=False"
FREEZE = (
    "step 1: FeedbackError: DistributedDataParallel waits for a gradient of every parameter, but this step gives none "
    r"to {0}\.weight, {0}\.bias, .* and \d+ more: freeze them, requires_grad_\(False\)"
)
PART = "FeedbackError: .* is part of a module that is sharded as a whole .*make the method of that module"

#: Refused: by what phase and message.
REFUSED: dict[str, tuple[Case, str]] = {
    f"{option}, method of {on}": (Case(WithHead, partial(ddp, **{option: True}), on=on), phase + OPTION.format(option))
    for option in ("static_graph", "find_unused_parameters")
    for on, phase in (("run", "make_method: "), ("inner", "step 1: "), ("before", "step 1: "))
} | {
    "static_graph, compiled": (
        Case(WithHead, partial(compiled_ddp, static_graph=True), worlds=(2,)),
        "make_method: " + OPTION.format("static_graph"),
    ),
    "static_graph, compiled inside": (
        Case(Trunk, partial(ddp_of_compiled, static_graph=True), on="before", worlds=(2,)),
        "step 1: " + OPTION.format("static_graph"),
    ),
    "static_graph, tap outside the wrapper": (
        Case(TapOutside, partial(ddp_of_trunk, static_graph=True)),
        "make_method: " + OPTION.format("static_graph"),
    ),
    "find_unused_parameters, tap outside the wrapper, wrapped later": (
        Case(TapOutside, partial(ddp_of_trunk, find_unused_parameters=True), on="before"),
        "step 1: " + OPTION.format("find_unused_parameters"),
    ),
    "shallow, tap outside the wrapper": (
        Case(TapOutside, ddp_of_trunk, method="shallow"),
        FREEZE.format("embed"),
    ),
    "shallow, nothing frozen": (Case(WithHead, ddp, method="shallow"), FREEZE.format(r"body\.layers\.0")),
    "shallow, nothing frozen, no_sync": (
        Case(WithHead, ddp, method="shallow", step=accumulated),
        FREEZE.format(r"body\.layers\.0"),
    ),
    "part of a shard": (Case(partial(Headed, "end"), sharded, part=trunk), "make_method: " + PART),
    "part of a shard, sharded later": (
        Case(partial(Headed, "end"), sharded, part=trunk, on="before"),
        "step 1: " + PART,
    ),
    "shard of a shard": (
        Case(partial(Headed, "end"), partial(sharded, parts=("trunk", "root")), part=trunk),
        "step 1: " + PART,
    ),
    "alignment of a shard": (
        Case(Trunk, sharded, step=alignment),
        "step 1: FeedbackError: the alignment of a sharded model cannot be measured",
    ),
}


def process(rank: int, world: int, folder: str) -> None:
    """Run all cases; what they gave is in ``{rank}.pt``."""
    warnings.simplefilter("ignore")
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist._DEFAULT_FIRST_BUCKET_BYTES = 1  # the compiler splits graphs between buckets of any size
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world, timeout=timedelta(seconds=30)
    )
    try:
        found = {}
        refused = {name: case for name, (case, _) in REFUSED.items()}
        for kind, cases in (("ddp", DDP), ("fsdp", FSDP), ("refused", refused)):
            for name, case in [(name, case) for name, case in cases.items() if world in case.worlds]:
                torch.manual_seed(100 + rank)  # ranks differ in all that is not seeded
                found[kind, name] = case.run(rank, world)
        torch.save(found, Path(folder) / f"{rank}.pt")
    finally:
        dist.destroy_process_group()
