"""Whether torchrun started this process together with others, without importing PyTorch."""

from __future__ import annotations

import os

_ITS_VARIABLES = ("TORCHELASTIC_RUN_ID", "RANK", "WORLD_SIZE", "MASTER_ADDR")


def started_by_torchrun() -> bool:
    """Whether there are other processes, started by torchrun for the same run."""
    return all(name in os.environ for name in _ITS_VARIABLES) and int(os.environ["WORLD_SIZE"]) > 1


def follows() -> bool:
    """Whether another process, the one of rank 0, prints and records for this one."""
    return started_by_torchrun() and os.environ["RANK"] != "0"
