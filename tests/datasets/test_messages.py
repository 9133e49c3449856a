"""A value from a file in a message: short, in one line, whatever it is."""

from __future__ import annotations

import pytest

from datasets.core.errors import shown


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("x" * 50, f"'{'x' * 40}…'"),
        (b"ab\n", r"'ab\n'"),
        (1.5, "1.5"),
        (None, "None"),
        (-(10**40) + 1, "-" + "9" * 40),
        (10**40, "a number of more than 40 digits"),
        ([10**5000, 2], "[a number of more than 40 digits, 2]"),
        ([[[[1]]]], "[[[[...]]]]"),
        ((1, 2, 3, 4), "(1, 2, 3, ...)"),
    ],
)
def test_a_value_is_told_briefly(value, told):
    assert shown(value) == told
