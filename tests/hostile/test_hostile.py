"""Hostile inputs, a few of each suite; the long form is `python -m tests.hostile`."""

from __future__ import annotations

import shutil

import pytest

from tests.hostile import records as hostile_records
from tests.hostile.suite import SUITES, call, prepared, run

#: Examples in `make test`: seconds, not minutes.
COUNT = {"records": 16, "overrides": 5, "data": 60}


def test_what_is_spoilt_was_good_before(folder):
    """Without it every example could end at the same early mistake, and try nothing."""
    with prepared("records") as suite:
        for name in hostile_records.INPUTS:
            results = folder / name / "results"
            shutil.copytree(suite.template, results)
            ended = call(*hostile_records.command_of(name, results))
            assert (ended.code, ended.err) == (0, ""), name


@pytest.mark.parametrize("name", SUITES)
def test_no_traceback_and_nothing_written_outside(folder, name):
    """Without it the next field that nobody thought of would end in a traceback, or a name lead out of the folder."""
    with prepared(name) as suite:
        assert run(suite, COUNT[name]).tried >= COUNT[name]
