"""The shallow control: how far a network gets whose hidden layers stay as they were drawn."""

from __future__ import annotations

from dfa_core.feedback_method import FeedbackMethod
from dfa_core.recording.passes import Pass
from dfa_core.recording.step import Signals
from dfa_core.registry import register


@register("shallow", colour="#009E73", order=20, standard=True)
class Shallow(FeedbackMethod):
    """The control: the same cuts and no feedback, so that only what lies above the last cut learns.

    The other parameters keep ``.grad`` as it was; behind a compiled region they get zeros, because one
    backward function serves the whole region. An optimizer with weight decay skips the former and
    shrinks the latter.
    """

    leaves_parameters_untrained = True
    sends_signals = False

    def signals(self, forward_pass: Pass) -> Signals:
        return {}
