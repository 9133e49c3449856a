"""Generated ads in Criteo's format: heavy-tailed fields with missing values, and clicks that need interactions.

The log-odds of a click are the sum of three parts:

- effects of single values, which a linear model finds;
- products of factors of two fields, which a factorization machine finds;
- products of saturated factors (tanh) of three fields, which take a network.

Only the common values of a few fields have factors; all other values are noise. `criteo.text_writer` turns the
drawn values into text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from datasets.core.standin import StandIn
from datasets.criteo.format import CATEGORIES, FIELD_NAMES, FILE, INTEGERS
from datasets.criteo.text_writer import MISSING, Values, append_lines

_VERSION = 1
_SEED = 20200623
_CHUNK = 250_000  # rows drawn at a time

# Shares of missing values, as in the first 10,000 rows of Criteo's file; other fields are (nearly) complete.
_MISSING_SHARES = {
    **dict.fromkeys(("I1", "I10"), 0.45),
    **dict.fromkeys(("I3", "I4", "I6", "I13"), 0.2),
    **dict.fromkeys(("I5", "I7", "I9", "I11"), 0.05),
    "I12": 0.77,
    **dict.fromkeys(("C3", "C4", "C12", "C16", "C21", "C24"), 0.035),
    "C6": 0.13,
    **dict.fromkeys(("C19", "C20", "C25", "C26"), 0.45),
    "C22": 0.8,
}
# Integers are log-normal counts: mean and deviation of the logarithm, and the least value.
_COUNTS = {
    "I1": (1.0, 1.2, 0),
    "I2": (1.4, 1.9, -2),
    "I3": (2.0, 1.3, 0),
    "I4": (1.6, 1.0, 0),
    "I5": (7.5, 2.4, 0),
    "I6": (3.7, 1.5, 0),
    "I7": (1.3, 1.4, 0),
    "I8": (2.0, 1.2, 0),
    "I9": (3.7, 1.4, 0),
    "I10": (0.3, 0.6, 0),
    "I11": (0.7, 0.7, 0),
    "I12": (0.2, 0.8, 0),
    "I13": (1.7, 1.1, 0),
}
# Distinct categories in Criteo's whole file, as its users report them.
_SIZES = """
    1460 583 10131227 2202608 305 24 12517 633 3 93145 5683 8351593 3194
    27 14992 5461306 10 5652 2173 4 7046547 18 15 286181 105 142572
"""
_CARDINALITIES = dict(zip(CATEGORIES, map(int, _SIZES.split()), strict=True))

_TRIPLES = (("C6", "C9", "C17"), ("C20", "I7", "C14"), ("I11", "C23", "I6"))
_PAIRS = (("C14", "C9"), ("C17", "C20"), ("C23", "C5"), ("C6", "C8"), ("I1", "I3"), ("I11", "I6"), ("I7", "I3"))
_INFORMATIVE = tuple(sorted({field for group in (*_TRIPLES, *_PAIRS) for field in group}))
_COMMON = 12  # values of a category that have factors
_PARTS = 3  # a factor of each value for each part of the log-odds
_DEVIATIONS = (0.9, 0.55, 1.5)  # of the three parts
_INTERCEPT = -1.65  # for about one click in four


@dataclass(frozen=True)
class CriteoSettings:
    """How many rows are generated."""

    rows: int


def write_criteo(folder: Path, settings: CriteoSettings) -> None:
    """Write `train.txt`; the same settings give the same bytes."""
    with (folder / FILE).open("wb") as stream:
        for values, labels, _ in _chunks(settings):
            append_lines(stream, values, labels)


def true_logits(settings: CriteoSettings) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) uint8 and the log-odds (N,) float64 they were drawn from, in the order of the file.

    No model can rank the rows better than these log-odds do: their AUC (about .85) is the ceiling.
    """
    labels, logits = zip(*((labels, logits) for _, labels, logits in _chunks(settings)), strict=True)
    return np.concatenate(labels), np.concatenate(logits)


