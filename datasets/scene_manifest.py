"""The scenes as published (NeRF-Synthetic, LLFF-Real), and captures of one's own.

They come in archives without a checksum and are hundreds of files each. A manifest therefore lists the camera files
only; the fingerprint covers those byte by byte and every image with its path and size: cheap enough for each run, and
it tells another resolution or selection of views apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from datasets.errors import DataError
from datasets.manifest import Manifest, RemoteFile, read_file
from datasets.scene_frames import check_transforms
from datasets.scene_images import SUFFIXES
from datasets.scene_llff_poses import check_poses_bounds

SYNTHETIC_SCENES = ("chair", "drums", "ficus", "hotdog", "lego", "materials", "mic", "ship")
REAL_SCENES = ("room", "fern", "leaves", "fortress", "orchids", "flower", "trex", "horns")
CAPTURE = "capture/"  # names of captures begin so

_ADDRESS = "https://drive.google.com/drive/folders/128yBriW1IG_3NJ5Rp7APSTZsJqdJdfc1"

_BYTES = 200_000_000  # of a published scene, an estimate: Lego at half its width takes 51 MB

Check = Callable[[Path, str], None]


@dataclass(frozen=True)
class SceneManifest(Manifest):
    """A scene. other_folders: further folders (relative to the data root) that may hold it, in another size.

    Of several folders that are there, one is taken as a whole; files are never mixed. bytes_about: of the whole scene
    with its images, roughly.
    """

    other_folders: tuple[str, ...] = ()
    bytes_about: int = 0

    @property
    def size(self) -> int:
        """About how many bytes the scene takes; no exact number is published."""
        return self.bytes_about

    def place(self, root: Path) -> Path:
        """The folder that the parser reads: the first that has any of the files."""
        folders = [root.joinpath(*folder.split("/")) for folder in (self.folder, *self.other_folders)]
        return next((folder for folder in folders if any(map(Path.is_file, self._files_in(folder)))), folders[0])

    def missing(self, root: Path) -> list[RemoteFile]:
        """The camera files that are not in that folder."""
        places = self._files_in(self.place(root))
        return [file for file, place in zip(self.files, places, strict=True) if not place.is_file()]

    def fingerprint_in(self, root: Path) -> str:
        """Twelve hex digits of the camera files' content and of all images' paths and sizes."""
        folder = self.place(root)
        digest = hashlib.sha256()
        for path in self._files_in(folder):
            content = hashlib.sha256(read_file(path, self.instruction)).hexdigest()
            digest.update(f"{content}  {path.name}\n".encode())
        for name, size in sorted(_image_sizes(folder)):
            digest.update(f"{size}  {name}\n".encode())
        return digest.hexdigest()[:12]

    def _files_in(self, folder: Path) -> list[Path]:
        return [folder / file.path.rpartition("/")[2] for file in self.files]


class CaptureManifest(SceneManifest):
    """A capture of one's own. It is never "absent", so that a mistyped name is an error and no stand-in."""

    def absent(self, root: Path) -> bool:
        """No: who names a capture means that one."""
        return False


def capture_manifest(name: str) -> CaptureManifest:
    """The capture called `capture/<folder>`, in `captures/<folder>` under the data root.

    Raises DataError if that is not the name of one folder.
    """
    title = name.removeprefix(CAPTURE)
    if not title or title in (".", "..") or set(title) & set("/\\\0"):
        raise DataError(f"unknown dataset {name!r}; a capture is called {CAPTURE}<folder>, a folder's plain name")
    folder = f"captures/{title}"
    return CaptureManifest(
        name,
        folder,
        licence="your own",
        origin="your own",
        files=_files((folder,), ("transforms.json",), check_transforms),
        instruction=f"export it to {folder} under the data root (transforms.json and its images)",
    )


def _image_sizes(folder: Path) -> list[tuple[str, int]]:
    images = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    return [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in images]


def _files(folders: tuple[str, ...], names: tuple[str, ...], check: Check) -> tuple[RemoteFile, ...]:
    first, *others = folders
    return tuple(
        RemoteFile(
            f"{first}/{name}",
            url=None,
            sha256=None,
            size=0,  # not known
            alternatives=tuple(f"{other}/{name}" for other in others),
            check=check,
        )
        for name in names
    )


def _synthetic(scene: str) -> SceneManifest:
    # The _400 folder: a copy at half the size, for development.
    folders = (f"nerf_synthetic/{scene}", f"nerf_synthetic/{scene}_400")
    names = tuple(f"transforms_{split}.json" for split in ("train", "val", "test"))
    return SceneManifest(
        f"nerf_synthetic/{scene}",
        folders[0],
        licence="CC BY-NC or CC BY, by scene",
        origin="NeRF",
        files=_files(folders, names, check_transforms),
        instruction=f"unpack nerf_synthetic.zip from {_ADDRESS} in the data root",
        other_folders=folders[1:],
        bytes_about=_BYTES,
    )


def _real(scene: str) -> SceneManifest:
    folder = f"nerf_llff_data/{scene}"
    return SceneManifest(
        f"llff_real/{scene}",
        folder,
        licence="not stated",
        origin="LLFF and NeRF",
        files=_files((folder,), ("poses_bounds.npy",), check_poses_bounds),
        instruction=f"unpack nerf_llff_data.zip from {_ADDRESS} in the data root",
        bytes_about=_BYTES,
    )


_ALL = [*map(_synthetic, SYNTHETIC_SCENES), *map(_real, REAL_SCENES)]
MANIFESTS: dict[str, Manifest] = {manifest.name: manifest for manifest in _ALL}
