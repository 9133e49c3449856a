"""Command lines read by argparse: a mistake in one ends in one line and exit code 2."""

from __future__ import annotations

import argparse
from typing import NoReturn

from benchmarks.terminal.errors import UsageError
from benchmarks.terminal.names import LARGEST_SEED, problem_of_name, shortened

#: Seeds of a sweep, for each task and method.
MOST_SEEDS = 1_000


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


def not_negative(text: str) -> int:
    """The type of an argument that counts something, and may count none."""
    return 0 if text == "0" else positive(text)


def is_plain_seed(text: str) -> bool:
    """Whether ``text`` is a seed as people write one."""
    return text.isascii() and text.isdecimal() and len(text) <= len(str(LARGEST_SEED)) and int(text) <= LARGEST_SEED


def parse_seeds(text: str) -> list[int]:
    """``3`` means seeds 0, 1, 2; ``0,4,7`` (or ``5,``) means those."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isascii() and part.isdecimal() for part in parts) or parts == ["0"] == [text]:
        raise UsageError(f"seeds='{shortened(text)}': give a count such as 3, or a list such as 0,4,7")
    if len(parts) > MOST_SEEDS or ("," not in text and (len(text) > 9 or int(text) > MOST_SEEDS)):
        raise UsageError(f"seeds={shortened(text)}: at most {MOST_SEEDS:,} seeds")
    if wrong := [part for part in parts if not is_plain_seed(part)]:
        raise UsageError(f"seeds={shortened(text)}: {shortened(wrong[0])} is no seed; they end at {LARGEST_SEED}")
    numbers = list(map(int, parts))
    return list(dict.fromkeys(numbers)) if "," in text else list(range(numbers[0]))
