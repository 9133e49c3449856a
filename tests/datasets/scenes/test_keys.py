"""Keys that stand twice in a camera file: neither value is passed over in silence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.datasets.scenes.foreign import CAMERAS, DESK, LEGO, placed, refused


def again(key: str, value: Callable[[Any], Any]) -> Callable[[Any], str]:
    """The file with a key once more, behind all others."""
    return lambda content: f"{json.dumps(content)[:-1]}, {json.dumps(key)}: {json.dumps(value(content))}}}"


def in_frame(content: Any) -> str:
    first = json.dumps(content["frames"][0])
    return json.dumps(content).replace(first, f'{first[:-1]}, "file_path": "images/0001.png"}}')


@pytest.mark.parametrize(
    ("write", "key"),
    [
        (again("frames", lambda content: content["frames"][:3]), "frames"),
        (again("camera_angle_x", lambda content: 0.3), "camera_angle_x"),
        (in_frame, "file_path"),
        (lambda content: '{"' + "k" * 5000 + '": 1, ' + again("k" * 5000, lambda content: 1)(content)[1:], "kkk"),
    ],
)
@pytest.mark.parametrize("name", [DESK, LEGO])
def test_a_key_that_stands_twice_is_refused(
    root: Path, capsys, name: str, write: Callable[[Any], str], key: str
) -> None:
    """The last one won: of nine views three were left, with no word said."""
    path = placed(root, name) / CAMERAS[name]
    content = json.loads(path.read_text())
    content.setdefault("camera_angle_x", 0.7)
    path.write_text(write(content))
    message = refused(name, capsys)
    assert CAMERAS[name] in message and f"has the key '{key}" in message and "twice" in message
