"""Look at, download and verify the real data.

    python -m benchmarks.data status            what is there, and what data=auto would use
    python -m benchmarks.data fetch cora        download into $DFA_DATA_DIR (default: data)
    python -m benchmarks.data verify            compare all that is there with the published checksums, scenes and
                                                captures (capture/<folder>) with what a run takes

Without names the commands concern every dataset. Exit status 2 means bad or missing data.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from benchmarks.tasks.data_sources import find_dataset, known_datasets, resolve
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser
from datasets.core.errors import DataError
from datasets.core.manifest import Manifest
from datasets.core.roots import data_root
from datasets.fetch.files import fetch

_COLUMNS = ("dataset", "folder", "files", "size", "licence", "origin", "data=auto uses")


@guard.command
def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    commands = {"status": status, "fetch": fetch_all, "verify": verify}
    try:
        # Every name is looked up before anything is done.
        manifests = [find_dataset(name).manifest for name in options.dataset or known_datasets()]
        return commands[options.command](manifests, data_root(), named=bool(options.dataset))
    except DataError as error:
        return _complain(str(error))


def status(manifests: Sequence[Manifest], root: Path, named: bool) -> int:
    """Print a table, a row per dataset. Reads no file: that is what `verify` is for."""
    rows = [_status_row(manifest, root) for manifest in manifests]
    _say(f"data root: {root}\n")
    _say(tabulate(rows, headers=_COLUMNS, disable_numparse=True))
    return 0


def fetch_all(manifests: Sequence[Manifest], root: Path, named: bool) -> int:
    """Download what is missing or altered, dataset by dataset; one without an address only if it was named."""
    for manifest in manifests:
        if manifest.instruction and not named:
            _say(f"{manifest.name}: {manifest.instruction}")
            continue
        _say(f"{manifest.name}: {_megabytes(manifest.size)} from {manifest.origin} ({manifest.licence})")
        fetch(manifest, root, report=lambda line: _say(f"  {line}"))
    return 0


def verify(manifests: Sequence[Manifest], root: Path, named: bool) -> int:
    """Hash every file, or read what has no checksum; a line on stderr for each fault that a run would end with.

    A dataset that was never fetched is no fault, unless it was asked for by name.
    """
    exit_status = 0
    if all(manifest.absent(root) for manifest in manifests) and not named:
        _say(f"{root}: no real data; python -m benchmarks.data fetch NAME downloads them")
    for manifest in manifests:
        if manifest.absent(root):
            line = f"{manifest.name}: no files in {manifest.place(root)}; {manifest.fix_hint('fetch them')}"
            exit_status = _complain(line) if named else exit_status
            continue
        bad = manifest.faults(root)
        for line in bad:
            exit_status = _complain(line)
        _say(f"{manifest.name}: {_faults(len(bad)) if bad else manifest.agreement(root)}")
    return exit_status


def _faults(count: int) -> str:
    return f"{count} fault{'s' if count > 1 else ''}"


def _status_row(manifest: Manifest, root: Path) -> tuple[str, ...]:
    present = len(manifest.files) - len(manifest.missing(root))
    return (
        manifest.name,
        manifest.folder,
        f"{present} of {len(manifest.files)}",
        _megabytes(manifest.size),
        manifest.licence,
        manifest.origin,
        _choice(manifest),
    )


def _choice(manifest: Manifest) -> str:
    try:
        return resolve(manifest.name, "auto").kind
    except DataError:
        return "nothing: incomplete" + ("" if manifest.instruction else ", fetch it")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _complain(line: str) -> int:
    sys.stderr.write(f"{line}\n")
    return 2


def _parser() -> Parser:
    parser = Parser(
        prog="python -m benchmarks.data",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=("status", "fetch", "verify"))
    parser.add_argument("dataset", nargs="*", default=[], help=f"one or more of: {', '.join(known_datasets())}")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
