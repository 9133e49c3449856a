"""Downloading files that are published inside a tar archive, in one pass over it."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from requests.exceptions import RequestException

from datasets.core.errors import DataError
from datasets.core.manifest import Manifest, RemoteFile, check_file
from datasets.fetch.archive import ArchiveError, extract_members
from datasets.fetch.folders import no_empty_folders
from datasets.fetch.http_body import opened, reason_of

_REPORTED = 1 << 30  # bytes between two lines of the report
_SIZE_MARGIN = 2  # sizes without a checksum are approximate


def download_members(
    manifest: Manifest,
    files: Sequence[RemoteFile],
    root: Path,
    retries: int,
    report: Callable[[str], None] | None = None,
) -> None:
    """Put the `member` of each file, all of the archive at one `url`, under the data root.

    They are written under temporary names, looked at, then renamed. Raises DataError naming the address if they cannot
    be had or are not what was published, or naming the place if they cannot be stored.
    """
    drafts = [_draft(file, root) for file in files]
    with no_empty_folders(drafts):
        _download_to(manifest, files, drafts, root, retries, report)


def _download_to(
    manifest: Manifest,
    files: Sequence[RemoteFile],
    drafts: Sequence[Path],
    root: Path,
    retries: int,
    report: Callable[[str], None] | None,
) -> None:
    try:
        _download(manifest, files, drafts, _most_bytes(manifest, files, root), retries, report)
        for file, draft in zip(files, drafts, strict=True):
            check_file(draft, file, f"{file.url} may have changed; look there")
        for file, draft in zip(files, drafts, strict=True):
            draft.replace(_place(file, root))
    except OSError as error:
        size = sum(file.size for file in files)
        raise DataError(
            f"{_place(files[0], root)}: cannot be stored ({error}); point DFA_DATA_DIR at a folder that can be written "
            f"and has room for {size / 1e9:.1f} GB"
        ) from error
    finally:
        for draft in drafts:
            with contextlib.suppress(OSError):  # nothing was written, or it has its name by now
                draft.unlink()


def _most_bytes(manifest: Manifest, files: Sequence[RemoteFile], root: Path) -> int:
    """How much is read of an archive that holds the files, and others of the dataset as well."""
    return _SIZE_MARGIN * sum(file.size for file in manifest.files_in(root) if file.url == files[0].url)


def _place(file: RemoteFile, root: Path) -> Path:
    return root.joinpath(*file.path.split("/"))


def _draft(file: RemoteFile, root: Path) -> Path:
    place = _place(file, root)
    return place.with_name(f".{place.name}-{uuid.uuid4().hex}")


def _download(
    manifest: Manifest,
    files: Sequence[RemoteFile],
    drafts: Sequence[Path],
    limit: int,
    retries: int,
    report: Callable[[str], None] | None,
) -> None:
    for draft in drafts:
        draft.parent.mkdir(parents=True, exist_ok=True)
    for attempts_left in reversed(range(retries + 1)):
        try:
            _stream(files, drafts, limit, report)
            return
        except (RequestException, ArchiveError) as error:
            if attempts_left:
                continue
            names = ", ".join(file.member or "" for file in files)
            raise DataError(
                f"{files[0].url}: download failed ({reason_of(error)}); check the connection and repeat "
                f"{manifest.fetch_command}, or put {names} into {drafts[0].parent} yourself"
            ) from error


def _stream(
    files: Sequence[RemoteFile], drafts: Sequence[Path], limit: int, report: Callable[[str], None] | None
) -> None:
    size, told = sum(file.size for file in files), 0

    def progress(done: int) -> None:
        nonlocal told
        if report is not None and done >= told + _REPORTED:
            told = done
            report(f"{files[0].path}: {done / 1e9:.1f} of about {size / 1e9:.1f} GB")

    places = {file.member or "": draft for file, draft in zip(files, drafts, strict=True)}
    with opened(files[0].url or "", decode=False) as body:
        extract_members(body, places, limit, progress)
