"""Results of computations, each in a file named by its settings: what is there is not computed again."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.records.inputs import BadInput, read_bytes
from benchmarks.records.record import write_atomically
from benchmarks.studies.study import Computation, Json

_FIX_HINT = "delete it, and the study computes it again"


def file_of(folder: Path, one: Computation) -> Path:
    """Where the result of a computation lies in a study's folder of results."""
    content = json.dumps({"version": one.version, "settings": dict(one.settings)}, sort_keys=True)
    return folder / f"{one.name}-{hashlib.sha256(content.encode()).hexdigest()[:12]}.json"


def compute(folder: Path, one: Computation) -> float:
    """Compute what is not there yet; returns the seconds it took, 0 for nothing."""
    path = file_of(folder, one)
    if path.exists():
        return 0.0
    started = time.perf_counter()
    result = one.compute(**one.settings)
    seconds = time.perf_counter() - started
    content = {"name": one.name, "version": one.version, "settings": dict(one.settings), "result": result}
    write_atomically(path, json.dumps(content | {"seconds": round(seconds, 2)}, sort_keys=True) + "\n")
    return seconds


def read(folder: Path, computations: Sequence[Computation]) -> dict[str, Json]:
    """The results by name, of those that are there.

    Raises:
        BadInput: a file is none of ours; one line.
    """
    paths = {one.name: file_of(folder, one) for one in computations}
    return {name: _result(path) for name, path in paths.items() if path.exists()}


def _result(path: Path) -> Any:
    try:
        return json.loads(read_bytes(path, _FIX_HINT))["result"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInput(path, f"not the result of a computation ({error})", _FIX_HINT) from error
