"""A mistake on the command line of what reads results: one line, exit code 2."""

from __future__ import annotations

import importlib

import pytest

COMMANDS = {
    "benchmarks.tables.__main__": ["--profil"],
    "benchmarks.compare.__main__": ["only-one-place"],
    "benchmarks.baseline": ["check", "--effect", "large"],
    "benchmarks.history.__main__": ["--last", "all"],
    "benchmarks.curves.__main__": ["--x", "epochs"],
    "benchmarks.report.__main__": ["--wat"],
    "benchmarks.data": ["download"],
}


@pytest.mark.parametrize("module", COMMANDS)
def test_a_mistake_is_one_line_and_exit_2(module, capsys):
    """Else the message would stand below, or in the middle of, a paragraph of usage."""
    with pytest.raises(SystemExit) as stopped:
        importlib.import_module(module).main(COMMANDS[module])
    message = capsys.readouterr().err
    assert stopped.value.code == 2 and message.count("\n") == 1, message
    assert message.startswith(f"python -m {module.removesuffix('.__main__')}")
