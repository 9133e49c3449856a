"""DFA whose segments go backward at the same time, in threads of one process: a measurement of whether that pays.

Once the error is known no segment waits for another. The engine hands all of them to autograd in one call, which has a
thread for each device; on one CPU it walks through them one by one, each operation on all cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from dfa_core import DFA, Supervision
from dfa_core.recording.graph import Place, reached

_Root = tuple[Place, Tensor | None]


class ThreadedDFA(DFA):
    """`DFA` with a thread for each core that PyTorch uses, and one core for each operation in them.

    For this measurement alone: regions of activation checkpointing that draw random numbers would draw them in any
    order, so the engine has no such setting.
    """

    def __init__(self, model: nn.Module, *, feedback_seed: int = 0) -> None:
        super().__init__(model, feedback_seed=feedback_seed)
        self._threads = torch.get_num_threads()
        # In a tuple, which no copy of the module looks into.
        self._pool = (ThreadPoolExecutor(self._threads, initializer=torch.set_num_threads, initargs=(1,)),)

    def gradients(self, closure: Callable[[], Tensor], supervision: Supervision | None) -> Tensor:
        with _backward_replaced(self._in_threads):
            return super().gradients(closure, supervision)

    def _in_threads(self, roots: Sequence[_Root], backward: Callable[..., None]) -> None:
        running = [
            self._pool[0].submit(backward, [place for place, _ in part], [gradient for _, gradient in part])
            for part in shared_out(segments(roots), self._threads)
        ]
        for one in running:
            one.result()


def segments(roots: Sequence[_Root]) -> list[tuple[list[_Root], int]]:
    """The roots in groups that share no node of the graph but parameters, each with its number of nodes."""
    found: list[tuple[list[_Root], set[Any]]] = []
    for root in roots:
        nodes = {node for node in reached([root[0]])[0] if not hasattr(node, "variable")}
        group = [root]
        for other in [one for one in found if not nodes.isdisjoint(one[1])]:
            found.remove(other)
            group, nodes = [*other[0], *group], nodes | other[1]
        found.append((group, nodes))
    return [(group, len(nodes)) for group, nodes in found]


def shared_out(groups: Sequence[tuple[list[_Root], int]], threads: int) -> list[list[_Root]]:
    """The roots for each thread, the largest group first to whoever has least; threads without any are left out."""
    parts: list[list[_Root]] = [[] for _ in range(threads)]
    loads = [0] * threads
    for group, size in sorted(groups, key=lambda group: -group[1]):
        least = loads.index(min(loads))
        parts[least] += group
        loads[least] += size
    return [part for part in parts if part]


@contextmanager
def _backward_replaced(in_threads: Callable[[Sequence[_Root], Callable[..., None]], None]) -> Iterator[None]:
    """Send a backward pass from several roots through ``in_threads``, inside the block."""
    backward = torch.autograd.backward

    def replacing(tensors: Any, gradients: Any = None, *arguments: Any, **options: Any) -> None:
        if not isinstance(tensors, list):
            backward(tensors, gradients, *arguments, **options)
            return
        in_threads(list(zip(tensors, gradients, strict=True)), backward)

    torch.autograd.backward = replacing  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.autograd.backward = backward
