"""How a text is cut for evaluation: each token is predicted once, from at most a context of tokens before it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


def windows(ids: Tensor, context: int, stride: int, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Windows of a text ``ids (n,)`` and the tokens to be predicted, in order: every token but the first, once.

    With stride = context windows do not overlap (the paper's convention). With less, a window's last ``stride`` tokens
    are scored and the others are context; only the first window is scored in whole.

    Yields:
        ids ``(rows, time)`` and targets ``(rows, scored)``, int64; scored ≤ time ≤ context, rows ≤ batch. Targets
        follow the window's last ``scored`` tokens.
    """
    n = len(ids) - 1  # tokens that can be predicted
    first = min(context, n)
    yield _window(ids, 0, first, first)
    full = range(first, n - stride + 1, stride)  # ends of what was scored before each further window
    for begin in range(0, len(full), batch):
        rows = [_window(ids, end + stride - context, context, stride) for end in full[begin : begin + batch]]
        yield torch.cat([window for window, _ in rows]), torch.cat([targets for _, targets in rows])
    done = first + len(full) * stride
    if done < n:  # what is left is shorter than a stride; without overlap it has no context either
        time = n - done if stride == context else min(context, n)
        yield _window(ids, n - time, time, n - done)


def _window(ids: Tensor, start: int, time: int, scored: int) -> tuple[Tensor, Tensor]:
    """One window of ``time`` tokens from ``start``, and the targets of its last ``scored`` ones."""
    piece = ids[start : start + time + 1].to(torch.int64).unsqueeze(0)
    return piece[:, :-1], piece[:, time - scored + 1 :]
