"""Models that are spread over processes: what their wrappers need in a step, and which wrappers are refused.

The wrappers follow gradients. DistributedDataParallel waits for one gradient of each parameter. `fully_shard` gathers a
module's parameters when a gradient reaches the module's output, and then reduces what its parameters got. Behind a
cut no gradient of the output arrives, so a step does the same at the marks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from dfa_core.data_parallel import check_options
from dfa_core.errors import FeedbackError
from dfa_core.graph import Above, Place, ReachedTap, reached
from dfa_core.layout import parameters_of, wrapped_name
from dfa_core.marks import NO_REPLICAS, Mark


class Wrappers:
    """The wrappers of a model, as they are now.

    Raises:
        FeedbackError: one of them would leave gradients wrong, missing or unsynchronised behind a cut.
    """

    def __init__(self, model: nn.Module) -> None:
        _check_whole(model)
        self._shards: dict[str, list[Any]] = {}  # the states of the sharded modules around each mark
        for module in model.modules():
            if isinstance(module, DataParallel):
                raise FeedbackError(NO_REPLICAS)
            if isinstance(module, DistributedDataParallel):
                check_options(module)
            if _is_a(module, "FullyShardedDataParallel"):
                raise FeedbackError(
                    "FullyShardedDataParallel reduces gradients that reach a module's output, where a cut lets none "
                    "arrive: use torch.distributed.fsdp.fully_shard in its place"
                )
            if _is_a(module, "FSDPModule"):
                self._add_shard(module)

    def _add_shard(self, module: nn.Module) -> None:
        state = module._get_fsdp_state()  # type: ignore[operator]
        for mark in module.modules():
            if isinstance(mark, Mark):
                self._shards.setdefault(mark.name, []).append(state)

    def before_backward(self, above: Above, roots: Iterable[Place]) -> None:
        """Prepare for the backward pass that starts at ``roots``, the last one of a step.

        Raises:
            FeedbackError: DistributedDataParallel would wait for a parameter that gets no gradient in this step.
        """
        _check_complete(above, roots)
        if self._shards:
            for tap in above.taps:
                for mark, place in _places(tap):
                    self._gather_at(mark, place)

    def _gather_at(self, mark: str, place: Place) -> None:
        """Gather the parameters of the sharded modules around ``mark`` when a gradient enters at ``place``."""
        states = self._shards.get(mark, [])

        def gather(_gradient: object) -> None:
            for state in states:
                state._pre_backward(None)  # what `fully_shard` does where a gradient reaches the output

        if isinstance(place, Tensor):
            place.register_hook(gather)  # type: ignore[no-untyped-call]
        else:
            place.node.register_prehook(gather)


def check_not_sharded(model: nn.Module) -> None:
    """Raise :class:`FeedbackError` if parameters of ``model`` are sharded: a probe would see none of them."""
    for name, parameter in parameters_of(model):
        if hasattr(parameter, "full_tensor"):
            raise FeedbackError(
                f"the alignment of a sharded model cannot be measured, since no process has all of '{name}': measure "
                "it on an unsharded copy of the model, with a method of the same feedback_seed"
            )


def _check_whole(model: nn.Module) -> None:
    """A module that is sharded as a part of another gathers its parameters with the other's, unseen by a step."""
    inner: nn.Module | None = model
    while inner is not None:
        if _is_a(inner, "FSDPModule"):
            partial = inner._get_fsdp_state()._is_root is False  # type: ignore[operator]
            break
        if partial := "_is_fsdp_managed_module" in vars(inner):
            break
        name = wrapped_name(inner)
        inner = None if name is None else inner.get_submodule(name)
    if inner is not None and partial:
        raise FeedbackError(
            f"{type(inner).__name__} is part of a module that is sharded as a whole (fully_shard, or "
            "FullyShardedDataParallel, which is not supported): make the method of that module"
        )


def _check_complete(above: Above, roots: Iterable[Place]) -> None:
    wrappers = {wrapper for tap in above.taps for wrapper in tap.trace.reduced_by}
    if not wrappers:
        return
    leaves = reached(roots)[1] | above.leaves.keys()
    for wrapper in wrappers:
        missing = [
            name
            for name, parameter in wrapper.module.named_parameters()
            if parameter.requires_grad and id(parameter) not in leaves and name not in wrapper.parameters_to_ignore
        ]
        if missing:
            raise FeedbackError(
                "DistributedDataParallel waits for a gradient of every parameter, but this step gives none to "
                f"{', '.join(missing)}: freeze them, requires_grad_(False), before the model is wrapped"
            )


def _places(tap: ReachedTap) -> Iterator[tuple[str, Place]]:
    """Where gradients enter below a tap, with the name of the mark."""
    attached = tap.trace.attached
    if attached is None:
        yield tap.trace.tap, tap.edge
    elif attached.requires_grad:
        yield tap.trace.tap, attached
    for name, activation in tap.trace.points.items():
        if activation.root is not None:
            yield name, tap.place(activation.root)


def _is_a(module: nn.Module, name: str) -> bool:
    """By name: importing the classes would import FSDP."""
    return any(base.__name__ == name for base in type(module).__mro__)
