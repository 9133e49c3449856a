"""WikiText-2 and WikiText-103 (Merity et al., arXiv:1609.07843): good articles of Wikipedia, as ids of BPE tokens.

    source = resolve("wikitext2")
    data = load_wikitext(source, Tokenization(vocabulary=4_000))
    data.decode(data.valid[:50])

The tokenizer is trained on the training split, once, and cached with the ids. With the loss summed over a split, in
nats, perplexity per token is exp(loss / data.tokens[split]) and per word exp(loss / data.words[split]). A word is what
WikiText counts: whatever white space separates, and every end of line.
"""

from __future__ import annotations

from datasets.wikitext.cache import load_wikitext
from datasets.wikitext.corpus import WikiText
from datasets.wikitext.format import SPLITS
from datasets.wikitext.tokenizer import Tokenization

__all__ = ["SPLITS", "Tokenization", "WikiText", "load_wikitext"]
