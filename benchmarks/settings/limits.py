"""Which values a setting may have beyond its type: stated where the setting is declared, checked here.

    epochs: int = limited(COUNT, 10)

A limit is metadata of the dataclass's field. `first_problem` checks the fields of one dataclass; settings that are null
are not checked.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from omegaconf import MISSING

from benchmarks.terminal.names import LARGEST_SEED, problem_of_name, problem_of_seed, shortened

#: No count is larger: of anything that is counted here, nobody has more, and all arithmetic is exact.
MOST = 10**9
#: Numbers are fp32 where they are used: beyond these they become infinity and 0.
LARGEST, SMALLEST = 3.4e38, 1.2e-38
_LIMIT = "limit"


class Limit(NamedTuple):
    """A condition on a value, and how a message says it."""

    allows: Callable[[Any], bool]
    requirement: str


def between(low: float, high: float) -> Limit:
    """From ``low`` to ``high``, both included."""
    return Limit(lambda value: low <= value <= high, f"must lie between {low} and {high}")


def at_least(minimum: int) -> Limit:
    """``minimum`` or more."""
    return Limit(lambda value: value >= minimum, f"must be {minimum} or more")


def at_most(maximum: int) -> Limit:
    """From 1 to ``maximum``."""
    return Limit(lambda value: 1 <= value <= maximum, f"must be {maximum} or less, and 1 or more")


def one_of(*choices: str) -> Limit:
    """One of some words."""
    return Limit(lambda value: value in choices, f"choose {', '.join(choices[:-1])} or {choices[-1]}")


def some_of(*choices: str) -> Limit:
    """A list of some words."""
    return Limit(lambda value: set(value) <= set(choices), f"choose from {', '.join(choices)}")


def name_of(kind: str) -> Limit:
    """A name that can be that of a file as well."""
    return Limit(
        lambda value: problem_of_name(kind, value) is None, f"is no name of a {kind}; use letters, digits and _"
    )


COUNT = at_least(1)
POSITIVE = Limit(lambda value: value > 0, "must be greater than 0")
NOT_NEGATIVE = Limit(lambda value: value >= 0, "must be 0 or more")
PROBABILITY = between(0, 1)
SEED = Limit(lambda value: problem_of_seed(value) is None, f"must lie between 0 and {LARGEST_SEED}")
PRECISION = one_of("fp32", "bf16")
DATA = one_of("auto", "real", "standin")


def limited(limit: Limit, default: Any = MISSING) -> Any:
    """A dataclass's field with a limit; a tuple as default gives each instance a list of its own."""
    if isinstance(default, tuple):
        return dataclasses.field(default_factory=lambda: list(default), metadata={_LIMIT: limit})
    return dataclasses.field(default=default, metadata={_LIMIT: limit})


def limit_of(schema: type, name: str) -> Limit | None:
    """The limit that a dataclass's field was declared with, in the class or in one that it derives from."""
    for base in schema.__mro__:
        fields = getattr(base, "__dataclass_fields__", {})
        if name in fields and (found := fields[name].metadata.get(_LIMIT)):
            limit: Limit = found
            return limit
    return None


def first_problem(schema: type, values: Mapping[str, Any], prefix: str = "", others: Limit | None = None) -> str | None:
    """The first value that its field does not allow, in one line; ``None`` if there is none.

    ``others`` limits whole numbers that have no limit of their own.
    """
    for field in dataclasses.fields(schema):
        value = values[field.name]
        limit = limit_of(schema, field.name) or (others if is_count(value) else None)
        if limit is not None and value is not None and not limit.allows(value):
            return f"{prefix}{field.name}={as_given(value)}: {limit.requirement}"
    return None


def number_problem(key: str, value: float) -> str | None:
    """The problem of a number, whatever it is for; None if there is none."""
    if isinstance(value, int):
        counted = abs(value) > MOST and not key.endswith("seed")
        return f"{key}={as_given(value)}: must be {MOST:,} or less" if counted else None
    if not math.isfinite(value):
        return f"{key}={value}: must be a finite number"
    if value and not SMALLEST <= abs(value) <= LARGEST:
        return f"{key}={value}: must be 0, or lie between {SMALLEST} and {LARGEST}, where fp32 has numbers"
    return None


#: Whole numbers up to here are exact as a float.
LARGEST_EXACT = 2**53


def is_count(value: Any) -> bool:
    """Whether it is a whole number; True and False, which are ints in Python, are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def as_given(value: Any) -> str:
    """A value as its user wrote it; Python refuses to spell out whole numbers of more than 4,300 digits."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a number of {value.bit_length()} bits"
    return shortened(str(value))
