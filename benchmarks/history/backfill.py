"""The landings that git remembers: each version of the baseline file that was ever committed."""

from __future__ import annotations

import re
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.history.landing import Landing, summary
from benchmarks.records.baseline_file import read_baseline

_PINNED = re.compile(r"^(torch)==(\S+)", re.MULTILINE)


def landings_in_git(baseline: Path) -> list[Landing]:
    """A landing for each commit that changed ``baseline``, the oldest first.

    The file does not name the code that made it, so commit and date are those of the landing itself; versions are
    the ones pinned there.

    Raises:
        ValueError: no such file in git, or one that is not a baseline; one line.
    """
    folder = baseline.parent
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; name a committed baseline")
    log = _git(folder, "log", "--follow", "--name-only", "--format=%H %cI", "--", baseline.name)
    lines = [line for line in log.splitlines() if line]
    if not lines:
        raise ValueError(f"{baseline}: git has no version of it; commit it first")
    commits = [(*lines[number].split(), lines[number + 1]) for number in range(0, len(lines), 2)]
    return [_landing(folder, *commit) for commit in reversed(commits)]


def _landing(folder: Path, commit: str, date: str, name: str) -> Landing:
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, f"{commit[:7]}-{Path(name).name}")
        file.write_text(_git(folder, "show", f"{commit}:{name}"), encoding="utf-8")
        cells = read_baseline(file)
    constraints = _git(folder, "show", f"{commit}:constraints.txt")
    utc = datetime.fromisoformat(date).astimezone(UTC).isoformat(timespec="seconds")
    return summary(cells, utc, commit, dict(_PINNED.findall(constraints)))


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    except subprocess.CalledProcessError as error:
        raise ValueError(f"git {' '.join(arguments)}: {' '.join(error.stderr.split())}") from error
    except (OSError, subprocess.SubprocessError) as error:
        raise ValueError(f"git: {error}") from error
    return done.stdout
