"""The manifest of the published evidence: a SHA-256 for each file that published numbers rest on.

`results/published/SHA256SUMS` is in the format of ``sha256sum``. It covers the packs, those of searches and studies
too, and what studies computed; tables and figures follow from these.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.records import paths
from benchmarks.records.inputs import below, read_bytes
from benchmarks.records.locks import sole_rewriter
from benchmarks.records.packs import is_pack, read_entries
from benchmarks.records.record import write_atomically
from benchmarks.terminal.names import one_line

NAME = "SHA256SUMS"
_FIX_HINT = "python -m benchmarks.evidence manifest writes it"


def write(published: Path) -> Path:
    """Write the manifest of a folder of published results; returns it.

    Raises:
        ValueError: there is no evidence in the folder, or a pack in it cannot be read; one line. Nothing is written
            then: the hash of a damaged file would make it pass for a whole one.
    """
    for path in filter(is_pack, files(published)):
        read_entries(path)
    if not files(published):
        raise ValueError(f"{published}: holds no evidence; name the folder of published results")
    path = published / NAME
    with sole_rewriter(path):  # or what another process packs meanwhile would be missing in the one written last
        write_atomically(path, "".join(f"{digest}  {name}\n" for name, digest in _digests(published).items()))
    return path


def problems(published: Path) -> list[str]:
    """All that is not as the manifest says, a line each.

    Raises:
        BadInput: there is no manifest, or it cannot be read; one line.
    """
    lines = list(_lines(published / NAME))
    said, count = dict(lines), Counter(name for name, _ in lines)
    there = _digests(published)
    changed = [name for name in there if name in said and said[name] != there[name]]
    return [
        *(f"{published / name}: {NAME} has {times} lines for it" for name, times in count.items() if times > 1),
        *(f"{published / name}: is missing" for name in sorted(said.keys() - there.keys())),
        *(f"{published / name}: is not in {NAME}" for name in sorted(there.keys() - said.keys())),
        *(f"{published / name}: is not what {NAME} says" for name in changed),
    ]


def files(published: Path) -> list[Path]:
    """The files of evidence that there are, sorted.

    Raises:
        BadInput: a folder cannot be read; one line.
    """
    of_studies = [part(one) for one in _listed(paths.studies(published)) for part in (paths.evidence, paths.computed)]
    tops = [paths.evidence(published), *of_studies]
    found = (path for top in tops for path in below(top) if path.is_file())
    return sorted(path for path in found if not path.name.startswith("."))  # locks, and what a killed write has left


def _listed(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _digests(published: Path) -> dict[str, str]:
    return {
        path.relative_to(published).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files(published)
    }


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    for line in read_bytes(path, _FIX_HINT).decode("utf-8", "replace").splitlines():
        digest, _, name = line.partition("  ")
        yield one_line(name), digest
