"""The text of Criteo's `train.txt`: what a line holds.

A line is a display ad: a label (1: clicked, 0: not), 13 integers and 26 categories, separated by tabs. A category
is 8 hex digits (a hash of 32 bits). A missing value is an empty column; a label is never missing.
"""

from __future__ import annotations

N_INTEGERS = 13
N_CATEGORIES = 26
FIELDS = N_INTEGERS + N_CATEGORIES  # the inputs of a model
COLUMNS = FIELDS + 1  # with the label, which comes first

LABEL = "label"
INTEGERS = tuple(f"I{number}" for number in range(1, N_INTEGERS + 1))
CATEGORIES = tuple(f"C{number}" for number in range(1, N_CATEGORIES + 1))
FIELD_NAMES = (*INTEGERS, *CATEGORIES)

FILE = "train.txt"
GZIP_FILE = "train.txt.gz"

# Integers below have no code of 32 bits; Criteo's least is -3. Above, anything of 64 bits is fine.
LEAST_INTEGER = 2 - (1 << 31)
