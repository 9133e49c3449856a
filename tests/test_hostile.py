"""Hostile inputs, a few of each suite; the long form is `python -m tests.hostile`."""

from __future__ import annotations

import pytest
from hostile import SUITES, prepared, run

#: Examples in `make test`: seconds, not minutes.
COUNT = {"records": 60}


@pytest.mark.parametrize("name", SUITES)
def test_no_traceback_and_nothing_written_outside(folder, name):
    """Without it the next field that nobody thought of would end in a traceback, or a name lead out of the folder."""
    with prepared(name) as suite:
        assert run(suite, COUNT[name]).tried >= COUNT[name]
