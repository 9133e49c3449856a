"""Search spaces: the settings that are searched, their values, and the points that a search tries.

A space is a file `conf/tune/<name>.yaml`. Under `settings` stands what every method has, under `by_method` what one
method has in addition:

    settings:
      task.optim.lr: {log: [1e-4, 0.1]}         any number in between, every ratio alike
      task.model.dropout: {uniform: [0.0, 0.8]}
      task.model.hidden: {choice: [16, 32]}     whole numbers, words, true or false
    by_method:
      dfa: {method.scale: {log: [0.1, 10.0]}}

With ``like: <name>`` what single methods have is that of another space, unless the file says otherwise.

The points are a scrambled Sobol sequence over all settings of the file, whichever methods are searched. So trial k is
the same in every search with the same space and seed, all methods try the same values of what they share, more trials
go on where fewer ended, and no trial waits for another's result, as those of an adaptive sampler would.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from benchmarks.settings.choices import options
from benchmarks.settings.conf_files import CONF
from benchmarks.terminal.errors import UsageError, nearest
from benchmarks.terminal.names import shortened

Value = float | int | str | bool | None

_DIGITS = 3  # significant ones of a number between two ends: settings that people can read and write down
_KINDS = ("log", "uniform", "choice")


@dataclass(frozen=True)
class Range:
    """All numbers from ``low`` to ``high``, in equal steps or (``log``) in equal ratios."""

    low: float
    high: float
    log: bool

    def at(self, u: float) -> float:
        """The value at ``u`` from [0, 1), rounded to three digits."""
        value = self.low * (self.high / self.low) ** u if self.log else self.low + u * (self.high - self.low)
        return min(max(float(f"{value:.{_DIGITS}g}"), self.low), self.high)

    @property
    def ends(self) -> tuple[Value, ...]:
        """The values at which a range can be wrong."""
        return (self.low, self.high)

    def __str__(self) -> str:
        return f"{'log' if self.log else 'uniform'} {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Choice:
    """One of several values."""

    ends: tuple[Value, ...]

    def at(self, u: float) -> Value:
        """The value at ``u`` from [0, 1)."""
        return self.ends[int(u * len(self.ends))]

    def __str__(self) -> str:
        return f"one of {', '.join(map(str, self.ends))}"


Dimension = Range | Choice


@dataclass(frozen=True)
class Space:
    """A declared space; ``own`` holds, by method, the settings that only this method searches."""

    name: str
    shared: Mapping[str, Dimension]
    own: Mapping[str, Mapping[str, Dimension]]

    def of(self, method: str) -> dict[str, Dimension]:
        """The settings that ``method`` searches."""
        return {**self.shared, **self.own.get(method, {})}

    def points(self, method: str, trials: int, seed: int) -> list[dict[str, Value]]:
        """The settings that ``method`` tries, trial by trial."""
        dimensions = list(self._dimensions())
        return [
            {key: d.at(float(u)) for (owner, key, d), u in zip(dimensions, row, strict=True) if owner in ("", method)}
            for row in _sobol(len(dimensions), trials, seed)
        ]

    def ends(self, method: str) -> list[dict[str, Value]]:
        """Points that hold, together, both ends of every range and every choice: what is valid there is valid."""
        dimensions = self.of(method)
        count = max(len(d.ends) for d in dimensions.values())
        return [{key: d.ends[i % len(d.ends)] for key, d in dimensions.items()} for i in range(count)]

    def _dimensions(self) -> Iterator[tuple[str, str, Dimension]]:
        yield from (("", key, d) for key, d in self.shared.items())
        yield from ((method, key, d) for method, own in self.own.items() for key, d in own.items())


def _sobol(dimensions: int, count: int, seed: int) -> np.ndarray:
    """The first points of the sequence, (count, dimensions); drawn up to a power of two, as its balance wants."""
    from scipy.stats import qmc  # a second's import, for which `--help` need not wait

    sequence = qmc.Sobol(dimensions, scramble=True, seed=np.random.default_rng(seed))
    return sequence.random_base2((count - 1).bit_length())[:count]


def load(name: str, may_be_like: bool = True) -> Space:
    """The space declared in `conf/tune/<name>.yaml`; ``may_be_like`` false refuses one that rests on another.

    Raises:
        UsageError: no such space, or one that is not declared as it must be; one line naming the file and the setting.
    """
    known = sorted(path.stem for path in (CONF / "tune").glob("*.yaml"))
    if name not in known:
        raise UsageError(f"unknown space '{name}': did you mean {nearest(name, known)}?")
    where = f"conf/tune/{name}.yaml"
    try:
        declared = OmegaConf.to_container(OmegaConf.load(CONF / "tune" / f"{name}.yaml"))
    except (YAMLError, OmegaConfBaseException, ValueError, OSError, RecursionError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the file's; of a lone number it is OmegaConf's
            raise
        raise UsageError(f"{where}: not readable as YAML ({str(error).splitlines()[0]})") from error
    parts = _mapping(declared, where)
    if unknown := set(parts) - {"settings", "by_method", "like"}:
        raise UsageError(f"{where}: unknown part '{min(map(str, unknown))}'; write settings, by_method and like")
    shared = _settings(parts.get("settings", {}), where)
    own = {m: _settings(part, f"{where}: {m}") for m, part in _mapping(parts.get("by_method", {}), where).items()}
    if "like" in parts:
        if not may_be_like:
            raise UsageError(f"{where}: is like another space, so no space can be like it")
        if (other := str(parts["like"])) not in known:
            meant = nearest(other, known)
            raise UsageError(f"{where}: like: unknown space '{shortened(other)}': did you mean {meant}?")
        own = dict(load(other, may_be_like=False).own) | own
    if not shared:
        raise UsageError(f"{where}: declare under settings what every method searches")
    for method, part in own.items():
        if method not in options("method"):
            raise UsageError(f"{where}: unknown method '{method}': did you mean {nearest(method, options('method'))}?")
        if twice := set(part) & set(shared):
            raise UsageError(f"{where}: {min(twice)}: declared for every method and for {method}; keep one")
    return Space(name, shared, own)


def _settings(declared: Any, where: str) -> Mapping[str, Dimension]:
    return {key: _dimension(how, f"{where}: {key}") for key, how in _mapping(declared, where).items()}


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{where}: '{value}': write setting: {{log: [low, high]}}, or uniform, or choice")
    return {str(key): inner for key, inner in value.items()}


def _dimension(declared: Any, where: str) -> Dimension:
    kind, values = next(iter(_mapping(declared, where).items()), ("", []))
    if kind not in _KINDS or len(declared) != 1 or not isinstance(values, list):
        raise UsageError(f"{where}: give one of {', '.join(_KINDS)}, with its values in brackets")
    if kind == "choice":
        if not values or not all(isinstance(value, Value) for value in values):
            raise UsageError(f"{where}: choice={values}: give one value or more, each a number or a word")
        return Choice(tuple(values))
    if len(values) != 2 or not all(_is_number(value) for value in values):
        raise UsageError(f"{where}: {kind}={shortened(str(values))}: give two numbers, [low, high]")
    low, high = map(float, values)
    if low >= high:
        raise UsageError(f"{where}: {kind}={values}: the first must be less than the second")
    if kind == "log" and low <= 0:
        raise UsageError(f"{where}: log={values}: both must be greater than 0; ratios to 0 do not exist")
    if math.isinf(high / low if kind == "log" else high - low):
        raise UsageError(f"{where}: {kind}={values}: the range is wider than numbers are; choose a narrower one")
    return Range(low, high, kind == "log")


def _is_number(value: Any) -> bool:
    """Whether ``value`` is a number that a float can hold; a whole number may be larger than all of them."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
