"""Command lines read by argparse: a mistake in one ends in one line and exit code 2."""

from __future__ import annotations

import argparse
from typing import NoReturn

from benchmarks.names import problem_of_name


class Parser(argparse.ArgumentParser):
    """argparse, without the usage above the message."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def profile(text: str) -> str:
    """The type of an argument that names a profile: files are called after it."""
    if problem := problem_of_name("profile", text):
        raise argparse.ArgumentTypeError(problem)
    return text


def positive(text: str) -> int:
    """The type of an argument that counts something."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive whole number")
    return int(text)
