"""The shallow control: how far a network gets whose hidden layers stay as they were drawn."""

from __future__ import annotations

from dfa_core.families.feedback_method import FeedbackMethod
from dfa_core.information import Information
from dfa_core.recording.passes import Pass
from dfa_core.recording.step import Signals
from dfa_core.registry import register


@register("shallow", colour="#009E73", order=20, standard=True)
class Shallow(FeedbackMethod):
    """The control: the same cuts and no feedback.

    Only what is behind no cut learns: the top layer, and branches without feedback points.

    The other parameters keep ``.grad`` as it was; behind a compiled region they get zeros, because one
    backward function serves the whole region. An optimizer with weight decay skips the former and
    shrinks the latter.
    """

    information = Information(
        family="signals",
        exact="above the last point",
        replaced="hidden layers do not learn",
        transports="none",
        labels="loss",
        space="nothing",
        time="–",
        passes="1 forward, 1 above the last point",
        products="F + W of the output layer",
        memory="the output layer's input",
    )

    leaves_parameters_untrained = True
    sends_signals = False

    def signals(self, forward_pass: Pass) -> Signals:
        return {}
