"""The errors this package raises for data that are absent, altered or malformed."""

from __future__ import annotations

import reprlib

_SHOWN = 40  # characters of a bad value


class DataError(ValueError):
    """Bad or missing data.

    The message is one line: what is wrong, where (file, and line or index where that applies), how to put it
    right. Commands print it as it is and exit with status 2. Whatever cannot be printed, such as the newline in a
    file's name, is replaced by its escape.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class AbsentError(DataError):
    """Real data were asked for and none of their files is there."""


def printable(text: str) -> str:
    """The text on one line: control characters, and bytes of a path that are no UTF-8, as escapes."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def shown(value: object) -> str:
    """A value from a file, in quotes if it is a text, cut to a bearable length."""
    if isinstance(value, (str, bytes)):
        cut = repr(value[:_SHOWN]).removeprefix("b")
        return cut if len(value) <= _SHOWN else f"{cut[:-1]}…{cut[-1]}"
    return _BRIEF.repr(value)


class _Brief(reprlib.Repr):
    """The start of a value, however large or nested it is."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = self.maxdict = self.maxlist = self.maxtuple = 3
        self.maxstring = self.maxother = _SHOWN

    def repr_int(self, x: int, level: int) -> str:
        """Python refuses to spell out the largest."""
        return str(x) if abs(x) < 10**_SHOWN else f"a number of more than {_SHOWN} digits"


_BRIEF = _Brief()
