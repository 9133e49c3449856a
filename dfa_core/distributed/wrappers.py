"""Models that are spread over processes: what their wrappers need in a step, and which wrappers are refused.

The wrappers follow gradients. DistributedDataParallel waits for one gradient of each parameter. `fully_shard` gathers a
module's parameters when a gradient reaches the module's output, and then reduces what its parameters got. Behind a
cut no gradient of the output arrives, so a step does the same at the marks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from dfa_core.distributed.data_parallel import check_options
from dfa_core.errors import FeedbackError
from dfa_core.layout import parameters_of, wrapped_name
from dfa_core.marks import NO_REPLICAS, Mark
from dfa_core.recording.graph import Above, Place, ReachedTap, reached

_WRAPPERS = {"DataParallel", "DistributedDataParallel", "FullyShardedDataParallel", "FSDPModule"}


class Wrappers:
    """The wrappers of a model, as they are now.

    Raises:
        FeedbackError: one of them would leave gradients wrong, missing or unsynchronised behind a cut.
    """

    def __init__(self, model: nn.Module) -> None:
        self._shards: dict[str, list[Any]] = {}  # the states of the sharded modules around each mark
        if _wrapper(model) == "DataParallel":
            raise FeedbackError(NO_REPLICAS)
        if not spread():
            return
        _check_whole(model)
        for module in model.modules():
            if kind := _wrapper(module):
                self._add(module, kind)

    def _add(self, module: nn.Module, kind: str) -> None:
        if kind == "FullyShardedDataParallel":
            raise FeedbackError(
                "FullyShardedDataParallel reduces gradients that reach a module's output, where a cut lets none "
                "arrive: use torch.distributed.fsdp.fully_shard in its place"
            )
        if kind == "FSDPModule":
            self._add_shard(module)
        elif isinstance(module, DistributedDataParallel):
            check_options(module)

    def _add_shard(self, module: nn.Module) -> None:
        state = module._get_fsdp_state()  # type: ignore[operator]
        for mark in module.modules():
            if isinstance(mark, Mark):
                self._shards.setdefault(mark.name, []).append(state)

    @property
    def sharded(self) -> bool:
        """Whether `fully_shard` holds parameters of the model."""
        return bool(self._shards)

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


def spread() -> bool:
    """Whether models can be spread over processes now. If not, there is nothing to look for in a step."""
    return distributed.is_available() and distributed.is_initialized()


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
    inner = model
    while not _is_part(inner):
        name = wrapped_name(inner)
        if name is None or _wrapper(inner) == "FSDPModule":
            return
        inner = inner.get_submodule(name)
    raise FeedbackError(
        f"{type(inner).__name__} is part of a module that is sharded as a whole (fully_shard, or "
        "FullyShardedDataParallel, which is not supported): make the method of that module"
    )


def _is_part(module: nn.Module) -> bool:
    if _wrapper(module) == "FSDPModule":
        return module._get_fsdp_state()._is_root is False  # type: ignore[operator]
    return "_is_fsdp_managed_module" in vars(module)


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
            others = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise FeedbackError(
                "DistributedDataParallel waits for a gradient of every parameter, but this step gives none to "
                f"{', '.join(missing[:3])}{others}: freeze them, requires_grad_(False), before the model is wrapped"
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


def _wrapper(module: nn.Module) -> str:
    """Which wrapper a module is, "" if none. By name: importing FSDP's classes to compare with would import FSDP."""
    return next((base.__name__ for base in type(module).__mro__ if base.__name__ in _WRAPPERS), "")
