"""The forms of training that are compared, each made from a marked model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

from torch import nn

from benchmarks.catalogue.methods import shipped_methods
from benchmarks.speed.peers.reentrant import ReentrantDFA
from benchmarks.speed.peers.threaded import ThreadedDFA
from dfa_core import Method, UnsuitableError, make_method


def _reentrant(model: nn.Module) -> Method:
    method = ReentrantDFA(model)
    if len(method.dfa.layout.taps) > 1:
        raise UnsuitableError("the re-entrant form knows one error tap")
    return cast(Method, method)


#: Those that are timed unasked.
USUAL = ("bp", "bp_recompute", "dfa", "dfa, recomputing", "dfa, re-entrant", "shallow")
#: By name: every method, and further forms of `dfa`. Ratios are to ``bp``, the first.
FORMS: dict[str, Callable[[nn.Module], Method]] = {
    **{name: partial(make_method, name) for name in shipped_methods()},
    "dfa, recomputing": partial(make_method, "dfa", recompute=True),
    "dfa, re-entrant": _reentrant,
    "dfa, in threads": ThreadedDFA,
}
