"""The console that all commands print their tables on."""

from __future__ import annotations

import os
from typing import Any, NoReturn

from rich.console import Console as RichConsole

_WIDTH_OF_FILES = 140  # columns; rich takes 80 where it cannot ask, too few for the wider tables


class Console(RichConsole):
    """Rich's, but a pipe that nobody reads is an error like any other; Rich ends the program without a word."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


def make_console(**options: Any) -> Console:
    """Rich's console; what goes to a file or a log is as wide as the tables need (or $COLUMNS says)."""
    console = Console(**options)
    columns = os.environ.get("COLUMNS", "")
    if not console.is_terminal and not (columns.isdecimal() and int(columns)):
        console.width = _WIDTH_OF_FILES
    return console
