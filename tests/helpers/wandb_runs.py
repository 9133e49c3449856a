"""Reads what wandb wrote offline: its log of protobuf records, framed as LevelDB's log in blocks of 32 KiB."""

from __future__ import annotations

import json
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

BLOCK = 32768
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(path: Path) -> Iterator[Record]:
    """The records of a ``run-….wandb`` file, as far as it is written; fails on a wrong checksum."""
    content = path.read_bytes()
    assert content[:4] in (b":W&B", b"")
    at, parts = 7, b""
    while at + 7 <= len(content):
        if BLOCK - at % BLOCK < 7:  # no room for a header: the block is padded
            at += BLOCK - at % BLOCK
            continue
        checksum, length, kind = struct.unpack("<IHB", content[at : at + 7])
        part = content[at + 7 : at + 7 + length]
        if len(part) < length:
            return
        assert checksum == zlib.crc32(bytes([kind]) + part) & 0xFFFFFFFF
        parts = part if kind in (FULL, FIRST) else parts + part
        if kind in (FULL, LAST):
            record = Record()
            record.ParseFromString(parts)
            yield record
        at += 7 + length


def read_runs(folder: Path, count: int, patience: float = 60.0) -> list[dict[str, Any]]:
    """The runs below ``folder``, as they were started: settings, history rows, summary, files and grouping.

    wandb's own process writes the files and may be a moment behind; the exit code comes last.
    """
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = [_read(path) for path in folder.rglob("run-*.wandb")]
        if len(found) == count and all(run["exit"] is not None for run in found):
            return sorted(found, key=lambda run: run["started"])
        time.sleep(0.1)
    raise AssertionError(f"no {count} finished runs in {folder}")


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {"config": {}, "history": [], "summary": {}, "exit": None, "files": path.parent / "files"}
    for record in records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            found |= {"group": run.run_group, "name": run.display_name, "project": run.project, "tags": list(run.tags)}
            found |= {"id": run.run_id, "started": run.start_time.ToNanoseconds()}
            found["config"] |= _items(run.config.update)
        elif kind == "history":
            found["history"].append(_items(record.history.item))
        elif kind == "summary":
            found["summary"] |= _items(record.summary.update)
        elif kind == "exit":
            found["exit"] = record.exit.exit_code
    return found


def _items(items: Any) -> dict[str, Any]:
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}
