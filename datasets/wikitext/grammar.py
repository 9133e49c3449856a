"""A probabilistic grammar of articles whose text has a known probability.

Every choice is either written (a word) or can be read off the next word: whether an adjective follows, whether a
relative clause opens, whether a noun after "the" is plural. The topic is named in an article's title, the number of a
subject by its determiner or noun, an open bracket by its "(". A text has therefore one derivation, and −ln p(text) is
the sum of −ln p over the choices made while writing, with nothing hidden left to sum over.

What has to be remembered: the topic, over the article (it decides which nouns are frequent); the number of a subject,
over what stands between it and its verb; the bracket or quotation mark to close.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from datasets.wikitext.lexicon import Table, lexicon

SINGULAR, PLURAL = "singular", "plural"

SUBJECTS = Table({"name": 3, "the": 4, SINGULAR: 2, PLURAL: 2})
DETERMINERS = {
    SINGULAR: Table({"a": 6, "this": 2, "every": 1}),
    PLURAL: Table({"these": 3, "many": 2, "several": 1}),
}
NUMBERS = Table({SINGULAR: 2, PLURAL: 1})
ADJECTIVE = Table({"none": 7, "one": 3})
MODIFIERS = Table({"none": 12, "preposition": 4, "that": 3, "(": 1})
PREDICATES = Table({"transitive": 8, "intransitive": 4, "be": 3})
PREDICATES_WITH_SPEECH = Table({"transitive": 8, "intransitive": 4, "be": 3, "saying": 1})
ADVERB = Table({"none": 2, "one": 1})
OPENING = Table({"none": 5, "preposition": 1})
JOINED = Table({"none": 4, "one": 1})
SENTENCES = Table({"end": 1, "more": 3})
PARAGRAPHS = Table({"end": 1, "more": 1})
HEADINGS = Table({"article": 3, "section": 6, "subsection": 2})
TITLES = Table({"plain": 1, "named": 1})
LEVELS = {"article": 1, "section": 2, "subsection": 3}
DEEPEST = 2  # nouns this deep in a phrase have no modifiers


class Writer:
    """Writes articles.

    seed: of the choices. n_words: written so far, as WikiText counts (with ends of lines). nats: −ln of their
    probability.
    """

    def __init__(self, seed: int) -> None:
        self.n_words, self.nats = 0, 0.0
        self._rng = random.Random(seed)
        self._words = lexicon()
        self._line: list[str] = []
        self._lines: list[str] = []

    def articles(self, min_words: int) -> Iterator[str]:
        """One by one, until so many words are written; the end of the last article counts among the choices."""
        while self.n_words < min_words:
            yield self._article()

    def _article(self) -> str:
        self._heading("article")
        title = self._pick(self._words.titles)
        self._line.append(title)
        if self._pick(TITLES) == "named":
            self._say(self._words.names)
        self._close_heading("article")
        self._nouns = self._words.nouns[title]
        self._paragraphs()
        while (kind := self._pick(HEADINGS)) != "article":
            self._heading(kind)
            self._say(self._words.sections)
            self._close_heading(kind)
            self._paragraphs()
        text, self._lines = "".join(self._lines), []
        return text

    def _heading(self, kind: str) -> None:
        self._end_line()
        self._line.extend("=" * LEVELS[kind])

    def _close_heading(self, kind: str) -> None:
        self._line.extend("=" * LEVELS[kind])
        self._end_line()
        self._end_line()

    def _paragraphs(self) -> None:
        while True:
            self._paragraph()
            if self._pick(PARAGRAPHS) == "end":
                return

    def _paragraph(self) -> None:
        while True:
            self._sentence()
            if self._pick(SENTENCES) == "end":
                self._end_line()
                return

    def _sentence(self) -> None:
        if self._pick(OPENING) == "preposition":
            self._say(self._words.prepositions)
            self._noun_phrase(1)
            self._line.append(",")
        self._clause(PREDICATES_WITH_SPEECH)
        if self._pick(JOINED) == "one":
            self._say(self._words.conjunctions)
            self._clause(PREDICATES_WITH_SPEECH)
        self._line.append(".")

    def _clause(self, predicates: Table) -> None:
        self._predicate(self._noun_phrase(0), predicates, 0)

    def _predicate(self, number: str, predicates: Table, depth: int) -> None:
        """A verb that agrees with the number of its subject, and what follows it."""
        kind = self._pick(predicates)
        if kind == "be":
            self._line.append("is" if number == SINGULAR else "are")
            self._say(self._words.adjectives)
            return
        self._line.append(inflected(self._pick(getattr(self._words, kind)), ending=number == SINGULAR))
        if kind == "transitive":
            self._noun_phrase(depth + 1)
        elif kind == "intransitive":
            if self._pick(ADVERB) == "one":
                self._say(self._words.adverbs)
        else:
            self._line.append('"')
            self._clause(PREDICATES)  # without speech: one mark opens and closes, so it cannot be nested
            self._line.append('"')

    def _noun_phrase(self, depth: int) -> str:
        """Returns the phrase's number."""
        kind = self._pick(SUBJECTS)
        if kind == "name":
            self._say(self._words.names)
            number = SINGULAR
        else:
            number = self._noun(kind)
        if depth < DEEPEST:
            self._modifier(number, depth)
        return number

    def _noun(self, kind: str) -> str:
        if kind == "the":
            self._line.append("the")
        else:
            self._say(DETERMINERS[kind])
        while self._pick(ADJECTIVE) == "one":
            self._say(self._words.adjectives)
        number = self._pick(NUMBERS) if kind == "the" else kind
        self._line.append(inflected(self._pick(self._nouns), ending=number == PLURAL))
        return number

    def _modifier(self, number: str, depth: int) -> None:
        kind = self._pick(MODIFIERS)
        if kind == "preposition":
            self._say(self._words.prepositions)
            self._noun_phrase(depth + 1)
        elif kind == "that":
            self._line.append("that")
            self._predicate(number, PREDICATES, depth + 1)
        elif kind == "(":
            self._line.append("(")
            self._noun_phrase(depth + 1)
            self._line.append(")")

    def _pick(self, table: Table) -> str:
        index = table.draw(self._rng)
        self.nats += table.nats[index]
        return table.symbols[index]

    def _say(self, table: Table) -> None:
        self._line.append(self._pick(table))

    def _end_line(self) -> None:
        self._lines.append(" ".join(["", *self._line, "\n"]))
        self.n_words += len(self._line) + 1
        self._line = []


def inflected(stem: str, ending: bool) -> str:
    """A noun or verb, with its ending -s or without."""
    return f"{stem}s" if ending else stem
