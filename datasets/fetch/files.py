"""Downloading the published files of a dataset, each verified before it appears under its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pooch
from requests.exceptions import RequestException

from datasets.core.errors import DataError
from datasets.core.manifest import Manifest, RemoteFile, check_file
from datasets.fetch.folders import no_empty_folders
from datasets.fetch.http_body import opened, reason_of
from datasets.fetch.member import download_members

Report = Callable[[str], None]

_CHUNK = 1 << 16  # bytes


def fetch(manifest: Manifest, root: Path, *, retries: int = 2, report: Report | None = None) -> None:
    """Put every file of the manifest under the data root.

    A file that is there and has the right SHA-256 (or format, if it has no published one) is not downloaded again;
    any other is replaced. Each is downloaded under a temporary name, verified, then renamed, so an interrupted or wrong
    download leaves nothing behind, and the next call continues with the files that are still missing.

    retries: further attempts per file, with a growing pause. report: is given a line of text for each file.
    Raises DataError naming the address if a file cannot be had, is not the published one, or cannot be
    stored, and saying what to do if it has no address.
    """
    # pooch announces every file on the console; what is said here, `report` says.
    pooch.get_logger().setLevel("WARNING")
    say = report or (lambda line: None)
    packed: dict[str, list[RemoteFile]] = {}  # by archive, each of which is read once
    for file in manifest.files_in(root):
        if _is_good(file, root):
            say(f"{file.path}: already there")
        elif file.url is None:
            fix_hint = manifest.instruction or f"remove {manifest.place(root)} and repeat"  # an archive has one
            raise DataError(f"{file.place(root)} has no public address; {fix_hint}")
        elif file.member is not None:
            packed.setdefault(file.url, []).append(file)
        else:
            with no_empty_folders([root.joinpath(*file.path.split("/"))]):
                _download(manifest, file, root, retries)
            say(f"{file.path}: downloaded")
    for files in packed.values():
        download_members(manifest, files, root, retries, report)
        for file in files:
            say(f"{file.path}: downloaded")


def _is_good(file: RemoteFile, root: Path) -> bool:
    try:
        check_file(file.place(root), file, fix_hint="")
    except DataError:
        return False
    return True


def _download(manifest: Manifest, file: RemoteFile, root: Path, retries: int) -> None:
    store = pooch.create(
        path=root,
        base_url="",
        registry={file.path: f"sha256:{file.sha256}"},
        urls={file.path: file.url},
        retry_if_failed=retries,
    )
    try:
        store.fetch(file.path, downloader=_BoundedDownloader(file.size))
    except RequestException as error:
        raise DataError(
            f"{file.url}: download failed ({reason_of(error)}); check the connection and repeat "
            f"{manifest.fetch_command}, or put the file at {file.place(root)} yourself"
        ) from error
    except OSError as error:
        raise DataError(
            f"{file.place(root)}: cannot be stored ({reason_of(error)}); "
            f"point DFA_DATA_DIR at a folder that can be written"
        ) from error
    except ValueError as error:  # pooch's word for a wrong hash, and ours for a wrong size
        raise DataError(
            f"{file.url}: the content is not the published one ({file.size} bytes, "
            f"sha256 {(file.sha256 or '')[:12]}…) and was not kept; something between you and the server "
            f"may have altered it, try another connection"
        ) from error


class _BoundedDownloader:
    """A pooch downloader that gives up as soon as a server sends more than the file's size, or hardly anything."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __call__(self, url: str, output_file: str, store: pooch.Pooch) -> None:
        left = self._size
        with opened(url, decode=True) as body, Path(output_file).open("wb") as stream:
            while piece := body.read(_CHUNK):
                left -= len(piece)
                if left < 0:
                    raise ValueError("more bytes than the file has")
                stream.write(piece)
