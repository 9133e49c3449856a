"""The ten-line example."""

from __future__ import annotations

import importlib.util

from tests import REPOSITORY


def test_digits_orders_the_methods():
    """Without it the first thing a newcomer runs could show DFA failing, or shallow learning as well."""
    path = REPOSITORY / "examples" / "digits.py"
    spec = importlib.util.spec_from_file_location("digits_example", path)
    digits = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(digits)
    accuracy = {name: digits.main(name) for name in ("bp", "dfa", "shallow")}
    assert accuracy["bp"] > 0.93 and accuracy["bp"] >= accuracy["dfa"] - 0.02, accuracy
    assert accuracy["dfa"] > accuracy["shallow"] + 0.08, accuracy
