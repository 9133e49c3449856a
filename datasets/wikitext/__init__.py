"""WikiText-2 and WikiText-103; `load` reads them as ids of tokens."""
