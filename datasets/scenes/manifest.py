"""The scenes as published (NeRF-Synthetic, LLFF-Real), and captures of one's own.

They come in archives without a checksum and are hundreds of files each. A manifest therefore lists the camera files
only; the fingerprint covers those byte by byte and every image with its path and size: cheap enough for each run, and
it tells another resolution or selection of views apart.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.core.errors import DataError
from datasets.core.files import is_file, is_folder, names_in, read_file, unlisted
from datasets.core.manifest import Manifest, RemoteFile
from datasets.scenes.images import SUFFIXES, is_image

if TYPE_CHECKING:
    from datasets.scenes.plan import ScenePlan

SYNTHETIC_SCENES = ("chair", "drums", "ficus", "hotdog", "lego", "materials", "mic", "ship")
REAL_SCENES = ("room", "fern", "leaves", "fortress", "orchids", "flower", "trex", "horns")
CAPTURE = "capture/"  # names of captures begin so
# What follows: a run's records and tables have files of that name, on any system.
_DEVICES = r"(con|prn|aux|nul|(com|lpt)[0-9])(\.|\Z)"
_TITLE = re.compile(rf"(?!{_DEVICES})[a-z0-9_][a-z0-9_.+-]{{0,49}}(?<!\.)", re.ASCII | re.IGNORECASE)

_ADDRESS = "https://drive.google.com/drive/folders/128yBriW1IG_3NJ5Rp7APSTZsJqdJdfc1"

_BYTES = 200_000_000  # of a published scene, an estimate: Lego at half its width takes 51 MB

Plan = Callable[[], "ScenePlan"]
Plans = Callable[[Path, str], list[Plan]]  # of a folder and a hint: what runs make of it, one for each set of images


@dataclass(frozen=True)
class SceneManifest(Manifest):
    """A scene. plans: what a run makes of its folder. bytes_about: of the whole scene with its images, roughly.

    sized: may it lie in `<folder>_<number>` too, at that width? Of several folders that are there, one is taken as a
    whole, and files are never mixed: the published one, else the largest.
    """

    plans: Plans = lambda folder, fix_hint: []
    bytes_about: int = 0
    sized: bool = False

    @property
    def size(self) -> int:
        """About how many bytes the scene takes; no exact number is published."""
        return self.bytes_about

    def place(self, root: Path) -> Path:
        """The folder that the parser reads: the first that has any of the camera files."""
        return next(filter(self._has_cameras, self._folders(root)), super().place(root))

    def places(self, root: Path) -> list[Path]:
        """Every place of the camera files: in that folder, or in all that are there if none has any."""
        return [place for folder in self._candidates(root) for place in self._files_at(folder)]

    def obstacles(self, root: Path) -> Iterator[str]:
        """As the base class, and folders of images that lack their cameras, or that cannot be looked into."""
        yield from super().obstacles(root)
        above = super().place(root).parent
        if self.sized and (what := unlisted(above)):
            yield f"{above} {what}"
        for folder in self._candidates(root):
            within = [folder, *filter(is_folder, (folder / name for name in names_in(folder)))]
            yield from (f"{one} {what}" for one in within if (what := unlisted(one)))
            if not self._has_cameras(folder) and any(is_image(name) for one in within for name in names_in(one)):
                yield f"{folder} has images, and no {self._files_at(folder)[0].name}"

    def files_in(self, root: Path) -> tuple[RemoteFile, ...]:
        """The camera files in that folder."""
        name = self.place(root).name
        above = self.folder.rpartition("/")[0]
        return tuple(replace(file, path=f"{above}/{name}/{file.path.rpartition('/')[2]}") for file in self.files)

    def missing(self, root: Path) -> list[RemoteFile]:
        """The camera files that are not in that folder."""
        return [file for file in self.files_in(root) if not is_file(file.place(root))]

    def faults(self, root: Path) -> list[str]:
        """A line for each set of images of which a run could make no scene; every image is decoded."""
        if instead := self._instead_of_files(root):
            return instead
        lines: dict[str, None] = {}  # in order; two sets may have one fault, that of their cameras
        for plan in self.plans(self.place(root), self.advice_in(root)):
            try:
                plan().check_pixels()
            except DataError as error:
                lines[str(error)] = None
        return list(lines)

    def agreement(self, root: Path) -> str:
        """The finding of `faults`, if there is no fault."""
        return "cameras and images make a scene (no checksum is published)"

    def fingerprint_in(self, root: Path) -> str:
        """Twelve hex digits of the camera files' content and of all images' paths and sizes."""
        folder = self.place(root)
        digest = hashlib.sha256()
        for path in self._files_at(folder):
            content = hashlib.sha256(read_file(path, self.instruction)).hexdigest()
            digest.update(f"{content}  {path.name}\n".encode())
        for name, size in sorted(_image_sizes(folder)):
            digest.update(f"{size}  {name}\n".encode(errors="surrogateescape"))  # a name may be no UTF-8
        return digest.hexdigest()[:12]

    def _files_at(self, folder: Path) -> list[Path]:
        return [folder / file.path.rpartition("/")[2] for file in self.files]

    def _has_cameras(self, folder: Path) -> bool:
        return any(map(is_file, self._files_at(folder)))

    def _candidates(self, root: Path) -> list[Path]:
        """The folder with cameras; all that the scene may lie in if there is none."""
        found = next(filter(self._has_cameras, self._folders(root)), None)
        return list(self._folders(root)) if found is None else [found]

    def _folders(self, root: Path) -> Iterator[Path]:
        """The published folder, then the sized ones, the largest first; a link that leads nowhere is one, too."""
        published = super().place(root)
        yield published
        if not self.sized or unlisted(published.parent):
            return
        pattern = re.compile(rf"{re.escape(published.name)}_([1-9][0-9]{{0,4}})")
        found = map(pattern.fullmatch, names_in(published.parent))
        for width in sorted((int(match[1]) for match in found if match), reverse=True):
            yield published.with_name(f"{published.name}_{width}")


class CaptureManifest(SceneManifest):
    """A capture of one's own. It is never "absent", so that a mistyped name is an error and no stand-in."""

    def absent(self, root: Path) -> bool:
        """False: a capture that is named must be there, and no stand-in replaces it."""
        return False


