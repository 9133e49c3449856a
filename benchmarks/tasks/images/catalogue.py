"""The domain of images: its networks, datasets, metrics and tables."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.catalogue.domain import Architecture, Domain, TableSpec, Task
from benchmarks.catalogue.metric import ALIGNMENT

_HERE = "benchmarks.tasks.images"
_LEARNED = {"structural": "every path from a feedback point to the scores begins with learned weights"}
DATASETS = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "cifar10": "CIFAR-10"}

ARCHITECTURES = (
    Architecture("mlp", "MLP", f"{_HERE}.config:PerceptronConfig", f"{_HERE}.mlp:MLP", skip=_LEARNED),
    Architecture("cnn", "CNN", f"{_HERE}.config:CNNConfig", f"{_HERE}.cnn:CNN", skip=_LEARNED),
    Architecture(
        "resnet",
        "ResNet",
        f"{_HERE}.config:ResNetConfig",
        f"{_HERE}.resnet:ResNet",
        representative="cifar10/resnet",
    ),
    Architecture("vit", "ViT", f"{_HERE}.config:ViTConfig", f"{_HERE}.vit:ViT", representative="cifar10/vit"),
)
#: What sweeps of all profiles include unasked: each network once.
_SHOWN = {"mnist": ("mlp", "cnn"), "cifar10": ("resnet", "vit")}


def _tasks() -> Iterator[Task]:
    for dataset in DATASETS:
        for one in ARCHITECTURES:
            shown = one.name in _SHOWN.get(dataset, ())
            yield Task(f"{dataset}/{one.name}", one.name, dataset, settings={} if shown else {"profiles": ["paper"]})


DOMAIN = Domain(
    name="images",
    title="images",
    task=f"{_HERE}.config:ImagesConfig",
    builder=f"{_HERE}.classification:ImageClassification",
    architectures=ARCHITECTURES,
    datasets=DATASETS,
    measures=("accuracy", "train_accuracy", "valid_accuracy"),
    tasks=tuple(_tasks()),
    tables=(
        TableSpec("overview_images", "Images, all methods side by side: test accuracy (%)", ("accuracy",)),
        TableSpec(
            "alignment_images",
            "Alignment of image networks, cosine at the deepest feedback point",
            ALIGNMENT,
            shown=False,
        ),
    ),
    example="mnist/mlp",
)
