"""Criteo's display-advertising data (Kaggle, 2014): 45,840,617 ads, 39 fields, clicked or not.

`load_criteo` turns the text into memory-mapped arrays, once, and `batches` delivers from them:

    source = resolve("criteo")
    data = load_criteo(source, Preprocessing(threshold=10))
    split = data.split(seed=0)
    for rows, labels in batches(data, split.train, 2048, order_seed=epoch): ...

Encoding as published (and as in the literature on factorization machines): an integer v > 2 becomes ⌊ln(v)²⌋, any
other v − 2; then every value is a category, a missing one included. Values seen fewer than `threshold` times in
their field share its "rare" index. Within a field: 0 rare, then the frequent values: missing first, then
ascending.
"""

from __future__ import annotations

from datasets.criteo.batches import Batch, CriteoData, Split, batches
from datasets.criteo.cache import load_criteo
from datasets.criteo.format import FIELDS
from datasets.criteo.preprocess import Preprocessing

__all__ = ["FIELDS", "Batch", "CriteoData", "Preprocessing", "Split", "batches", "load_criteo"]
