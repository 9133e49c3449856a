"""Quotes around values: Hydra's grammar reads a part of ASCII only, and folders and files have any name.

A value that can be read stays as it was typed. One of ``results=`` or ``plugins=`` that cannot is taken for the plain
text that it is. With any other setting the user has to say so.
"""

from __future__ import annotations

from hydra.core.override_parser.types import Quote, QuotedString

from benchmarks.terminal.errors import UsageError
from benchmarks.terminal.names import shortened


def quoted(text: str) -> str:
    """``text`` as a string of Hydra's grammar, whatever is in it."""
    return QuotedString(text, Quote.single).with_quotes()


def with_list_of_plugins(override: str) -> str:
    """``plugins=a.py,b`` as the list that Hydra wants, ``plugins=[a.py,b]``: shells take brackets for patterns."""
    key, _, value = override.partition("=")
    return f"plugins=[{value}]" if key == "plugins" and not value.startswith("[") else override


def as_plain_text(override: str) -> str:
    """An override that cannot be read, with its value in quotes.

    Raises:
        UsageError: it is none of those whose values are always plain text; one line that says what to do.
    """
    key, equals, value = override.partition("=")
    if key == "results":
        return f"results={quoted(value)}"
    if key == "plugins":
        names = (name.strip(" '\"") for name in value.strip("[]").split(","))
        return f"plugins=[{','.join(quoted(name) for name in names if name)}]"
    if not equals:
        raise UsageError(f"'{shortened(override)}': cannot be read; write key=value")
    example = f"{shortened(key)}=\"'...'\""
    raise UsageError(f"'{shortened(override)}': cannot be read; if it is text, put the value in quotes: {example}")
