"""Stand-ins: generated data in a dataset's real on-disk format, made once and then reused."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from datasets.core.errors import DataError
from datasets.core.files import is_file, obstacle, read_file, reading
from datasets.core.publish import publish

_CHECKSUMS = "SHA256SUMS"


@dataclass(frozen=True)
class StandIn:
    """How one dataset's stand-in is generated.

    name: the dataset. version: raised whenever `write` gives other bytes for the same settings.
    files: the names of the files written. settings: the generator's settings (a dataclass instance) for a
    profile; the entry "default" serves every profile without one. write(folder, settings): writes the files.
    """

    name: str
    version: int
    files: tuple[str, ...]
    settings: Mapping[str, Any]
    write: Callable[[Path, Any], None]

    def fingerprint(self, profile: str) -> str:
        """Twelve hex digits that change with the generator's version or with its settings for the profile."""
        return self._fingerprint_of(self.settings.get(profile, self.settings["default"]))

    def generate(self, folder: Path, fingerprint: str) -> None:
        """Write the stand-in with this fingerprint into `folder`, unless it is there already.

        The files are written beside it and the folder is renamed when complete: nobody ever sees half a
        stand-in, and of several processes that generate at once the first to finish wins.
        Raises DataError if the fingerprint is none of ours, a file is gone or altered, or the place cannot be written.
        """
        if folder.is_dir():
            self._check_complete(folder)
            return
        settings = self._settings_with(fingerprint)
        draft = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}")
        try:
            draft.mkdir(parents=True)
            self.write(draft, settings)
            _write_checksums(draft)
            publish(draft, folder)
        except OSError as error:
            raise DataError(
                f"cannot write the stand-in {folder} ({error}); set DFA_CACHE_DIR to a folder that can be written"
            ) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _settings_with(self, fingerprint: str) -> Any:
        for settings in self.settings.values():
            if self._fingerprint_of(settings) == fingerprint:
                return settings
        raise DataError(
            f"no stand-in of {self.name} has the fingerprint {fingerprint!r}; "
            f"take a source from datasets.registry.resolve({self.name!r}, data='standin')"
        )

    def _fingerprint_of(self, settings: Any) -> str:
        content = {"name": self.name, "version": self.version, "settings": asdict(settings)}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]

    def _check_complete(self, folder: Path) -> None:
        anew = f"delete the folder {folder} and it is generated anew"
        for name in self.files:
            if not is_file(folder / name):
                raise DataError(f"{folder / name} {obstacle(folder / name) or 'is missing'}; {anew}")
        if not is_file(folder / _CHECKSUMS):
            return  # of an earlier version, or written by hand
        checked = {_CHECKSUMS}
        for line in read_file(folder / _CHECKSUMS, anew).decode(errors="replace").splitlines():
            digest, _, name = line.partition("  ")
            inside = not {"..", ""} & set(name.split("/"))
            if not inside or digest != _digest(folder / name, anew):
                raise DataError(f"{folder / (name if inside else _CHECKSUMS)} is altered; {anew}")
            checked.add(name)
        for name in _names(folder):
            # Hidden ones are other programs' notes.
            if name not in checked and not name.rpartition("/")[2].startswith("."):
                raise DataError(f"{folder / _CHECKSUMS} has no line for {name}; {anew}")


def _write_checksums(folder: Path) -> None:
    """Remember what was generated: an altered file would give results under the name of an unaltered one."""
    lines = "".join(f"{_digest(folder / name, 'generate it anew')}  {name}\n" for name in _names(folder))
    (folder / _CHECKSUMS).write_text(lines, encoding="utf-8", newline="\n")


def _names(folder: Path) -> list[str]:
    """The files of a stand-in, relative to its folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _digest(path: Path, fix_hint: str) -> str:
    with reading(path, fix_hint), path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
