"""Direct Feedback Alignment for PyTorch: mark a model once, then choose how it is trained.

The model passes activations through :class:`FeedbackPoint` and its output through :class:`ErrorTap`. Then::

    method = make_method("dfa", model)  # or "bp", or "shallow"
    ...
    method.backward(loss)  # in place of loss.backward()

Methods that have a say in the forward pass (feedback alignment, forward gradients, predictive coding, …) are called as
``method.step(closure)``, with a closure that runs the model and returns the loss; all others can be, too.
"""

from dfa_core.errors import FeedbackError, UnsuitableError
from dfa_core.families.feedback_method import FeedbackMethod
from dfa_core.families.weight_transport import WeightTransport
from dfa_core.feedback import KINDS, SCALINGS, FeedbackMatrices
from dfa_core.insert import InsertedMarks, insert_marks
from dfa_core.marks import ErrorTap, FeedbackPoint
from dfa_core.measuring.alignment import Alignment, WeightAlignment, measure_alignment
from dfa_core.method import Method
from dfa_core.methods import DFA, Backprop, Shallow
from dfa_core.recording.passes import Pass
from dfa_core.registry import make_method, method_class, register, registered_methods
from dfa_core.structure import Carried, Pooled, Residual
from dfa_core.supervision import Classes, Supervision
from dfa_core.weights import derived_weight

__version__ = "0.1.0"

__all__ = [
    "DFA",
    "KINDS",
    "SCALINGS",
    "Alignment",
    "Backprop",
    "Carried",
    "Classes",
    "ErrorTap",
    "FeedbackError",
    "FeedbackMatrices",
    "FeedbackMethod",
    "FeedbackPoint",
    "InsertedMarks",
    "Method",
    "Pass",
    "Pooled",
    "Residual",
    "Shallow",
    "Supervision",
    "UnsuitableError",
    "WeightAlignment",
    "WeightTransport",
    "__version__",
    "derived_weight",
    "insert_marks",
    "make_method",
    "measure_alignment",
    "method_class",
    "register",
    "registered_methods",
]
