"""What the processes of `test_engine_distributed` run: cases of data-parallel training, all in one process group."""

from __future__ import annotations

import logging
import os
import warnings
from datetime import timedelta
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.fsdp import MixedPrecisionPolicy

from tests.engine.distributed_nets import Headed, Penalised, TapOutside, Tied, Trunk, trunk
from tests.engine.distributed_runs import (
    Case,
    accumulated,
    alignment,
    compiled_ddp,
    ddp,
    ddp_of_compiled,
    ddp_of_trunk,
    freeze_untrained,
    fsdp1,
    fsdp1_of_body,
    mark,
    penalised,
    sharded,
    sharded_in_pairs,
    two_passes,
    wrapped_loss,
)
from tests.helpers.engine_nets import WithHead

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

#: Refused: by what phase and message. Two processes show it: each refuses by what it sees of its own model.
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
    "FullyShardedDataParallel": (
        Case(WithHead, fsdp1),
        "make_method: FeedbackError: FullyShardedDataParallel .*use torch.distributed.fsdp.fully_shard",
    ),
    "FullyShardedDataParallel, method of the inner model": (
        Case(WithHead, fsdp1, on="inner"),
        "make_method: " + PART,
    ),
    "FullyShardedDataParallel later": (Case(WithHead, fsdp1, on="before"), "step 1: " + PART),
    "FullyShardedDataParallel inside": (
        Case(WithHead, fsdp1_of_body, on="before"),
        "step 1: FeedbackError: FullyShardedDataParallel .*use torch.distributed.fsdp.fully_shard",
    ),
    "alignment of a shard": (
        Case(Trunk, sharded, step=alignment),
        "step 1: FeedbackError: the alignment of a sharded model cannot be measured",
    ),
}


class Warnings(logging.Handler):
    """Keeps what the library warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def process(rank: int, world: int, folder: str) -> None:
    """Run all cases; what they gave is in ``{rank}.pt``."""
    warnings.simplefilter("ignore")
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist._DEFAULT_FIRST_BUCKET_BYTES = 1  # the compiler splits graphs between buckets of any size
    torch.set_num_threads(1)
    warned = Warnings()
    logging.getLogger("dfa_core").addHandler(warned)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world, timeout=timedelta(seconds=30)
    )
    try:
        found = {}
        refused = {name: case for name, (case, _) in REFUSED.items() if world == min(case.worlds)}
        for kind, cases in (("ddp", DDP), ("fsdp", FSDP), ("refused", refused)):
            for name, case in [(name, case) for name, case in cases.items() if world in case.worlds]:
                torch.manual_seed(100 + rank)  # ranks differ in all that is not seeded
                found[kind, name] = case.run(rank, world)
                found["warned", kind, name], warned.messages = warned.messages, []
        torch.save(found, Path(folder) / f"{rank}.pt")
    finally:
        dist.destroy_process_group()
