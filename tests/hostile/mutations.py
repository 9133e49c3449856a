"""Ways to spoil a file: at the level of JSON values, of bytes, and of the file itself."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

#: Replaced by what JSON cannot say, or Python would not write.
RAW = {"@huge float@": "1e999", "@huge int@": "9" * 5000, "@deep@": "[" * 3000 + "]" * 3000, "@surrogate@": '"\\ud800"'}
_NAMES = [
    *("", ".", "..", "../../../escaped", "../escaped", "/escaped", "a/../../../../escaped", "a\\b", "C:\\x", "-rf"),
    *(
        "\0",
        "a\nb",
        "\x1b[2J",
        "con",
        "NUL.txt",
        ".hidden",
        "~",
        "x" * 400,
        "\u202egnp",
        "e\u0301",
        "ａ",
        "a//b",
        "a b",
    ),
    *("[bold]x[/bold]", "[/]", "<script>x</script>", "{0}%s", "$HOME", "NaN", "1e5", "80", "null", "ok", "\u2028", "|"),
]
_NUMBERS = [
    *(0, -1, 1, 2, 3.5, -0.0, 1e308, -1e308, 5e-324, 1e50, 1e49, 2**31, 2**63, 10**30, -(10**30), 9999999999),
    *(float("nan"), float("inf"), -float("inf")),
]
_OTHERS: list[Any] = [None, True, False, [], {}, [[]], {"": {}}, [None], {"a": 1}, [1, "a", {}], [0.5] * 500]
VALUES = st.sampled_from([*_NAMES, *_NUMBERS, *_OTHERS, *RAW]) | st.text(max_size=8) | st.floats() | st.integers()
#: What passes the schema, and means something else.
_TEXTS = [
    *(
        "bp",
        "dfa",
        "shallow",
        "mine",
        "paper",
        "smoke",
        "real",
        "stand-in",
        "accuracy",
        "auc",
        "valid_perplexity",
        "foo",
    ),
    *(
        "ok",
        "failed",
        "diverged",
        "skipped",
        "citation/gcn_cora",
        "a/b",
        "citation",
        "gcn",
        "2026-05-05",
        "",
        "0" * 12,
    ),
    *("[bold]", "|x|", "<b>", "$a_b^c$", "\\frac", "points.2", "%d", "weights.pt", "a" * 50, "task.metric=foo"),
]
_SIZES = [0, 1, 2, 3, 7, 1000, 2**31 - 1, 10**15, 0.0, 1e-300, 1e-12, 0.5, 1e14, 1e49, -1e49, 1e60, -0.5, 1e308]
_KEYS = st.sampled_from(["history", "schema", "task", "values", "metric", "unknown_field", *_NAMES]) | st.text(
    max_size=4
)
PIECES = [
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\n",
    b"\r\n",
    b"\n\n",
    b"{",
    b"}",
    b'"',
    b",",
    b"NaN",
    b"\x1f\x8b",
    b"-",
]


@dataclass(frozen=True)
class Change:
    """One change: ``how``, where (a number that is taken modulo the places there are), and with what."""

    how: str
    where: int
    what: Any = None


_WHERE = st.integers(0, 100_000)
IN_VALUES = st.one_of(
    st.builds(Change, st.just("replace"), _WHERE, VALUES),
    st.builds(Change, st.just("liken"), _WHERE, st.integers(0, 500)),
    st.builds(Change, st.just("liken"), _WHERE, st.integers(0, 500)),  # twice as likely: it gets further than most
    st.builds(Change, st.just("delete"), _WHERE),
    st.builds(Change, st.just("rename"), _WHERE, _KEYS),
    st.builds(Change, st.just("add"), _WHERE, st.tuples(_KEYS, VALUES)),
    st.builds(Change, st.just("move"), _WHERE, _WHERE),
    st.builds(Change, st.just("scale"), _WHERE, st.sampled_from([-1, 1e300, 1e-300, 0, 1e16])),
    st.builds(Change, st.just("extend"), _WHERE, st.integers(2, 40)),
)
IN_BYTES = st.one_of(
    st.builds(Change, st.just("cut"), _WHERE),
    st.builds(Change, st.just("flip"), _WHERE, st.integers(1, 255)),
    st.builds(Change, st.just("insert"), _WHERE, st.sampled_from(PIECES)),
    st.builds(Change, st.just("line twice"), _WHERE),
    st.builds(Change, st.just("without line"), _WHERE),
    st.builds(
        Change, st.just("field"), _WHERE, st.sampled_from(["", "x", "nan", "inf", "-1", "1e400", '"', "9" * 400])
    ),
    st.builds(
        Change, st.just("whole"), _WHERE, st.sampled_from([b"", b"\0" * 100, b"[]", b"{}", b"null", b"3", b"\n"])
    ),
)
OF_FILES = st.builds(
    Change, st.sampled_from(["folder", "link out", "loop", "dangling", "second copy", "zeros"]), _WHERE
)


def changes() -> SearchStrategy[list[Change]]:
    """A few changes of values (as often as all others together), of bytes, or one of the file."""
    return st.one_of(
        st.lists(IN_VALUES, min_size=1, max_size=3),
        st.lists(IN_VALUES, min_size=1, max_size=2),
        st.lists(IN_BYTES, min_size=1, max_size=2),
        st.lists(OF_FILES, min_size=1, max_size=1),
    )


def spoil(path: Path, made: list[Change], outside: Path) -> None:
    """Change the file at ``path``; links lead to ``outside``."""
    if made[0].how in ("folder", "link out", "loop", "dangling", "second copy", "zeros"):
        _spoil_file(path, made[0], outside)
        return
    content = path.read_bytes()
    packed = path.suffix == ".gz" and made[0].where % 2 == 0  # half of the packed files are damaged as they are
    if packed:
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):  # damaged before
            packed = False
    for change in made:
        content = _in_values(content, change) if change.how in _VALUE_CHANGES else _in_bytes(content, change)
    path.write_bytes(gzip.compress(content, mtime=0) if packed else content)


def _spoil_file(path: Path, change: Change, outside: Path) -> None:
    content = path.read_bytes()
    if change.how == "second copy":
        path.with_name(f"copy{path.name}").write_bytes(content)
        return
    if change.how == "zeros":
        zeros = b"\0" * 3_000_000
        path.write_bytes(gzip.compress(zeros) if path.suffix == ".gz" else zeros)
        return
    path.unlink()
    if change.how == "folder":
        path.mkdir()
    else:
        path.symlink_to({"link out": outside, "loop": path, "dangling": path.with_name("nowhere")}[change.how])


def _in_bytes(content: bytes, change: Change) -> bytes:
    place = change.where % (len(content) + 1)
    lines = content.split(b"\n")
    line = change.where % len(lines)
    match change.how:
        case "cut":
            return content[:place]
        case "flip" if place < len(content):
            return content[:place] + bytes([content[place] ^ change.what]) + content[place + 1 :]
        case "insert":
            return content[:place] + change.what + content[place:]
        case "line twice":
            return b"\n".join([*lines[: line + 1], *lines[line:]])
        case "without line":
            return b"\n".join([*lines[:line], *lines[line + 1 :]])
        case "field":
            fields = content.split(b",")
            fields[change.where % len(fields)] = change.what.encode()
            return b",".join(fields)
        case "whole":
            return change.what
    return content


_VALUE_CHANGES = ("replace", "liken", "delete", "rename", "add", "move", "scale", "extend")


def _in_values(content: bytes, change: Change) -> bytes:
    """Change one value of one JSON text; a file of lines has one a line."""
    try:
        texts, separator = ([content], b"") if content.count(b"\n{") < 1 else (content.split(b"\n"), b"\n")
        number = change.where % len(texts)
        value = json.loads(texts[number])
    except (ValueError, RecursionError):  # no JSON, or none any more
        return _in_bytes(content, Change("insert", change.where, b"\0"))
    texts[number] = _text(_changed(value, change)).encode("utf-8", "surrogatepass")
    return separator.join(texts)


def _text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    for name, raw in RAW.items():
        text = text.replace(f'"{name}"', raw)
    return text


def _changed(value: Any, change: Change) -> Any:
    root = [value]
    places = list(_places(root))
    holder, key = places[change.where // 7 % len(places)]
    match change.how:
        case "replace":
            holder[key] = change.what
        case "liken":
            holder[key] = _like(holder[key], change.what)
        case "delete":
            del holder[key]
        case "rename" if isinstance(holder, dict):
            holder[change.what] = holder.pop(key)
        case "add" if isinstance(holder, dict):
            holder[change.what[0]] = change.what[1]
        case "move":
            other, there = places[change.what % len(places)]
            holder[key] = json.loads(json.dumps(other[there]))
        case "scale" if isinstance(holder[key], int | float):
            holder[key] *= change.what
        case "extend" if isinstance(holder[key], list):
            holder[key] = holder[key] * change.what
    return root[0] if root else None


def _like(value: Any, number: int) -> Any:
    """Another value of the same type."""
    if isinstance(value, str):
        return _TEXTS[number % len(_TEXTS)]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return _SIZES[number % len(_SIZES)]
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) within, outermost first."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in list(pairs):
        yield value, key
        yield from _places(part)
