"""Criteo's text: what is read is what stands there, and what is not in the format is found, with its line."""

from __future__ import annotations

import gzip
import random
import re
from decimal import Decimal, localcontext
from pathlib import Path

import numpy as np
import pytest

from datasets.core.errors import DataError
from datasets.criteo.faults import line_fault
from datasets.criteo.format import LEAST_INTEGER
from datasets.criteo.text import Block, TextFile, check_beginning, integer_codes, parse, read_blocks
from tests.helpers.criteo_samples import GOOD, line, random_lines, text_file

FILE = TextFile(Path("train.txt"), "the hint")
BAD_LINES = [
    (GOOD.rpartition("\t")[0], "39 columns where 40 are expected"),
    (GOOD + "\t", "41 columns"),
    ("", "1 columns"),
    (line(label="2"), "label '2' is neither 0 nor 1"),
    (line(label=""), "label '' is neither 0 nor 1"),
    (line(label="-1"), "label '-1'"),
    (line(label="-0"), "label '-0'"),
    (line(label="1" * 5000), "label '1{40}…'"),
    (line(I1="1" * 5000), "I1 '1{40}…' is not an integer"),
    (b"\xef\xbb\xbf".decode() + GOOD, r"label '\\xef\\xbb\\xbf0'"),
    (line(I3="1.5"), "I3 '1.5' is not an integer"),
    (line(I1="+1"), r"I1 '\+1' is not an integer"),
    (line(I13=" 1"), "I13 ' 1' is not an integer"),
    (line(I2=str(LEAST_INTEGER - 1)), "I2 '-2147483647' is out of range"),
    (line(I2=str(2**63)), "I2 '9223372036854775808' is out of range"),
    (line(C1="1234567"), "C1 '1234567' is not a category of 8 hex digits"),
    (line(C2="123456789"), "C2 '123456789'"),
    (line(C26="0123456g"), "C26 '0123456g'"),
    (line(C5="-1234567"), "C5 '-1234567'"),
    (line(C5="+1234567"), r"C5 '\+1234567'"),
    (line(C26="01234567\r"), r"C26 '01234567\\r'"),
    (line(C9="é234567"), r"C9 '\\xc3\\xa9234567'"),
    (line(C9="x" * 1000), "C9 'x{40}…' is not"),
]


def parsed(text: str | bytes):
    return parse(FILE, Block(text if isinstance(text, bytes) else text.encode(), 1))


def test_values_are_those_in_the_text() -> None:
    """Without it two columns could be swapped, or the ends of a range wrap around."""
    lines = [
        line("1", I1="", I2="-3", I13="1000000", C1="", C2="00000000", C26="ffffffff"),
        line("0", I1=str(LEAST_INTEGER), I3=str(2**63 - 1), C2="DEADbeef", C26=""),
    ]
    labels, values, missing = parsed("\n".join(lines))
    assert labels.tolist() == [1, 0] and values.shape == missing.shape == (39, 2)
    codes = values[:13].astype(np.int64) - 2**31
    assert codes[:, 0].tolist()[1:] == [-5, 0, 1, 1, 2, 3, 3, 4, 4, 5, 5, 190]  # ⌊ln(3…11)²⌋, ⌊ln(10⁶)²⌋
    assert codes[0, 1] == LEAST_INTEGER - 2 and codes[2, 1] == 1906
    assert values[14].tolist() == [0, 0xDEADBEEF] and values[38, 0] == 0xFFFFFFFF
    assert values[15:38].tolist() == [[number, number] for number in range(2, 25)]
    assert np.argwhere(missing).tolist() == [[0, 0], [13, 0], [38, 1]]


@pytest.mark.parametrize("zeros", [1, 30, 31, 5000])
@pytest.mark.parametrize(("number", "fits"), [("7", True), ("", True), (str(2**63 - 1), True), (str(2**63), False)])
def test_zeros_in_front_of_a_number_change_nothing(zeros: int, number: str, fits: bool) -> None:
    """A good line was named in place of the bad one behind it."""
    padded = line(I4="0" * zeros + number)
    assert (line_fault(padded.encode()) is None) == fits
    if fits:
        assert parsed(padded)[1].tolist() == parsed(line(I4=number or "0"))[1].tolist()
    with pytest.raises(DataError, match=r"line 2: label '2'" if fits else r"line 1: I4 '0[0-9]+…?' is out of range"):
        parsed(f"{padded}\n{line(label='2')}")


def test_codes_of_integers_change_where_the_formula_does() -> None:
    """Rounding of the logarithm must not move a value into the next code, at any step of the first 10⁹ integers."""
    with localcontext() as context:
        context.prec = 60
        steps = [int(Decimal(code).sqrt().exp()) for code in range(2, 430)]  # the last integer below each step
    below = np.array(steps)
    assert integer_codes(below).tolist() == list(range(1, 429))
    assert integer_codes(below + 1).tolist() == list(range(2, 430))
    assert integer_codes(np.arange(-3, 4)).tolist() == [-5, -4, -3, -2, -1, 0, 1]


