"""The words of the generated language: invented ones with Zipf frequencies, and the tables they are drawn from."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

from datasets.wikitext.format import UNKNOWN

_SEED = 20200623
_NOUNS, _NAMES, _UNKNOWN_NAMES, _TOPICS, _OWN_NOUNS = 1_500, 600, 5_400, 24, 60
_OWN_SHARE = 0.6  # of an article's nouns, drawn from its topic's own
_ONSETS = (*"bdfghklmnprtvz", "br", "dr", "kl", "pl", "st", "tr")
_VOWELS = (*"aeiou", "ai", "ea")
_CODAS = ("", "", *"nlrm")


class Table:
    """Symbols with probabilities in proportion to their weights; nats[i] is −ln of the probability of symbols[i]."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        total = math.fsum(weights.values())
        self.symbols = tuple(weights)
        self.nats = tuple(-math.log(weight / total) for weight in weights.values())
        self._cumulative = list(accumulate(weight / total for weight in weights.values()))[:-1]

    def draw(self, rng: random.Random) -> int:
        """The index of a symbol."""
        return bisect_right(self._cumulative, rng.random())


@dataclass(frozen=True)
class Lexicon:
    """The tables of words. No word belongs to two classes, as a noun or verb with its ending -s neither.

    Nouns (plural -s) are those of a topic, by the topic's title; verbs get -s in the singular. names: a word for the
    rare ones, `<unk>`, among them.
    """

    titles: Table
    nouns: dict[str, Table]
    names: Table
    adjectives: Table
    adverbs: Table
    prepositions: Table
    conjunctions: Table
    sections: Table
    transitive: Table
    intransitive: Table
    saying: Table


@cache
def lexicon() -> Lexicon:
    """The one there is; all stand-ins have the same language."""
    rng = random.Random(_SEED)
    used: set[str] = {"is", "are", "that", "the", "this", "every", "these", "many", "several", "a"}

    def words(count: int) -> list[str]:
        return [_new_word(rng, rank, used) for rank in range(count)]

    nouns, titles, names = words(_NOUNS), words(_TOPICS), words(_NAMES)
    return Lexicon(
        titles=_zipf(titles, shift=5),
        nouns={title: _topical(nouns, rng.sample(range(_NOUNS), _OWN_NOUNS)) for title in titles},
        names=_with_unknown(names),
        adjectives=_zipf(words(300)),
        adverbs=_zipf(words(60)),
        prepositions=_zipf(words(12), shift=1),
        conjunctions=_zipf(words(4), shift=1),
        sections=_zipf(words(30)),
        transitive=_zipf(words(250)),
        intransitive=_zipf(words(120)),
        saying=_zipf(words(20)),
    )


def zipf_weight(rank: int, shift: float = 2) -> float:
    """Zipf's law with Mandelbrot's shift; rank counts from 0."""
    return 1 / (rank + 1 + shift)


def _zipf(words: Sequence[str], shift: float = 2) -> Table:
    return Table({word: zipf_weight(rank, shift) for rank, word in enumerate(words)})


def _topical(nouns: Sequence[str], own: Sequence[int]) -> Table:
    """All nouns, those of the topic more often."""
    common = [zipf_weight(rank) for rank in range(len(nouns))]
    favoured = {number: zipf_weight(rank) for rank, number in enumerate(own)}
    share = _OWN_SHARE / math.fsum(favoured.values())
    rest = (1 - _OWN_SHARE) / math.fsum(common)
    return Table({noun: rest * common[i] + share * favoured.get(i, 0) for i, noun in enumerate(nouns)})


def _with_unknown(names: Sequence[str]) -> Table:
    """Names beyond the common ones are all written `<unk>`, which has their probability together."""
    weights = {name: zipf_weight(rank) for rank, name in enumerate(names)}
    weights[UNKNOWN] = math.fsum(zipf_weight(len(names) + rank) for rank in range(_UNKNOWN_NAMES))
    return Table(weights)


def _new_word(rng: random.Random, rank: int, used: set[str]) -> str:
    """An invented word, long if it is rare. Its form with -s is reserved, too."""
    while True:
        syllables = rng.choice((1, 2) if rank < 40 else (2, 3))
        word = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(syllables))
        if not {word, f"{word}s"} & used:
            used |= {word, f"{word}s"}
            return word
