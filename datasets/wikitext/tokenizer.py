"""Words → BPE tokens and back.

Byte-level BPE (Sennrich et al., arXiv:1508.07909, over bytes) inside words: a token holds a piece of one word, and a
word's first token the space before it. A word's tokens therefore do not depend on its neighbours, and every word is
encoded only once. Tokens of their own for ends of lines and unknown words are numbered after those of BPE: no word of
the text, whatever its letters, can be taken for one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby

import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers, trainers

from datasets.core.errors import DataError
from datasets.wikitext.format import LINE_END, UNKNOWN

_BYTES = 256  # tokens before the first merge
_MIN_COUNT = 2  # occurrences of a pair that is merged
_CHUNK = 500  # words handed to the trainer at a time: it keeps 256 chunks in memory
_THREADS = "RAYON_NUM_THREADS"


@dataclass(frozen=True)
class Tokenization:
    """The settings that determine the ids.

    vocabulary: all ids: 256 bytes, merges and the one or two special tokens; trained on the training split only.
    lowercase: as published. end_of_line: "keep" has a special token for every end of line, those of blank lines too;
    "drop" has none, and then an end of line is no word either. unknown: WikiText's own `<unk>` is one special
    "token", or is "text" like any other word.
    Raises DataError for other values.
    """

    vocabulary: int = 32_000
    lowercase: bool = True
    end_of_line: str = "keep"
    unknown: str = "token"

    def __post_init__(self) -> None:
        for name, valid in (("end_of_line", ("keep", "drop")), ("unknown", ("token", "text"))):
            value = getattr(self, name)
            if value not in valid:
                raise DataError(f"{name}={value!r} is no choice of WikiText's tokenization; take {' or '.join(valid)}")
        minimum = _BYTES + len(self.special) + 1
        if self.vocabulary < minimum:
            raise DataError(
                f"vocabulary={self.vocabulary} has no room for merges beside all bytes; take {minimum} or more"
            )

    @property
    def special(self) -> tuple[str, ...]:
        """The words that have a token of their own, in the order of their ids."""
        kept = {LINE_END: self.end_of_line == "keep", UNKNOWN: self.unknown == "token"}
        return tuple(word for word, has_token in kept.items() if has_token)


class WordTokenizer:
    """Byte-level BPE and the special tokens; `train` and `from_json` make one.

    size: ids there are. special: id by special word (the end of line is "\\n").
    """

    def __init__(self, bpe: tokenizers.Tokenizer, special: Sequence[str]) -> None:
        self._bpe = bpe
        first = bpe.get_vocab_size(with_added_tokens=False)
        self.special = {word: first + number for number, word in enumerate(special)}
        self.size = first + len(special)

    @classmethod
    def train(cls, words: Iterable[Sequence[str]], settings: Tokenization, where: str) -> WordTokenizer:
        """Find the merges. Memory grows with the number of distinct words only.

        words: some at a time, ends of lines among them. where: they come from, for messages.
        Raises DataError if they have too few pairs for the vocabulary.
        """
        bpe = tokenizers.Tokenizer(models.BPE())
        bpe.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False)]
        )
        bpe.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=settings.vocabulary - len(settings.special),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            min_frequency=_MIN_COUNT,
            show_progress=False,
        )
        with _threads():
            bpe.train_from_iterator(_chunks(words, set(settings.special)), trainer)
        tokenizer = cls(bpe, settings.special)
        if tokenizer.size < settings.vocabulary:
            raise DataError(
                f"{where}: vocabulary={settings.vocabulary} is more than this text supports (BPE ran out of pairs that "
                f"occur {_MIN_COUNT} times); take {tokenizer.size} or fewer"
            )
        return tokenizer

    @classmethod
    def from_json(cls, text: str, settings: Tokenization) -> WordTokenizer:
        """The tokenizer that `to_json` described. Raises ValueError if it is damaged or of another size."""
        try:
            tokenizer = cls(tokenizers.Tokenizer.from_str(text), settings.special)
        except Exception as error:  # the library raises nothing more specific
            raise ValueError(f"not a tokenizer: {error}") from error
        if tokenizer.size != settings.vocabulary:
            raise ValueError(f"a tokenizer of {tokenizer.size} ids where {settings.vocabulary} are expected")
        return tokenizer

    def to_json(self) -> str:
        """The merges, as the `tokenizers` library stores them; special tokens are not among them."""
        return self._bpe.to_str()

    def encode(self, words: Sequence[str]) -> list[list[int]]:
        """The ids of each word; none for an end of line without a token. In as many threads as PyTorch uses."""
        with _threads():
            pieces = self._bpe.encode_batch(list(words), add_special_tokens=False)
        return [
            [self.special[word]] if word in self.special else piece.ids
            for word, piece in zip(words, pieces, strict=True)
        ]

    def decode(self, ids: Iterable[int]) -> str:
        """The text in WikiText's layout: a space before each word and before each end of line.

        Bytes that form no character become U+FFFD. Raises ValueError for an id that there is none of.
        """
        words = {number: f" {word}" for word, number in self.special.items()}
        text = []
        for word, group in groupby(map(int, ids), words.get):
            run = list(group)
            if not all(0 <= number < self.size for number in run):
                raise ValueError(f"an id lies outside 0 … {self.size - 1}")
            text.append(self._bpe.decode(run, skip_special_tokens=False) if word is None else word * len(run))
        return "".join(text)


def _chunks(words: Iterable[Sequence[str]], special: set[str]) -> Iterator[str]:
    for some in words:
        ordinary = [word for word in some if word not in special]
        for first in range(0, len(ordinary), _CHUNK):
            yield " ".join(ordinary[first : first + _CHUNK])


@contextmanager
def _threads() -> Iterator[None]:
    """Let the library use as many threads as PyTorch does: it would take every core, also in a sweep's processes.

    It looks once, at its first parallel call; who sets RAYON_NUM_THREADS decides.
    """
    if _THREADS in os.environ:
        yield
        return
    os.environ[_THREADS] = str(torch.get_num_threads())
    try:
        yield
    finally:
        del os.environ[_THREADS]
