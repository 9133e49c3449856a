"""The methods of this package, one file each; importing it registers them all."""

from dfa_core.methods.backprop import Backprop
from dfa_core.methods.dfa import DFA
from dfa_core.methods.directional import Directional
from dfa_core.methods.dkp import DirectKolenPollack
from dfa_core.methods.drtp import DirectRandomTargetProjection
from dfa_core.methods.fa import FeedbackAlignment
from dfa_core.methods.forward_gradient import ForwardGradient
from dfa_core.methods.kolen_pollack import KolenPollack
from dfa_core.methods.local import Local
from dfa_core.methods.mezo import MeZO
from dfa_core.methods.pepita import Pepita
from dfa_core.methods.predictive_coding import PredictiveCoding
from dfa_core.methods.recompute import RecomputingBackprop
from dfa_core.methods.shallow import Shallow
from dfa_core.methods.sign_symmetry import SignSymmetry
from dfa_core.methods.structural import StructuralDFA

__all__ = [
    "DFA",
    "Backprop",
    "DirectKolenPollack",
    "DirectRandomTargetProjection",
    "Directional",
    "FeedbackAlignment",
    "ForwardGradient",
    "KolenPollack",
    "Local",
    "MeZO",
    "Pepita",
    "PredictiveCoding",
    "RecomputingBackprop",
    "Shallow",
    "SignSymmetry",
    "StructuralDFA",
]
