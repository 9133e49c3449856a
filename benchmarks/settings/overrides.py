"""Overrides as they are typed, ``key=value``: read once, by Hydra's grammar and within bounds.

`Overrides.of` is the only place that parses. What it returns is still a sequence of texts, for Hydra, and knows of each
text which setting it concerns and which values it gives.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, RangeSweep
from hydra.errors import HydraException

from benchmarks.settings.quoting import as_plain_text
from benchmarks.terminal.arguments import is_plain_seed
from benchmarks.terminal.errors import UsageError
from benchmarks.terminal.names import shortened

#: The most runs that one multirun may have, and the most values of one override.
MOST_RUNS = 10_000
#: Characters of one override. Hydra's parser takes minutes for a line that nobody could have typed.
LONGEST = 2_000
#: Brackets within brackets: the parser calls itself for each.
DEEPEST = 12


@dataclass(frozen=True)
class Setting:
    """One override: ``text`` as it was typed (or in quotes, where it cannot be read without), ``key`` without ``+``."""

    text: str
    key: str
    parsed: Override = field(compare=False, repr=False)

    @property
    def is_plain(self) -> bool:
        """Whether it is just ``key=value``: nothing is added or removed, and there are no several values."""
        return self.text.startswith(f"{self.key}=") and not self.is_sweep

    @property
    def is_sweep(self) -> bool:
        """Whether it stands for several runs."""
        return bool(self.parsed.is_sweep_override())

    @property
    def typed(self) -> str:
        """The value as it was typed, quotes included."""
        return self.text.partition("=")[2]

    @property
    def keys(self) -> list[str]:
        """The settings that it gives: of ``task.optim={lr: 1}`` that is ``task.optim.lr``."""
        value = None if self.is_sweep else self.parsed.value()
        if not isinstance(value, dict) or not value:
            return [self.key]
        return [f"{self.key}.{key}" for key in flat(value) if not isinstance(_inner(value, key), dict)]

    def values(self, options: Callable[[str], Sequence[str]]) -> list[str]:
        """The values, as text: several if it is a sweep.

        ``options`` gives the choices of a group, among which a glob selects.
        """
        return _values(self.parsed, options)


@dataclass(frozen=True)
class Overrides(Sequence[str]):
    """The overrides of a run or a multirun, in their order; a sequence of their texts."""

    settings: tuple[Setting, ...]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Overrides:
        """Parse ``texts``, unless that is done.

        Raises:
            UsageError: not of the form key=value; one line naming the override.
        """
        if isinstance(texts, Overrides):
            return texts
        return cls(tuple(Setting(str(o.input_line), str(o.key_or_group), o) for o in _parsed(texts)))

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        return tuple(setting.text for setting in self.settings)[index]

    def __len__(self) -> int:
        return len(self.settings)

    def and_those(self, texts: Sequence[str]) -> Overrides:
        """These, followed by others."""
        return Overrides((*self.settings, *Overrides.of(texts).settings))

    def only(self, keys: Iterable[str]) -> Overrides:
        """The overrides of some settings."""
        wanted = set(keys)
        return Overrides(tuple(setting for setting in self.settings if setting.key in wanted))

    @property
    def keys(self) -> list[str]:
        """The settings that are overridden; a mapping counts as the settings in it."""
        return [key for setting in self.settings for key in setting.keys]


def _parsed(overrides: Sequence[str]) -> list[Override]:
    for text in overrides:
        if len(text) > LONGEST:
            raise UsageError(f"'{shortened(text)}': has {len(text)} characters, and {LONGEST} are the most")
        if _depth(text) > DEEPEST:
            raise UsageError(f"'{shortened(text)}': has brackets nested deeper than {DEEPEST}")
    parser = OverridesParser.create()
    found = [_read(text, parser) for text in overrides]
    for override in found:
        if override.package is not None:
            raise UsageError(f"'{override.input_line}': a setting has one place; leave out @{override.package}")
    return found


def _read(text: str, parser: OverridesParser) -> Override:
    """One override; a folder or file that the grammar does not know is put in quotes."""
    try:
        return parser.parse_overrides([text])[0]
    except HydraException:
        return parser.parse_overrides([as_plain_text(text)])[0]


def _values(override: Override, options: Callable[[str], Sequence[str]]) -> list[str]:
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


def expanded(overrides: Sequence[str], options: Callable[[str], Sequence[str]]) -> Overrides:
    """The overrides with their globs as lists: Hydra's own look into one folder, and tasks lie in several."""
    asked = Overrides.of(overrides)
    if not any(_is_glob(setting) for setting in asked.settings):
        return asked
    return Overrides.of([_with(s, ",".join(s.values(options))) if _is_glob(s) else s.text for s in asked.settings])


def combinations(overrides: Sequence[str], options: Callable[[str], Sequence[str]]) -> Iterator[list[str]]:
    """The runs that a multirun asks for, but for those that differ only in a seed which is one beyond doubt."""
    settings = Overrides.of(overrides).settings
    all_values = [setting.values(options) for setting in settings]
    if (runs := math.prod(map(len, all_values))) > MOST_RUNS:
        raise UsageError(f"{runs:,} runs: a multirun may have {MOST_RUNS:,}; leave out some values")
    to_check = [_doubtful(v) if _is_seed(s) else v for s, v in zip(settings, all_values, strict=True)]
    for combination in itertools.product(*to_check):
        yield [_with(s, value) if s.is_sweep else s.text for s, value in zip(settings, combination, strict=True)]


def plugins_named_in(overrides: Sequence[str]) -> list[str]:
    """Plugins named on the command line (``plugins=[a.py,b]``) or in the environment (``DFA_PLUGINS=a.py,b``)."""
    named: list[str] = []
    for setting in Overrides.of(overrides).only(["plugins"]).settings:
        value = setting.parsed.value()
        named += map(str, value) if isinstance(value, list) else [str(value)]
    return with_environment(named)


def with_environment(plugins: Iterable[str]) -> list[str]:
    """The plugins of the environment and these, each once."""
    names = [*os.environ.get("DFA_PLUGINS", "").split(","), *plugins]
    return list(dict.fromkeys(name.strip(" '\"") for name in names if name.strip(" '\"")))


def results_named_in(overrides: Sequence[str]) -> str:
    """The results folder of a run that is planned already."""
    named = [str(setting.parsed.value()) for setting in Overrides.of(overrides).only(["results"]).settings]
    return named[-1] if named else "results"


def _with(setting: Setting, value: str) -> str:
    return f"{setting.parsed.get_key_element()}={value}"


def _is_glob(setting: Setting) -> bool:
    return isinstance(setting.parsed.value(), Glob)


def _is_seed(setting: Setting) -> bool:
    return setting.key in ("seed", "feedback_seed")


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


def _inner(node: Any, key: str) -> Any:
    """The value of a dotted name in a nested dictionary."""
    for part in key.split("."):
        node = node[part]
    return node


def flat(node: Any, prefix: str = "") -> Iterator[str]:
    """Dotted names of all settings of a nested dictionary, folders included."""
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
