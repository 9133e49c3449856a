"""Generated text scored by reading it: the oracle for the probability that the generator states."""

from __future__ import annotations

from datasets.wikitext import grammar
from datasets.wikitext.lexicon import Table, lexicon
from tests.helpers.wikitext_samples import split_by_hand


class Reader:
    """Reads generated text and adds up −ln p of every choice that the words show.

    It shares the tables with the generator, and nothing else: it looks one word ahead, where the generator draws.
    Raises AssertionError if the text has no derivation.
    """

    def __init__(self, text: str) -> None:
        self._words = split_by_hand(text, lowercase=False)[::-1]
        self._lexicon = lexicon()
        self._verbs = {
            kind: {stem: (f"{stem}s", stem) for stem in getattr(self._lexicon, kind).symbols}
            for kind in ("transitive", "intransitive", "saying")
        }
        self.nats = 0.0

    def read(self) -> float:
        """The nats of the whole text."""
        self._take("\n", "=")
        while self._words:
            self._article()
        return self.nats

    def _article(self) -> None:
        title = self._word(self._lexicon.titles)
        if self._choose(grammar.TITLES, "named" if self._next() != "=" else "plain") == "named":
            self._word(self._lexicon.names)
        self._take("=", "\n", "\n")
        nouns = self._lexicon.nouns[title]
        self._nouns = {form: (stem, i) for stem in nouns.symbols for i, form in enumerate((stem, f"{stem}s"))}
        self._noun_table = nouns
        while True:
            self._section()
            level = self._level()
            self._choose(grammar.HEADINGS, ("article", "section", "subsection")[level - 1])
            if level == 1:
                return
            self._word(self._lexicon.sections)
            self._take(*["="] * level, "\n", "\n")

    def _level(self) -> int:
        """Of the heading that begins here, whose marks are taken; the end of the text is the end of an article."""
        if not self._words:
            return 1
        self._take("\n")
        level = 0
        while self._next() == "=":
            self._take("=")
            level += 1
        return level

    def _section(self) -> None:
        while True:
            while True:
                self._sentence()
                if self._choose(grammar.SENTENCES, "end" if self._next() == "\n" else "more") == "end":
                    break
            self._take("\n")
            if self._choose(grammar.PARAGRAPHS, "end" if self._next() in ("\n", None) else "more") == "end":
                return

    def _sentence(self) -> None:
        prepositions, conjunctions = self._lexicon.prepositions, self._lexicon.conjunctions
        if self._choose(grammar.OPENING, "preposition" if self._is(prepositions) else "none") == "preposition":
            self._word(prepositions)
            self._noun_phrase(1)
            self._take(",")
        self._clause(grammar.PREDICATES_WITH_SPEECH)
        if self._choose(grammar.JOINED, "one" if self._is(conjunctions) else "none") == "one":
            self._word(conjunctions)
            self._clause(grammar.PREDICATES_WITH_SPEECH)
        self._take(".")

    def _clause(self, predicates: Table) -> None:
        self._predicate(self._noun_phrase(0), predicates, 0)

    def _predicate(self, plural: bool, predicates: Table, depth: int) -> None:
        if self._next() in ("is", "are"):
            self._choose(predicates, "be")
            self._take("are" if plural else "is")
            self._word(self._lexicon.adjectives)
            return
        kind, stem = next(
            (kind, stem)
            for kind, verbs in self._verbs.items()
            for stem, forms in verbs.items()
            if forms[plural] == self._next()
        )
        self._choose(predicates, kind)
        self._choose(getattr(self._lexicon, kind), stem)
        self._words.pop()
        if kind == "transitive":
            self._noun_phrase(depth + 1)
        elif kind == "saying":
            self._take('"')
            self._clause(grammar.PREDICATES)
            self._take('"')
        elif self._choose(grammar.ADVERB, "one" if self._is(self._lexicon.adverbs) else "none") == "one":
            self._word(self._lexicon.adverbs)

    def _noun_phrase(self, depth: int) -> bool:
        """Whether it is plural."""
        if self._is(self._lexicon.names):
            self._choose(grammar.SUBJECTS, "name")
            self._word(self._lexicon.names)
            plural = False
        else:
            plural = self._noun()
        if depth < grammar.DEEPEST:
            self._modifier(plural, depth)
        return plural

    def _noun(self) -> bool:
        known = {kind: self._is(table) for kind, table in grammar.DETERMINERS.items()}
        if any(known.values()):
            kind = next(kind for kind in known if known[kind])
            self._choose(grammar.SUBJECTS, kind)
            self._word(grammar.DETERMINERS[kind])
        else:
            kind = self._choose(grammar.SUBJECTS, "the")
            self._take("the")
        while self._choose(grammar.ADJECTIVE, "one" if self._is(self._lexicon.adjectives) else "none") == "one":
            self._word(self._lexicon.adjectives)
        stem, plural = self._nouns[self._words.pop()]
        number = grammar.PLURAL if plural else grammar.SINGULAR
        assert kind in ("the", number), "a determiner and a noun disagree"
        if kind == "the":
            self._choose(grammar.NUMBERS, number)
        self._choose(self._noun_table, stem)
        return bool(plural)

    def _modifier(self, plural: bool, depth: int) -> None:
        word = self._next()
        kind = "preposition" if self._is(self._lexicon.prepositions) else word if word in ("that", "(") else "none"
        self._choose(grammar.MODIFIERS, kind)
        if kind == "preposition":
            self._word(self._lexicon.prepositions)
            self._noun_phrase(depth + 1)
        elif kind == "that":
            self._take("that")
            self._predicate(plural, grammar.PREDICATES, depth + 1)
        elif kind == "(":
            self._take("(")
            self._noun_phrase(depth + 1)
            self._take(")")

    def _next(self) -> str | None:
        return self._words[-1] if self._words else None

    def _is(self, table: Table) -> bool:
        return self._next() in table.symbols

    def _take(self, *words: str) -> None:
        for word in words:
            assert self._words.pop() == word

    def _choose(self, table: Table, symbol: str) -> str:
        self.nats += table.nats[table.symbols.index(symbol)]
        return symbol

    def _word(self, table: Table) -> str:
        return self._choose(table, self._words.pop())