def capture_manifest(name: str) -> CaptureManifest:
    """The capture called `capture/<folder>`, in `captures/<folder>` under the data root.

    Raises DataError if that is not the name of one folder, or none that a run's files can bear.
    """
    title = name.removeprefix(CAPTURE)
    if not _TITLE.fullmatch(title):
        what = f"a capture is called {CAPTURE}<folder>, a folder's plain name of letters, digits and _"
        raise DataError(f"unknown dataset {name!r}; {what}; rename the folder")
    folder = f"captures/{title}"
    return CaptureManifest(
        name,
        folder,
        licence="your own",
        origin="your own",
        files=_files(folder, ("transforms.json",), _capture_plans),
        instruction=f"export it to {folder} under the data root (transforms.json and its images)",
        plans=_capture_plans,
    )


# What makes plans is imported when one is made: it needs PyTorch, which the table of datasets can do without.


def _capture_plans(folder: Path, fix_hint: str) -> list[Plan]:
    from datasets.scenes.capture import plan_capture
    from datasets.scenes.types import SceneOptions

    return [partial(plan_capture, folder, SceneOptions(), fix_hint)]


def _synthetic_plans(folder: Path, fix_hint: str) -> list[Plan]:
    from datasets.scenes.blender import plan_blender
    from datasets.scenes.types import SceneOptions

    return [partial(plan_blender, folder, SceneOptions(), fix_hint)]


def _real_plans(folder: Path, fix_hint: str) -> list[Plan]:
    """One for each folder of images, which reads that folder: nothing is downsized."""
    from datasets.scenes.llff import factors_in, plan_llff
    from datasets.scenes.types import SceneOptions

    options = [SceneOptions(llff_factor=factor) for factor in factors_in(folder)] or [SceneOptions()]
    return [partial(plan_llff, folder, of_folder, fix_hint, folder) for of_folder in options]


def _image_sizes(folder: Path) -> list[tuple[str, int]]:
    images = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and is_file(path))
    return [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in images]


def _files(folder: str, names: tuple[str, ...], plans: Plans) -> tuple[RemoteFile, ...]:
    def check(path: Path, fix_hint: str) -> None:
        for plan in plans(path.parent, fix_hint):
            plan()

    # Sizes are not known.
    return tuple(RemoteFile(f"{folder}/{name}", url=None, sha256=None, size=0, check=check) for name in names)


def _synthetic(scene: str) -> SceneManifest:
    folder = f"nerf_synthetic/{scene}"
    names = tuple(f"transforms_{split}.json" for split in ("train", "val", "test"))
    return SceneManifest(
        f"nerf_synthetic/{scene}",
        folder,
        licence="CC BY-NC or CC BY, by scene",
        origin="NeRF",
        files=_files(folder, names, _synthetic_plans),
        instruction=f"unpack nerf_synthetic.zip from {_ADDRESS} in the data root",
        plans=_synthetic_plans,
        bytes_about=_BYTES,
        sized=True,
    )


def _real(scene: str) -> SceneManifest:
    folder = f"nerf_llff_data/{scene}"
    return SceneManifest(
        f"llff_real/{scene}",
        folder,
        licence="not stated",
        origin="LLFF and NeRF",
        files=_files(folder, ("poses_bounds.npy",), _real_plans),
        instruction=f"unpack nerf_llff_data.zip from {_ADDRESS} in the data root",
        plans=_real_plans,
        bytes_about=_BYTES,
    )


_ALL = [*map(_synthetic, SYNTHETIC_SCENES), *map(_real, REAL_SCENES)]
MANIFESTS: dict[str, Manifest] = {manifest.name: manifest for manifest in _ALL}
