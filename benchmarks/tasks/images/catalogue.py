"""The domain of images: its networks, datasets, metrics and tables."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.catalogue.domain import Architecture, Domain, TableSpec, Task
from benchmarks.catalogue.metric import ALIGNMENT, HIGHER, MOST_COSINE, NEITHER, Metric

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
    Architecture(
        "mlp_seeds",
        "MLP, several seeds",
        f"{_HERE}.config:StackConfig",
        builder=f"{_HERE}.stack:SeedsSideBySide",
        metrics=("accuracy", "train_accuracy", "valid_accuracy"),
        recipe_of="mlp",
        recipe="several seeds",
    ),
)
#: What sweeps of all profiles include unasked: each network once.
_SHOWN = {"mnist": ("mlp", "cnn"), "cifar10": ("resnet", "vit")}


def _tasks() -> Iterator[Task]:
    for dataset in DATASETS:
        for one in ARCHITECTURES:
            profiles = {} if one.name in _SHOWN.get(dataset, ()) else {"profiles": [] if one.recipe_of else ["paper"]}
            yield Task(f"{dataset}/{one.name}", one.name, dataset, settings=profiles)


def _cosine(name: str, title: str, better: str = NEITHER, min_effect: float = 0.01) -> Metric:
    return Metric(
        name, title, better, 2, "", min_effect, rerun_tolerance=0.1, minimum=-MOST_COSINE, maximum=MOST_COSINE
    )


def _cosines(**layers: str) -> Iterator[Metric]:
    """The angle of a layer's signals to backprop's, as the studies of arXiv:1906.04554 report it."""
    for name, place in layers.items():
        yield _cosine(f"cosine_{name}", f"cosine at {place}", HIGHER, min_effect=0.02)


DOMAIN = Domain(
    name="images",
    title="images",
    task=f"{_HERE}.config:ImagesConfig",
    builder=f"{_HERE}.classification:ImageClassification",
    architectures=ARCHITECTURES,
    datasets=DATASETS,
    measures=("accuracy", "train_accuracy", "valid_accuracy"),
    metrics=(
        _cosine("feedback_weight_cosine", "cosine of weights and feedback"),
        _cosine("preactivation_cosine", "alignment before the activation"),
        _cosine("seed_cosine", "cosine of the weights of two seeds"),
        *_cosines(bottleneck="the bottleneck", tanh1="the first hidden layer", tanh3="the third hidden layer"),
        Metric("bottom_first", "share of seeds whose lower layers align first", NEITHER, 2, rerun_tolerance=0.3),
    ),
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
