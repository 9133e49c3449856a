"""Downloading a file that is published inside a tar archive, and without a checksum."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable
from pathlib import Path

from requests.exceptions import RequestException

from datasets.core.errors import DataError
from datasets.core.manifest import Manifest, RemoteFile, check_file
from datasets.fetch.archive import ArchiveError, extract_member
from datasets.fetch.http_body import opened

_REPORTED = 1 << 30  # bytes between two lines of the report
_SIZE_MARGIN = 2  # sizes without a checksum are approximate


def download_member(
    manifest: Manifest, file: RemoteFile, root: Path, retries: int, report: Callable[[str], None] | None = None
) -> None:
    """Put `file.member` of the archive at `file.url` under the data root.

    It is written under a temporary name, its format is looked at, then it is renamed. Raises DataError naming the
    address if it cannot be had or is not in the format, or naming the place if it cannot be stored.
    """
    place = root.joinpath(*file.path.split("/"))
    draft = place.with_name(f".{place.name}-{uuid.uuid4().hex}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        _download(manifest, file, draft, retries, report)
        check_file(draft, file, f"{file.url} may have changed; look there")
        draft.replace(place)
    except OSError as error:
        raise DataError(
            f"{place}: cannot be stored ({error}); point DFA_DATA_DIR at a folder that can be written "
            f"and has room for {file.size / 1e9:.1f} GB"
        ) from error
    finally:
        with contextlib.suppress(OSError):  # nothing was written, or it has its name by now
            draft.unlink()


def _download(
    manifest: Manifest, file: RemoteFile, draft: Path, retries: int, report: Callable[[str], None] | None
) -> None:
    for attempts_left in reversed(range(retries + 1)):
        try:
            _stream(file, draft, report)
            return
        except (RequestException, ArchiveError) as error:
            if attempts_left:
                continue
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise DataError(
                f"{file.url}: download failed ({reason}); check the connection and repeat {manifest.fetch_command}, "
                f"or put {file.member} into {draft.parent} yourself"
            ) from error


def _stream(file: RemoteFile, draft: Path, report: Callable[[str], None] | None) -> None:
    told = 0

    def progress(done: int) -> None:
        nonlocal told
        if report is not None and done >= told + _REPORTED:
            told = done
            report(f"{file.path}: {done / 1e9:.1f} of about {file.size / 1e9:.1f} GB")

    with opened(file.url or "", decode=False) as body:
        extract_member(body, file.member or "", draft, _SIZE_MARGIN * file.size, progress)
