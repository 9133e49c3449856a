"""Command lines that nobody would type on purpose; see `hostile_overrides`."""

from __future__ import annotations

import hostile_overrides


def test_mutated_command_lines_plan_or_end_in_one_line(tmp_path):
    """Each traceback would be a typo that hides its own cause; each write, somebody's file lost."""
    assert hostile_overrides.trials(8, tmp_path) == []
