"""The images of a task: parts, batches, label noise, shrinking, standardising."""

from __future__ import annotations

import pytest
import torch

from benchmarks.tasks.images.config import ImagesConfig
from benchmarks.tasks.images.data import TaskImages
from datasets.core.source import Source
from datasets.images.standin import STANDINS, ImageSettings
from datasets.registry import find_dataset

COUNTS = ImageSettings(seed=0, train=100, test=30)


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict[str, Source]:
    found = {}
    for name in ("mnist", "cifar10"):
        folder = tmp_path_factory.mktemp(name)
        STANDINS[name].write(folder, COUNTS)
        found[name] = Source("stand-in", find_dataset(name), folder, "small")
    return found


def config(**more) -> ImagesConfig:
    return ImagesConfig(**{"batch_size": 10, "valid_share": 0.2, **more})


def test_validation_takes_the_last_images_and_no_image_is_in_two_parts(sources):
    data = TaskImages(config(rows=80), sources["mnist"])
    whole = TaskImages(config(valid_share=0.0), sources["mnist"])
    assert [len(part.labels) for part in (data.train, data.valid, data.test)] == [64, 16, 30]
    assert torch.equal(torch.cat([data.train.images, data.valid.images]), whole.train.images[:80])


def test_without_a_validation_part_the_test_images_stand_in_its_place(sources):
    data = TaskImages(config(valid_share=0.0), sources["mnist"])
    assert torch.equal(data.valid.images, data.test.images) and len(data.train.labels) == 100


def test_published_constants_are_those_of_pixels_between_zero_and_one(sources):
    """Companion A's runs rest on them; their deviations are smaller than the data's."""
    data = TaskImages(config(standardise="published"), sources["cifar10"])
    pixels = data.train.images[:3].double() / 255
    expected = (pixels[:, 2] - 0.4465) / 0.2010
    assert torch.allclose(data.ready(data.train, slice(3)).images[:, 2].double(), expected, atol=1e-5)
    with pytest.raises(ValueError, match=r"standardise=published: is for colour images, and these have 1 channel"):
        TaskImages(config(standardise="published"), sources["mnist"])


@pytest.mark.parametrize(("standardise", "dims"), [("channels", (0, 2, 3)), ("pixels", (0, 1, 2, 3))])
def test_what_is_trained_on_has_mean_zero_and_deviation_one(sources, standardise, dims):
    data = TaskImages(config(standardise=standardise), sources["cifar10"])
    images = data.ready(data.train, slice(None)).images
    assert images.mean(dims).abs().max() < 1e-5 and (images.std(dims, unbiased=False) - 1).abs().max() < 1e-5
    other = data.ready(data.valid, slice(None)).images
    assert 1e-5 < other.mean(dims).abs().max() < 0.5  # by the training images' own moments


def test_shrinking_halves_a_side_and_keeps_the_mean(sources):
    data = TaskImages(config(side=14), sources["mnist"])
    assert data.shape == (1, 14, 14)
    whole = TaskImages(config(), sources["mnist"])
    assert data.train.images.mean().item() == pytest.approx(whole.train.images.float().mean().item(), rel=0.01)
    assert data.train.images.std() < whole.train.images.float().std()  # the noise of neighbours is averaged


def test_the_order_of_batches_follows_seed_and_epoch_and_resumes(sources):
    settings = config()
    data = TaskImages(settings, sources["mnist"])

    def labels(seed, epoch, start=0):
        return [batch.labels.tolist() for batch in data.training_batches(settings, seed, epoch, start)]

    first = labels(0, 0)
    assert first == labels(0, 0) and first[3:] == labels(0, 0, start=3)
    assert first != labels(1, 0) and first != labels(0, 1)
    assert sorted(label for batch in first for label in batch) == sorted(data.train.labels.tolist())


def test_full_batches_leave_out_the_rest(sources):
    settings = config(batch_size=30, full_batches=True)
    data = TaskImages(settings, sources["mnist"])
    assert [len(batch.labels) for batch in data.training_batches(settings, 0, 0, 0)] == [30, 30]


def test_label_noise_redraws_a_share_of_the_training_labels_alone(sources):
    clean, noisy = (TaskImages(config(label_noise=share), sources["mnist"]) for share in (0.0, 0.5))
    changed = (clean.train.labels != noisy.train.labels).float().mean()
    assert 0.3 < changed < 0.6  # half of them, of which a tenth is drawn as before
    assert torch.equal(clean.valid.labels, noisy.valid.labels) and torch.equal(clean.test.labels, noisy.test.labels)
    again = TaskImages(config(label_noise=0.5), sources["mnist"])
    assert torch.equal(again.train.labels, noisy.train.labels)


def test_too_few_images_for_a_batch_are_one_line(sources):
    with pytest.raises(ValueError, match=r"task\.batch_size=90: 80 images are left to train on"):
        TaskImages(config(batch_size=90), sources["mnist"])