@pytest.mark.parametrize(("bad", "message"), BAD_LINES, ids=[message for _, message in BAD_LINES])
def test_a_bad_line_is_named(tmp_path: Path, bad: str, message: str) -> None:
    """In one line of text with the file, the line's number and the hint, wherever in the file it is."""
    for place in (0, 7, 59):
        lines = [GOOD] * 60
        lines[place] = bad
        file = text_file(tmp_path, lines)
        expected = f"^{re.escape(str(file.path))}, line {place + 1}: {message}.*; the hint$"
        with pytest.raises(DataError, match=expected) as caught:
            for block in read_blocks(file, size=6000):
                parse(file, block)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < len(str(file.path)) + 200


def test_too_few_columns_are_not_made_up_for_by_too_many() -> None:
    """Columns are counted for a block as a whole; a line with one less beside a line with one more must not pass."""
    short, long = GOOD.rpartition("\t")[0], GOOD + "\t"
    for lines in ([GOOD, short, long], [long, short], [GOOD, "", *[long] * 39]):
        with pytest.raises(DataError, match=r"line [12]: \d+ columns"):
            parsed("\n".join(lines))


def test_the_fast_way_and_the_rules_agree() -> None:
    """Otherwise bad text passes, or good text is refused without a line to name."""
    draw = random.Random(1)
    accepted = 0
    for text in random_lines(400, seed=2):
        content = bytearray(text.encode())
        for _ in range(draw.randrange(2)):
            content[draw.randrange(len(content))] = draw.choice(b"\t\r 01+-.eaAgz\x00\xff\"'")
        good = line_fault(bytes(content)) is None
        accepted += good
        if good:
            parsed(bytes(content))
        else:
            with pytest.raises(DataError, match="line 2: "):
                parsed(b"\n".join([GOOD.encode(), bytes(content), GOOD.encode()]))
    assert 100 < accepted < 380


@pytest.mark.parametrize("size", [300, 1000, 1 << 20])
@pytest.mark.parametrize("ending", ["\n", ""])
@pytest.mark.parametrize("compressed", [False, True])
def test_blocks_are_the_file_in_whole_lines(tmp_path: Path, size: int, ending: str, compressed: bool) -> None:
    """A line lost or doubled where blocks meet would shift everything behind it."""
    content = ("\n".join(random_lines(30)) + ending).encode()
    path = tmp_path / "train.txt"
    path.write_bytes(gzip.compress(content) if compressed else content)
    blocks = list(read_blocks(TextFile(path, ""), size=size))
    assert b"".join(block.text for block in blocks) == content
    assert all(block.text.endswith(b"\n") for block in blocks[:-1])
    lines_before = [content[: content.find(block.text)].count(b"\n") for block in blocks]
    assert [block.first_line for block in blocks] == [count + 1 for count in lines_before]
    assert len(blocks) <= 2 if size > len(content) else len(blocks) > 3


@pytest.mark.parametrize("rows", [1, 2, 7, 29, 30, 31])
@pytest.mark.parametrize("size", [300, 1 << 20])
def test_the_first_rows(tmp_path: Path, rows: int, size: int) -> None:
    lines = random_lines(30)
    blocks = read_blocks(text_file(tmp_path, lines), rows, size)
    assert b"".join(block.text for block in blocks).decode().splitlines() == lines[:rows]


def test_what_lies_behind_the_first_rows_is_not_read(tmp_path: Path) -> None:
    """`rows` shall spare the rest of 11 GB."""
    content = gzip.compress("\n".join(random_lines(2000)).encode())
    path = tmp_path / "train.txt.gz"
    path.write_bytes(content[: len(content) // 2])
    assert sum(block.text.count(b"\n") for block in read_blocks(TextFile(path, ""), 10, 4096)) == 10


def broken(kind: str) -> bytes:
    content = "\n".join(random_lines(200)).encode()
    packed = gzip.compress(content)
    return {
        "empty": b"",
        "empty, compressed": gzip.compress(b""),
        "truncated": packed[: len(packed) // 2],
        "cut in the checksum": packed[:-4],
        "damaged": packed[:500] + bytes(200) + packed[700:],
        "other bytes": packed[:-8] + bytes(8),
        "one line": b"x" * 5000,
    }[kind]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("empty", "train.txt: is empty"),
        ("empty, compressed", "train.txt: is empty"),
        ("truncated", r", line \d+: the compressed file is truncated"),
        ("cut in the checksum", r", line \d+: the compressed file is truncated"),
        ("damaged", r", line \d+: the compressed file is damaged"),
        ("other bytes", r", line \d+: the compressed file is damaged"),
        ("one line", "line 1: has more than 2000 bytes"),
    ],
)
def test_a_file_that_cannot_be_read_to_its_end(tmp_path: Path, kind: str, message: str) -> None:
    path = tmp_path / "train.txt"
    path.write_bytes(broken(kind))
    with pytest.raises(DataError, match=f"{message}.*; the hint$") as caught:
        list(read_blocks(TextFile(path, "the hint"), size=2000))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.txt is missing; the hint"):
        list(read_blocks(TextFile(tmp_path / "train.txt", "the hint")))


def test_the_beginning_of_a_file_tells_its_format(tmp_path: Path) -> None:
    """What was downloaded has no checksum; a page of HTML must not pass for it."""
    check_beginning(text_file(tmp_path, [GOOD] * 3).path, "")
    with pytest.raises(DataError, match="line 1: 1 columns"):
        check_beginning(text_file(tmp_path, ["<html>", "</html>"]).path, "")
