"""DistributedDataParallel: which of its modules runs a forward pass, and which of its options a cut graph allows."""

from __future__ import annotations

from torch.nn.parallel import DistributedDataParallel

from dfa_core.errors import FeedbackError


def check_options(wrapper: DistributedDataParallel) -> None:
    """Raise :class:`FeedbackError` if ``wrapper`` has an option that a cut graph leads astray."""
    for option in ("static_graph", "find_unused_parameters"):
        if getattr(wrapper, option):
            raise FeedbackError(
                f"DistributedDataParallel({option}=True) follows the graph from the model's output, which a "
                f"feedback method cuts, and would leave gradients unsynchronised: use {option}=False"
            )


def reducing() -> set[DistributedDataParallel]:
    """The DistributedDataParallel that runs this forward pass and will reduce its gradients, if any.

    Raises:
        FeedbackError: it has an option that a cut graph leads astray.
    """
    wrapper = DistributedDataParallel._active_ddp_module
    if wrapper is None:
        return set()
    check_options(wrapper)
    return {wrapper} if wrapper.require_backward_grad_sync else set()
