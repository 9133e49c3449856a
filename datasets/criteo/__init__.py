"""Criteo's display advertising data; `load.load_criteo` encodes and reads them."""

from datasets.core.source import Collection
from datasets.criteo.manifest import MANIFESTS
from datasets.criteo.standin import STANDINS

DATASET = Collection.of(MANIFESTS, STANDINS)
