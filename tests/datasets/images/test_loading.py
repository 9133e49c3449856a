"""The image loader: the published files wherever other libraries keep them, stand-ins, and what is refused."""

from __future__ import annotations

import gzip
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from datasets.core.content import Content
from datasets.core.errors import DataError
from datasets.core.source import Dataset, Source
from datasets.images import load as load_module
from datasets.images import manifest as manifest_module
from datasets.images.cifar import Batch, parse_records
from datasets.images.idx import write_idx
from datasets.images.load import load_images
from datasets.images.manifest import BATCHES, IDX_FILES, MANIFESTS, ImageManifest
from datasets.images.standin import STANDINS, ImageSettings
from datasets.registry import find_dataset, resolve
from tests.datasets.images.python2 import as_python_2_wrote_it

NAMES = ("mnist", "fashion_mnist", "cifar10")
SMALL = ImageSettings(seed=0, train=50, test=20)


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data root, returned, and an empty cache."""
    monkeypatch.setenv("DFA_DATA_DIR", str(tmp_path / "root"))
    monkeypatch.setenv("DFA_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "root"


def written(name: str, folder: Path) -> Source:
    """A small stand-in in the published format."""
    folder.mkdir(parents=True)
    STANDINS[name].write(folder, SMALL)
    return Source("stand-in", find_dataset(name), folder, "small")


@pytest.mark.usefixtures("roots")
@pytest.mark.parametrize("name", NAMES)
def test_a_stand_in_has_the_published_shape(name):
    data = load_images(resolve(name, "standin", "smoke"))
    shape = (3, 32, 32) if name == "cifar10" else (1, 28, 28)
    for part in data:
        assert part.images.shape[1:] == shape and part.images.dtype == torch.uint8
        assert part.labels.dtype == torch.int64 and set(part.labels.tolist()) == set(range(10))
        assert len(part.images) == len(part.labels)
    assert not torch.equal(data.train.images[:100], data.test.images[:100])


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_a_stand_in_takes_more_than_a_linear_map(name, tmp_path):
    """Else shallow training would do as well as any other, and no table on a stand-in would mean anything."""
    STANDINS[name].write(tmp_path, ImageSettings(0, 2000, 500))
    train, test = load_images(Source("stand-in", find_dataset(name), tmp_path, "larger"))
    model = LogisticRegression(max_iter=100).fit(train.images.flatten(1) / 255.0, train.labels)
    assert model.score(test.images.flatten(1) / 255.0, test.labels) < 0.3


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_real_images_are_the_published_ones(name):
    if not os.environ.get("DFA_DATA_DIR"):
        pytest.skip("DFA_DATA_DIR is not set: no real images")
    source = resolve(name, "auto")
    if source.kind != "real":
        pytest.skip(f"DFA_DATA_DIR has no {name}")
    train, test = load_images(source)
    assert (len(train.labels), len(test.labels)) == ((60_000 if name == "mnist" else 50_000), 10_000)
    known = {"mnist": ([0.1307], [7, 2, 1, 0, 4]), "cifar10": ([0.4914, 0.4822, 0.4465], [3, 8, 8, 0, 6])}
    means, labels = known[name]
    assert (train.images.double().mean((0, 2, 3)) / 255).tolist() == pytest.approx(means, abs=1e-4)
    assert test.labels[:5].tolist() == labels


# Where the published files may lie -------------------------------------------------------------------------------


def known_as(files: dict[str, bytes], manifest: ImageManifest) -> ImageManifest:
    """The manifest with the sizes and checksums of these files, by name."""

    def known(file):
        content = files[file.path.rpartition("/")[2].removesuffix(".gz")]
        digest = hashlib.sha256(content).hexdigest()
        held = Content(len(content), digest) if file.content or file.path.endswith(".gz") else None
        return replace(file, content=held) if held else replace(file, sha256=digest, size=len(content))

    others = tuple(tuple(file if file.check else known(file) for file in files) for files in manifest.others)
    return replace(manifest, files=tuple(map(known, manifest.files)), others=others)


@pytest.fixture
def mnist(tmp_path: Path) -> tuple[dict[str, bytes], ImageManifest]:
    """Unpacked files of a small MNIST, and the manifest that knows them."""
    source = written("mnist", tmp_path / "made")
    files = {p.name.removesuffix(".gz"): gzip.decompress(p.read_bytes()) for p in source.folder.iterdir()}
    return files, known_as(files, MANIFESTS["mnist"])


def real(manifest: ImageManifest, root: Path) -> Source:
    """The source that `registry.resolve` would give."""
    return Source("real", Dataset(manifest, STANDINS[manifest.name]), manifest.place(root), manifest.fingerprint)


@pytest.mark.parametrize("folder", ["mnist/raw", "MNIST/raw"])
@pytest.mark.parametrize("packed", [True, False])
def test_mnist_is_read_where_it_lies_packed_or_not(mnist, tmp_path, folder, packed):
    files, manifest = mnist
    place = tmp_path / "root" / folder
    place.mkdir(parents=True)
    for name, content in files.items():
        (place / f"{name}.gz").write_bytes(gzip.compress(content)) if packed else (place / name).write_bytes(content)
    source = real(manifest, tmp_path / "root")
    assert source.folder == place and not manifest.missing(tmp_path / "root") and not manifest.faults(tmp_path / "root")
    assert len(load_images(source).train.labels) == SMALL.train


def test_an_altered_file_is_refused(mnist, tmp_path):
    files, manifest = mnist
    place = tmp_path / "root" / "mnist/raw"
    place.mkdir(parents=True)
    for name, content in files.items():
        (place / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DataError, match=r"ubyte holds something else: sha256 .*; fetch it again: python -m"):
        load_images(real(manifest, tmp_path / "root"))


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, bytes], ImageManifest]:
    """Binary files of a small CIFAR-10, and the manifest that knows them."""
    source = written("cifar10", tmp_path / "made")
    files = {path.name: path.read_bytes() for path in source.folder.iterdir()}
    contents = {
        name: Content(len(files[f"{name}.bin"]), hashlib.sha256(files[f"{name}.bin"]).hexdigest()) for name in BATCHES
    }
    for module in (load_module, manifest_module):
        monkeypatch.setattr(module, "CIFAR_CONTENT", contents)
    return files, manifest_module._cifar10()


@pytest.mark.parametrize("folder", ["cifar10/cifar-10-batches-bin", "cifar-10-batches-bin"])
def test_cifar_is_read_from_its_binary_files(cifar, tmp_path, folder):
    files, manifest = cifar
    place = tmp_path / "root" / folder
    place.mkdir(parents=True)
    for name, content in files.items():
        (place / name).write_bytes(content)
    assert not manifest.faults(tmp_path / "root") or folder  # sizes are the published ones: only the content is asked
    data = load_images(real(known_as_binary(files, manifest), tmp_path / "root"))
    assert len(data.train.labels) == SMALL.train and len(data.test.labels) == SMALL.test


def known_as_binary(files: dict[str, bytes], manifest: ImageManifest) -> ImageManifest:
    def known(file):
        return file if file.check else replace(file, size=len(files[file.path.rpartition("/")[2]]))

    return replace(
        manifest,
        files=tuple(map(known, manifest.files)),
        others=tuple(tuple(map(known, others)) for others in manifest.others),
    )


@pytest.mark.parametrize("folder", ["cifar10/cifar-10-batches-py", "cifar-10-batches-py"])
def test_cifar_is_read_from_its_pickles(cifar, tmp_path, folder):
    """torchvision's folder; it is known by the records that its content makes, so its fingerprint is the same."""
    files, manifest = cifar
    place = tmp_path / "root" / folder
    place.mkdir(parents=True)
    for name, content in files.items():
        batch = parse_records(content, place / name, "hint")
        (place / name.removesuffix(".bin")).write_bytes(as_python_2_wrote_it(batch))
    source = real(manifest, tmp_path / "root")
    assert source.folder == place and not manifest.faults(tmp_path / "root")
    assert manifest.fingerprint_in(tmp_path / "root") == manifest.fingerprint
    binary = parse_records(files["test_batch.bin"], place, "hint")
    assert load_images(source).test.labels.tolist() == binary.labels.tolist()
    (place / "test_batch").write_bytes(as_python_2_wrote_it(Batch(binary.labels, binary.images[:, ::-1])))
    with pytest.raises(DataError, match="test_batch holds other images than the published ones"):
        load_images(source)


