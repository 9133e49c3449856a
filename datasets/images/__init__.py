"""Labelled images: MNIST, Fashion-MNIST and CIFAR-10; `load.load_images` reads them."""

from datasets.core.source import Collection
from datasets.images.manifest import MANIFESTS
from datasets.images.standin import STANDINS

DATASET = Collection.of(MANIFESTS, STANDINS)
