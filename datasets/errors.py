"""The errors this package raises for data that are absent, altered or malformed."""

from __future__ import annotations


class DataError(ValueError):
    """Bad or missing data.

    The message is one line: what is wrong, where (file, and line or index where that applies), how to put it
    right. Commands print it as it is and exit with status 2.
    """


class AbsentError(DataError):
    """Real data were asked for and none of their files is there."""
