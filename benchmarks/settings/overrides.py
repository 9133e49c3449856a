"""Overrides as they are typed, ``key=value``: read by Hydra's grammar, within bounds."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, Quote, QuotedString, RangeSweep
from hydra.errors import HydraException

from benchmarks.terminal.arguments import is_plain_seed
from benchmarks.terminal.errors import UsageError
from benchmarks.terminal.names import one_line, shortened

#: The most runs that one multirun may have, and the most values of one override.
MOST_RUNS = 10_000
#: Characters of one override. Hydra's parser takes minutes for a line that nobody could have typed.
LONGEST = 2_000
#: Brackets within brackets: the parser calls itself for each.
DEEPEST = 12


def parsed(overrides: Sequence[str]) -> list[Override]:
    """The overrides, read by Hydra's grammar.

    Raises:
        UsageError: not of the form key=value; one line naming the override.
    """
    for text in overrides:
        if len(text) > LONGEST:
            raise UsageError(f"'{shortened(text)}': has {len(text)} characters, and {LONGEST} are the most")
        if _depth(text) > DEEPEST:
            raise UsageError(f"'{shortened(text)}': has brackets nested deeper than {DEEPEST}")
    try:
        found = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise UsageError(f"{one_line(str(error).splitlines()[0])}: write key=value") from error
    for override in found:
        if override.package is not None:
            raise UsageError(f"'{override.input_line}': a setting has one place; leave out @{override.package}")
    return found


def values(override: Override, options: Callable[[str], Sequence[str]]) -> list[str]:
    """The values of an override, as text: several if it is a sweep.

    ``options`` gives the choices of a group, among which a glob selects.
    """
    if not override.is_sweep_override():
        return [str(override.value())]
    if override.is_interval_sweep():
        raise UsageError(f"'{override.input_line}': an interval has no end of values; give range(...) or a list")
    value = override.value()
    if isinstance(value, Glob):
        found = value.filter(list(options(override.key_or_group)))
    else:
        if isinstance(value, RangeSweep):
            _check_range(override, value)
        found = list(itertools.islice(override.sweep_string_iterator(), MOST_RUNS + 1))
    if not found:
        raise UsageError(f"'{override.input_line}': a sweep without a value; give at least one")
    if len(found) > MOST_RUNS:
        raise UsageError(f"'{override.input_line}': more than {MOST_RUNS:,} values")
    return found


def expanded(overrides: Sequence[str], options: Callable[[str], Sequence[str]]) -> list[str]:
    """The overrides with their globs as lists: Hydra's own look into one folder, and tasks lie in several."""
    return [
        f"{o.get_key_element()}={','.join(values(o, options))}" if isinstance(o.value(), Glob) else text
        for text, o in zip(overrides, parsed(overrides), strict=True)
    ]


def combinations(overrides: Sequence[str], options: Callable[[str], Sequence[str]]) -> Iterator[list[str]]:
    """The runs that a multirun asks for, but for those that differ only in a seed which is one beyond doubt."""
    found = parsed(overrides)
    all_values = [values(o, options) for o in found]
    if (runs := math.prod(map(len, all_values))) > MOST_RUNS:
        raise UsageError(f"{runs:,} runs: a multirun may have {MOST_RUNS:,}; leave out some values")
    to_check = [_doubtful(v) if _is_seed(o) else v for o, v in zip(found, all_values, strict=True)]
    for combination in itertools.product(*to_check):
        yield [
            f"{o.get_key_element()}={value}" if o.is_sweep_override() else str(o.input_line)
            for o, value in zip(found, combination, strict=True)
        ]


def plugins_named_in(overrides: Sequence[str]) -> list[str]:
    """Plugins named on the command line (``plugins=[a.py,b]``) or in the environment (``DFA_PLUGINS=a.py,b``)."""
    named = os.environ.get("DFA_PLUGINS", "").split(",")
    for override in overrides:
        key, _, value = override.partition("=")
        if key.lstrip("+") == "plugins":
            named += value.strip("[]").split(",")
    return list(dict.fromkeys(name.strip(" '\"") for name in named if name.strip(" '\"")))


def with_list_of_plugins(override: str) -> str:
    """``plugins=a.py,b`` as the list that Hydra wants, ``plugins=[a.py,b]``: shells take brackets for patterns."""
    key, _, value = override.partition("=")
    return f"plugins=[{value}]" if key == "plugins" and not value.startswith("[") else override


def quoted(text: str) -> str:
    """``text`` as a string of Hydra's grammar, whatever is in it."""
    return QuotedString(text, Quote.single).with_quotes()


def results_named_in(overrides: Sequence[str]) -> str:
    """The results folder of a run that is planned already."""
    named = [str(o.value()) for o in parsed(overrides) if o.key_or_group == "results"]
    return named[-1] if named else "results"


def _is_seed(override: Override) -> bool:
    return override.key_or_group in ("seed", "feedback_seed")


def _doubtful(seeds: Sequence[str]) -> list[str]:
    return [*seeds[:1], *(seed for seed in seeds[1:] if not is_plain_seed(seed))]


def _check_range(override: Override, value: RangeSweep) -> None:
    """Hydra would never end with a step of 0, and write down all values of a range to shuffle them."""
    start, stop, step = (float(end or 0) for end in (value.start, value.stop, value.step))
    count = (stop - start) / step if step else math.inf
    if not count <= MOST_RUNS:
        raise UsageError(f"'{override.input_line}': more than {MOST_RUNS:,} values")


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return deepest


def flat(node: Any, prefix: str = "") -> Iterator[str]:
    """Dotted names of all settings of a nested dictionary, folders included."""
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
