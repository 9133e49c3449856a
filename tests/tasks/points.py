"""The feedback points of every architecture under every placement, with their widths: a snapshot that is reviewed.

    python -m tests.tasks.points            write tests/tasks/points.json anew, from the smoke runs as they are
    python -m tests.tasks.points nerf dcn   only what these networks have

`test_conformance` compares what is built with the snapshot. A point that is gone, or has another width, changes the
file: whoever commits that says so.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.catalogue.discovery import architectures, tasks
from benchmarks.settings.conf_files import CONF
from tests.helpers.runs import Built, build

SNAPSHOT = Path(__file__).with_suffix(".json")


def representatives() -> dict[str, str]:
    """A task for each network and placement of its points: ``{"gcn": "citation/gcn_cora"}``.

    Recipes of optimization share a network. Nothing is composed, which would take a tenth of a second for every task.
    """
    found: dict[str, str] = {}
    for task in tasks().values():
        placement = task.settings.get("model", {}).get("placement")
        found.setdefault(f"{task.architecture}/{placement}" if placement else task.architecture, task.name)
    for path in sorted((CONF / "task").rglob("*.yaml")):
        if named := re.search(r"/architecture/(\w+)@_here_", path.read_text(encoding="utf-8")):
            task_name = path.relative_to(CONF / "task").with_suffix("").as_posix()
            if not any(name.split("/")[0] == named[1] for name in found):
                found[named[1]] = task_name
    return {name: task for name, task in found.items() if not architectures()[name.split("/")[0]].recipe_of}


def name_of(settings) -> str:
    """The architecture, with the placement of its points where it has several."""
    placement = settings.model.get("placement")
    return f"{settings.architecture}/{placement}" if placement else settings.architecture


def points_of(run: Built) -> dict[str, int]:
    """Widths of the feedback points by name, from the input upwards."""
    return {name: point.width for name, point in run.method.layout.points.items()}


def snapshot() -> dict[str, dict[str, int]]:
    """What was reviewed."""
    found: dict[str, dict[str, int]] = json.loads(SNAPSHOT.read_text())
    return found


def main(names: Sequence[str]) -> None:
    """Write the snapshot; with ``names``, of these networks alone."""
    wanted = {name: task for name, task in representatives().items() if not names or name in names}
    with tempfile.TemporaryDirectory() as folder:
        found = {name: points_of(build(task, "bp", f"results={folder}")) for name, task in wanted.items()}
    kept = snapshot() if names else {}
    SNAPSHOT.write_text(json.dumps(dict(sorted({**kept, **found}.items())), indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
