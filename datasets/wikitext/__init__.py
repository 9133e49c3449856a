"""WikiText-2 and WikiText-103; `load.load_wikitext` encodes and reads them."""

from datasets.core.source import Collection
from datasets.wikitext.manifest import MANIFESTS
from datasets.wikitext.standin import STANDINS

DATASET = Collection.of(MANIFESTS, STANDINS)
