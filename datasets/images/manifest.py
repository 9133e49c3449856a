"""The images as published. Files are known by what they hold, so that one from another program's folder is good, too.

Other libraries keep the same files elsewhere (torchvision: `MNIST/raw`, `cifar-10-batches-py`). Such a folder under the
data root is read as it is. Of several that are there, one is taken as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from datasets.core.content import Content
from datasets.core.files import is_file, obstacle
from datasets.core.manifest import Manifest, RemoteFile

CLASSES = 10  # of each dataset
Files = tuple[RemoteFile, ...]


@dataclass(frozen=True)
class ImageManifest(Manifest):
    """The files of a dataset. others: the same content in other folders or formats."""

    others: tuple[Files, ...] = ()

    def files_in(self, root: Path) -> Files:
        """The files of the first folder that has any, as the published ones if none has."""
        return next((files for files in (self.files, *self.others) if _any_of(files, root)), self.files)

    def place(self, root: Path) -> Path:
        """The folder of these files."""
        return self.files_in(root)[0].place(root).parent

    def places(self, root: Path) -> list[Path]:
        """Every place of these files; of those in all folders if none is there."""
        return [place for file in self._candidates(root) for place in file.places(root)]

    def obstacles(self, root: Path) -> Iterator[str]:
        """As the base class, and files in a form that cannot be checked, where the published ones are missing."""
        yield from super().obstacles(root)
        for file in self._candidates(root):
            if (plain := _unpacked_unknown(file, root)) is None or is_file(file.place(root)):
                continue
            if is_file(plain):
                name = file.path.rpartition("/")[2]
                yield f"{plain} is unpacked, and the published checksum is that of {name}, which is to lie beside it"
            elif what := obstacle(plain):
                yield f"{plain} {what}"

    def _candidates(self, root: Path) -> Files:
        sets = (self.files, *self.others)
        found = next((files for files in sets if _any_of(files, root)), None)
        return found or tuple(file for files in sets for file in files)

    def missing(self, root: Path) -> list[RemoteFile]:
        """The files that are not there; looks at names only."""
        return [file for file in self.files_in(root) if not is_file(file.place(root))]

    def fingerprint_in(self, root: Path) -> str:
        """The fingerprint of the published files, since every format holds what they hold."""
        return self.fingerprint

    def find(self, name: str) -> RemoteFile:
        """The file with this name, in whatever format. Raises KeyError if there is none."""
        for file in (file for files in (self.files, *self.others) for file in files):
            if name in {path.rpartition("/")[2] for path in (file.path, *file.alternatives)}:
                return file
        raise KeyError(name)


def _unpacked_unknown(file: RemoteFile, root: Path) -> Path | None:
    """Where the file would lie unpacked, if nobody has published what it holds then."""
    if file.content is not None or not file.path.endswith(".gz"):
        return None
    return root.joinpath(*file.path.removesuffix(".gz").split("/"))


def _any_of(files: Files, root: Path) -> bool:
    return any(is_file(file.place(root)) for file in files)


def _moved(files: Files, folder: str) -> Files:
    """The files in another folder."""

    def at(path: str) -> str:
        return f"{folder}/{path.rpartition('/')[2]}"

    return tuple(replace(file, path=at(file.path), alternatives=tuple(map(at, file.alternatives))) for file in files)


# IDX -------------------------------------------------------------------------------------------------------------

#: Names of the four files, compressed as they are published.
IDX_FILES = tuple(
    f"{part}-ubyte.gz" for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
)

_Known = tuple[int, str, Content | None]  # bytes and SHA-256 of the compressed file; what it holds

_MNIST: tuple[_Known, ...] = (
    (
        9_912_422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        Content(47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    ),
    (
        28_881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        Content(60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    ),
    (
        1_648_877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        Content(7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    ),
    (
        4_542,
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        Content(10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    ),
)
_FASHION: tuple[_Known, ...] = (
    (26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", None),
    (29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", None),
    (4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", None),
    (5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", None),
)


def _idx_files(folder: str, address: str, known: tuple[_Known, ...]) -> Files:
    files = []
    for name, (size, sha256, content) in zip(IDX_FILES, known, strict=True):
        unpacked = (f"{folder}/{name.removesuffix('.gz')}",) if content else ()
        file = RemoteFile(f"{folder}/{name}", f"{address}/{name}", sha256, size, alternatives=unpacked, content=content)
        files.append(file)
    return tuple(files)


def _idx(name: str, files: Files, elsewhere: str, licence: str, origin: str) -> ImageManifest:
    folder = files[0].path.rpartition("/")[0]
    return ImageManifest(name, folder, licence, origin, files, others=(_moved(files, elsewhere),))


# CIFAR-10 --------------------------------------------------------------------------------------------------------

#: Names of its files without suffix: five of the training set, one of the test.
BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")

_CIFAR = "https://www.cs.toronto.edu/~kriz"
_BYTES = 30_730_000  # of a binary file: 10,000 records
_PICKLED = 31_035_000  # of a pickled one, about
_RECORDS = (
    "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
)

#: The records that each batch holds, in either format.
CIFAR_CONTENT = {name: Content(_BYTES, sha256) for name, sha256 in zip(BATCHES, _RECORDS, strict=True)}


def _check_pickle(expected: Content, path: Path, fix_hint: str) -> None:
    from datasets.images.cifar import read_pickle  # a status or a plan reads no image

    read_pickle(path, expected, fix_hint)


def _binary_files(folder: str) -> Files:
    archive = f"{_CIFAR}/cifar-10-binary.tar.gz"
    return tuple(
        RemoteFile(f"{folder}/{name}.bin", archive, known.sha256, known.size, member=f"{name}.bin")
        for name, known in CIFAR_CONTENT.items()
    )


def _pickled_files(folder: str) -> Files:
    archive = f"{_CIFAR}/cifar-10-python.tar.gz"
    return tuple(
        RemoteFile(
            f"{folder}/{name}", archive, None, _PICKLED, member=name, check=partial(_check_pickle, CIFAR_CONTENT[name])
        )
        for name in BATCHES
    )


def _cifar10() -> ImageManifest:
    binary, pickled = "cifar-10-batches-bin", "cifar-10-batches-py"
    files = _binary_files(f"cifar10/{binary}")
    others = (_pickled_files(f"cifar10/{pickled}"), _binary_files(binary), _pickled_files(pickled))
    return ImageManifest("cifar10", f"cifar10/{binary}", "not stated", "Krizhevsky", files, others=others)


MANIFESTS: dict[str, Manifest] = {
    "mnist": _idx(
        "mnist",
        _idx_files("mnist/raw", "https://storage.googleapis.com/cvdf-datasets/mnist", _MNIST),
        elsewhere="MNIST/raw",
        licence="CC BY-SA 3.0",
        origin="LeCun, Cortes, Burges",
    ),
    "fashion_mnist": _idx(
        "fashion_mnist",
        _idx_files("fashion_mnist/raw", "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com", _FASHION),
        elsewhere="FashionMNIST/raw",
        licence="MIT",
        origin="Zalando",
    ),
    "cifar10": _cifar10(),
}
