"""The errors that this library raises for wrong use."""

from __future__ import annotations

import math


class FeedbackError(ValueError):
    """A mark, a method or a step was used wrongly; the message names the mark and says how to fix it."""


class UnsuitableError(FeedbackError):
    """The method cannot train this kind of model: not a mistake, but a place in the table that stays empty."""


def check_finite(**settings: float) -> None:
    """Raise :class:`FeedbackError` unless each setting is a finite number."""
    for name, value in settings.items():
        if not (_is_number(value) and math.isfinite(value)):
            raise FeedbackError(f"{name}={value!r}: must be a finite number")


def check_positive(name: str, value: float) -> None:
    """Raise :class:`FeedbackError` unless the setting is a finite number above 0."""
    if not (_is_number(value) and 0 < value < math.inf):
        raise FeedbackError(f"{name}={value}: must be a finite number, more than 0")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)  # settings come from configurations
