"""The citation graphs Cora, CiteSeer and PubMed; `load.load_citation` reads them."""

from datasets.core.source import Collection
from datasets.planetoid.manifest import MANIFESTS
from datasets.planetoid.standin import STANDINS

DATASET = Collection.of(MANIFESTS, STANDINS)