def test_half_a_set_of_files_is_no_stand_in(roots):
    """A download that broke off must not turn into generated data unnoticed."""
    place = roots / "cifar-10-batches-py"
    place.mkdir(parents=True)
    (place / "data_batch_1").write_bytes(b"")
    with pytest.raises(DataError, match=r"cifar10: incomplete under .*: missing cifar-10-batches-py/data_batch_2"):
        resolve("cifar10", "auto")


# Files that do not fit each other --------------------------------------------------------------------------------


def spoilt(source: Source, name: str, array: np.ndarray) -> Source:
    write_idx(source.folder / name, array)
    return source


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        (IDX_FILES[1], np.zeros(49, np.uint8), r"pixels for 49 labels"),
        (IDX_FILES[1], np.full(50, 10, np.uint8), r"image 0 has the label 10, where there are 10 classes"),
        (IDX_FILES[2], np.zeros((20, 14, 14), np.uint8), r"images of \(14, 14\), where .* has \(28, 28\)"),
        (IDX_FILES[0], np.zeros((0, 28, 28), np.uint8), r"pixels for 50 labels"),
    ],
)
def test_files_at_odds_are_one_line(tmp_path, name, array, said):
    with pytest.raises(DataError, match=rf"{said}.*delete the folder"):
        load_images(spoilt(written("mnist", tmp_path / "made"), name, array))


def test_a_missing_file_is_named(tmp_path):
    source = written("cifar10", tmp_path / "made")
    (source.folder / "data_batch_3.bin").unlink()
    with pytest.raises(DataError, match=r"data_batch_3\.bin"):
        load_images(source)
