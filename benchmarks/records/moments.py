"""Moments: when something ended, as a text in ISO form, and as what can be compared.

The suite writes UTC with its offset (``2026-01-02T01:00:00+00:00``). Other writers leave out the time or the seconds,
write ``Z``, or have an offset of their own: as texts, such moments come in another order than they took place in.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

_FORM = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_NEVER = datetime.min.replace(tzinfo=UTC)


def moment_of(text: str) -> datetime:
    """The moment that ``text`` says, in UTC; before all others if it is empty.

    A text without an offset is taken for UTC.

    Raises:
        ValueError: it says none; half a line.
    """
    if not text:
        return _NEVER
    if not _FORM.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no date, such as 2026-01-31 or 2026-01-31T12:00:00+00:00")
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:  # the 31st of February
        raise ValueError(f"{text!r} is no date: {error}") from error


def checked(text: str) -> str:
    """``text`` itself, if it says a moment or is empty.

    Raises:
        ValueError: as `moment_of`.
    """
    moment_of(text)
    return text
