"""Direct Feedback Alignment for PyTorch: mark a model once, then choose how it is trained.

The model passes activations through :class:`FeedbackPoint` and its output through :class:`ErrorTap`. Then::

    method = make_method("dfa", model)  # or "bp", or "shallow"
    ...
    method.backward(loss)  # in place of loss.backward()
"""

from dfa_core.alignment import Alignment, WeightAlignment, measure_alignment
from dfa_core.errors import FeedbackError
from dfa_core.feedback import KINDS, SCALINGS, FeedbackMatrices
from dfa_core.insert import InsertedMarks, insert_marks
from dfa_core.marks import ErrorTap, FeedbackPoint
from dfa_core.method import FeedbackMethod, Method
from dfa_core.methods import DFA, Backprop, Shallow
from dfa_core.passes import Pass
from dfa_core.registry import make_method, method_class, register, registered_methods

__version__ = "0.1.0"

__all__ = [
    "DFA",
    "KINDS",
    "SCALINGS",
    "Alignment",
    "Backprop",
    "ErrorTap",
    "FeedbackError",
    "FeedbackMatrices",
    "FeedbackMethod",
    "FeedbackPoint",
    "InsertedMarks",
    "Method",
    "Pass",
    "Shallow",
    "WeightAlignment",
    "__version__",
    "insert_marks",
    "make_method",
    "measure_alignment",
    "method_class",
    "register",
    "registered_methods",
]
