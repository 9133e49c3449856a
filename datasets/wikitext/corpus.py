"""WikiText as a model reads it: ids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from torch import Tensor

from datasets.wikitext.tokenizer import WordTokenizer


@dataclass(frozen=True)
class WikiText:
    """The three splits, encoded.

    train, valid, test: (n,) uint16, or uint32 beyond 65,536 ids; memory-mapped. Slice, then convert what is needed:
    `data.train[a:b].long()`; PyTorch computes little in these types.
    vocabulary: how many ids there are. tokens: BPE tokens of each split, which is its length. words: its words as
    WikiText counts them, every end of line included (unless the tokenization drops them, then without). Perplexity per
    word is exp(loss in nats, summed over a split's tokens / words); it compares across tokenizers.
    floors: stand-in: the text's −ln p under the grammar it was drawn from, in nats per word, by split. On average no
    model that reads from the beginning has less; None for real text, and where ends of lines are dropped.
    """

    train: Tensor
    valid: Tensor
    test: Tensor
    vocabulary: int
    tokens: dict[str, int]
    words: dict[str, int]
    floors: dict[str, float] | None
    tokenizer: WordTokenizer = field(repr=False)

    @property
    def floor(self) -> float | None:
        """The floor of the validation split, which results are reported on."""
        return None if self.floors is None else self.floors["valid"]

    def decode(self, ids: Iterable[int] | Tensor) -> str:
        """The text of ids (n,), in WikiText's layout. Raises ValueError for an id that there is none of."""
        return self.tokenizer.decode(ids.tolist() if isinstance(ids, Tensor) else ids)
