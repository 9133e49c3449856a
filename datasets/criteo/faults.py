"""The first fault of a text that is not in Criteo's format, and its line: the rules, one value at a time.

Far slower than parsing; called once, for an error message.
"""

from __future__ import annotations

import re

from datasets.core.errors import shown
from datasets.criteo.format import CATEGORIES, COLUMNS, INTEGERS, LEAST_INTEGER

_LABEL = re.compile(rb"0*[01]")
_INTEGER = re.compile(rb"(-?)0*([0-9]{1,30})")  # Python refuses to read thousands of digits, be they zeros
_CATEGORY = re.compile(rb"[0-9a-fA-F]{8}")


def first_fault(text: bytes) -> tuple[int, str] | None:
    """The index of the first bad line (from 0) and what is wrong with it; None if every line is in the format."""
    for index, line in enumerate(text.removesuffix(b"\n").split(b"\n")):
        if what := line_fault(line):
            return index, what
    return None


def line_fault(line: bytes) -> str | None:
    """The fault of a line without its newline; None if it has none."""
    columns = line.split(b"\t")
    if len(columns) != COLUMNS:
        return f"{len(columns)} columns where {COLUMNS} are expected (label, 13 integers, 26 categories; tabs between)"
    label, *fields = columns
    if not _LABEL.fullmatch(label):
        return f"label {shown(label)} is neither 0 nor 1"
    for name, value in zip(INTEGERS, fields, strict=False):
        if not value:
            continue
        if not (number := _INTEGER.fullmatch(value)):
            return f"{name} {shown(value)} is not an integer"
        if not LEAST_INTEGER <= int(number[1] + number[2]) < 1 << 63:
            return f"{name} {shown(value)} is out of range ({LEAST_INTEGER} … 2⁶³ − 1)"
    for name, value in zip(CATEGORIES, fields[len(INTEGERS) :], strict=True):
        if value and not _CATEGORY.fullmatch(value):
            return f"{name} {shown(value)} is not a category of 8 hex digits"
    return None
