"""The forms of training that are compared, each made from a marked model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

from torch import nn

from benchmarks.speed.peers.reentrant import ReentrantDFA
from benchmarks.speed.peers.threaded import ThreadedDFA
from dfa_core import Method, UnsuitableError, make_method


def _reentrant(model: nn.Module) -> Method:
    method = ReentrantDFA(model)
    if len(method.dfa.layout.taps) > 1:
        raise UnsuitableError("the re-entrant form knows one error tap")
    return cast(Method, method)


#: By name; ratios are to the first.
FORMS: dict[str, Callable[[nn.Module], Method]] = {
    "bp": partial(make_method, "bp"),
    "bp_recompute": partial(make_method, "bp_recompute"),
    "dfa": partial(make_method, "dfa"),
    "dfa, recomputing": partial(make_method, "dfa", recompute=True),
    "dfa, re-entrant": _reentrant,
    "shallow": partial(make_method, "shallow"),
    "dfa, in threads": ThreadedDFA,
}
#: Those that are timed unasked.
USUAL = tuple(form for form in FORMS if form != "dfa, in threads")