def draw_values(rng: np.random.Generator, n_rows: int) -> Values:
    """One int64 array (n_rows,) per field: the counts themselves, or the rank of a category (0: most common)."""
    values = {}
    for field in FIELD_NAMES:
        column = _counts(rng, field, n_rows) if field in INTEGERS else _ranks(rng, field, n_rows)
        column[rng.random(n_rows) < _MISSING_SHARES.get(field, 0)] = MISSING
        values[field] = column
    return values


def _chunks(settings: CriteoSettings) -> Iterator[tuple[Values, np.ndarray, np.ndarray]]:
    """Values, labels and log-odds of all rows, some at a time."""
    for number, first in enumerate(range(0, settings.rows, _CHUNK)):
        rng = np.random.default_rng([_SEED, number])
        values = draw_values(rng, min(_CHUNK, settings.rows - first))
        logits = _logits(values)
        labels = (rng.random(len(logits)) < 1 / (1 + np.exp(-logits))).astype(np.uint8)
        yield values, labels, logits


def _counts(rng: np.random.Generator, field: str, n_rows: int) -> np.ndarray:
    mean, deviation, least = _COUNTS[field]
    counts = np.exp(mean + deviation * rng.standard_normal(n_rows)).astype(np.int64) - 1
    return np.maximum(counts + least, least)


def _ranks(rng: np.random.Generator, field: str, n_rows: int) -> np.ndarray:
    """Log-uniform, so that the value of rank r has a probability of about 1 / r (Zipf)."""
    return np.exp(rng.random(n_rows) * np.log(_CARDINALITIES[field] + 1)).astype(np.int64) - 1


def _logits(values: Values) -> np.ndarray:
    """(N,) log-odds of a click."""
    centres, deviations = _calibration()
    parts = (_parts(values) - centres) / deviations
    return _INTERCEPT + parts @ np.asarray(_DEVIATIONS)


@cache
def _calibration() -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of the three parts, always on the same rows, so that a value's effect is the same in
    every stand-in."""
    parts = _parts(draw_values(np.random.default_rng(_SEED), 20_000))
    return parts.mean(axis=0), parts.std(axis=0)


def _parts(values: Values) -> np.ndarray:
    """(N, 3): what single values, pairs and triples contribute, not yet scaled."""
    factors = {field: _factors(field, values[field]) for field in _INFORMATIVE}
    single = sum(factors[field][0] for field in _INFORMATIVE)
    pairs = sum(factors[one][1] * factors[other][1] for one, other in _PAIRS)
    triples = sum(np.prod([np.tanh(2 * factors[field][2]) for field in triple], axis=0) for triple in _TRIPLES)
    return np.stack([single, pairs, triples], axis=1)


def _factors(field: str, column: np.ndarray) -> np.ndarray:
    """(3, N): the factors of each row's value. A wave over the logarithm of a count, a drawn number for a category."""
    rng = np.random.default_rng([_SEED, FIELD_NAMES.index(field)])
    missing = rng.standard_normal((_PARTS, 1))
    if field in INTEGERS:
        speed, phase = rng.uniform(1.5, 3, (_PARTS, 1)), rng.uniform(0, 2 * np.pi, (_PARTS, 1))
        known = 1.4 * np.sin(speed * np.log(np.maximum(column, 0) + 2) + phase)
    else:
        table = rng.standard_normal((_PARTS, _COMMON + 1))
        # In triples, factors alternate in sign: with one sign for most rows, a product would be a single effect.
        table[2] = np.abs(table[2]) * (-1.0) ** np.arange(_COMMON + 1)
        table[:, _COMMON] = 0
        known = table[:, np.clip(column, 0, _COMMON)]
    return np.where(column == MISSING, missing, known)


def _standin(name: str, settings: dict[str, Any]) -> StandIn:
    return StandIn(name, _VERSION, (FILE,), settings, write_criteo)


STANDINS = {
    "criteo": _standin(
        "criteo",
        {"smoke": CriteoSettings(4_000), "quick": CriteoSettings(60_000), "default": CriteoSettings(200_000)},
    ),
    "criteo_10k": _standin("criteo_10k", {"smoke": CriteoSettings(4_000), "default": CriteoSettings(10_000)}),
    "criteo_137k": _standin(
        "criteo_137k",
        {"smoke": CriteoSettings(4_000), "quick": CriteoSettings(20_000), "default": CriteoSettings(137_139)},
    ),
}
