"""The one error this library raises for wrong use."""

from __future__ import annotations


class FeedbackError(ValueError):
    """A mark, a method or a step was used wrongly; the message names the mark and the fix_hint."""


class UnsuitableError(FeedbackError):
    """The method cannot train a model of this make: not a mistake, but a place in the table that stays empty."""
