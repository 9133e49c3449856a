"""Reading WikiText: whole lines, every end of line counted, and bad text named by its line."""

from __future__ import annotations

import contextlib
import os
import random
import struct
import zipfile
from pathlib import Path

import pytest

from datasets.core.errors import DataError
from datasets.wikitext import text as wikitext_text
from datasets.wikitext.text import TextFile, check_text, read_blocks, read_words, split_words
from tests.helpers.wikitext_samples import random_text, split_by_hand, write_archive


def text_file(folder: Path, content: bytes) -> TextFile:
    path = folder / "wiki.train.tokens"
    path.write_bytes(content)
    return TextFile(path, "the hint")


@pytest.mark.parametrize("size", [700, 1000, 1 << 20])
def test_blocks_are_the_text_whatever_their_size(tmp_path: Path, size: int) -> None:
    """A line cut in two, or a character of several bytes, would become two words, and shift every count."""
    text = random_text(300)
    blocks = list(read_blocks(text_file(tmp_path, text.encode()), size))
    assert "".join(block.text for block in blocks) == text
    lines = 1
    for block in blocks:
        assert block.first_line == lines and block.text.endswith("\n")
        lines += block.text.count("\n")


@pytest.mark.parametrize("lowercase", [False, True])
def test_words_are_what_white_space_separates_and_every_end_of_line(lowercase: bool) -> None:
    """Perplexity per word divides by their number: blank lines without an end of line would flatter no one less."""
    text = random_text(200) + " a\u00a0b\u3000c\td  e\r\n\n \n x\u0085y \n"
    words = split_words(text, lowercase)
    assert words == split_by_hand(text, lowercase)
    assert len(words) == len(text.split()) + text.count("\n")


def test_a_last_line_without_its_end_is_a_line(tmp_path: Path) -> None:
    text = "".join(block.text for block in read_blocks(text_file(tmp_path, b" a \n b")))
    assert split_words(text, False) == ["a", "\n", "b", "\n"]


@pytest.mark.parametrize("size", [8, 1 << 20])
@pytest.mark.parametrize("end", [b"\n", b""])
def test_bytes_that_are_no_utf_8_are_named_by_their_line(tmp_path: Path, size: int, end: bytes) -> None:
    """Decoded leniently, a damaged file would train as if it were good."""
    file = text_file(tmp_path, b" one \n two \n\n br\xffken" + end)
    with pytest.raises(DataError, match=r"wiki\.train\.tokens, line 4: byte 0xff is not UTF-8; the hint$"):
        list(read_blocks(file, size))


def test_a_character_cut_off_by_the_end_of_its_line_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 2: byte 0xe5 is not UTF-8"):
        list(read_blocks(text_file(tmp_path, "\n 名".encode()[:-1] + b"\n \n")))


@pytest.mark.parametrize("content", [b"", b" \n \n\n", b"\n", b"  "])
def test_text_without_words_is_an_error(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match=r"wiki\.train\.tokens: has no words; the hint$"):
        list(read_blocks(text_file(tmp_path, content)))


def test_a_file_without_lines_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 3: has more than 16 bytes"):
        list(read_blocks(text_file(tmp_path, b"\n a \n" + b"x" * 99), 16))


@pytest.mark.parametrize("size", [16, 1 << 20])
def test_a_word_too_long_to_merge_is_named(tmp_path: Path, size: int) -> None:
    """Finding merges takes a time quadratic in a word's length: one of 6 MB, which a text of zeros is, takes hours."""
    longest = b"\n a \n b " + b"x" * wikitext_text.LONGEST_WORD + b" c \n"
    assert sum(map(len, read_words(text_file(tmp_path, longest), False))) == 7
    with pytest.raises(
        DataError,
        match=r"wiki\.train\.tokens, line 3: the word 'x{40}…' has 1001 characters, more than 1000; the hint$",
    ):
        list(read_words(text_file(tmp_path, longest.replace(b"x ", b"xx ")), False))


@pytest.mark.parametrize("size", [16, 1 << 20])
def test_zero_bytes_are_named_by_their_line(tmp_path: Path, size: int) -> None:
    """They are UTF-8, and what remains of a file that was not written to its end: it would train as if it were good."""
    with pytest.raises(DataError, match=r"line 2: has a zero byte; the hint$"):
        list(read_blocks(text_file(tmp_path, b" a \n b\0\0 \n c \n"), size))


def test_a_byte_order_mark_is_named(tmp_path: Path) -> None:
    """It would be the first letter of the first word, and the text one with other words."""
    for content, message in (
        ("\ufeff a \n".encode(), "line 1: begins with a byte order mark"),
        (" a \n".encode("utf-16"), "line 1: (byte 0xff is not UTF-8|has a zero byte)"),
    ):
        with pytest.raises(DataError, match=message):
            list(read_blocks(text_file(tmp_path, content)))


def test_what_is_verified_is_what_is_read(tmp_path: Path) -> None:
    """A first line longer than what `data verify` looks at would be refused there and trained on here."""
    path = text_file(tmp_path, b" word" * 100_000 + b" \n").path
    check_text(path, "the hint")
    path.write_bytes(b" a \n" + b"x" * 2000 + b" \n")
    with pytest.raises(DataError, match="line 2: the word"):
        check_text(path, "the hint")


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    path = text_file(tmp_path, b" a \n").path
    os.truncate(path, wikitext_text.TEXT_LIMIT + 1)  # takes no room on the disk
    with pytest.raises(DataError, match=r"has 2147483649 bytes, more than 2147483648; the hint$"):
        list(read_blocks(TextFile(path, "the hint")))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"wiki\.valid\.tokens: is missing; the hint$"):
        list(read_blocks(TextFile(tmp_path / "wiki.valid.tokens", "the hint")))
    with pytest.raises(DataError, match="cannot be read"):
        list(read_blocks(TextFile(tmp_path, "the hint")))


def test_a_file_is_text_to_its_end(tmp_path: Path) -> None:
    check_text(text_file(tmp_path, b"\n" * 100_000 + b" word \n").path, "the hint")
    late = b" a \n" * 2_000_000 + b"\xff"
    for content in (b"\x1f\x8b\x08", b"", b" \n", late):
        with pytest.raises(DataError, match="the hint"):
            check_text(text_file(tmp_path, content).path, "the hint")


def test_an_archive_gives_the_same_text(tmp_path: Path) -> None:
    content = random_text(300).encode()
    write_archive(tmp_path / "a.zip", "wikitext-2", {"wiki.train.tokens": content})
    file = TextFile(tmp_path / "a.zip", "the hint", "wikitext-2/wiki.train.tokens")
    assert "".join(block.text for block in read_blocks(file, 1000)).encode() == content


def test_a_bad_archive_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that claims to unpack to more than there can be: it is not read at all."""
    path = tmp_path / "a.zip"
    write_archive(path, "wikitext-2", {"wiki.train.tokens": b" word \n" * 1000})
    file = TextFile(path, "the hint", "wikitext-2/wiki.train.tokens")
    with pytest.raises(DataError, match=r"a\.zip, \.\./wiki\.train\.tokens: is not in the archive; the hint$"):
        list(read_blocks(TextFile(path, "the hint", "../wiki.train.tokens")))
    good = path.read_bytes()
    for bad in (good[:50], b"no archive", b"", good[:60] + b"?" + good[61:]):
        path.write_bytes(bad)
        with pytest.raises(DataError, match=r"a\.zip.*the archive is damaged") as caught:
            list(read_blocks(file))
        assert "\n" not in str(caught.value)
    path.write_bytes(good)
    monkeypatch.setattr(wikitext_text, "TEXT_LIMIT", 6999)
    with pytest.raises(DataError, match="has 7000 bytes, more than 6999"):
        list(read_blocks(file))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_an_altered_archive_never_gives_another_error(tmp_path: Path, method: int) -> None:
    """zipfile and its decompressors raise ten kinds of errors, of which some have no common class."""
    path, draw = tmp_path / "a.zip", random.Random(method)
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("wikitext-2/wiki.train.tokens", random_text(20))
        archive.writestr("wikitext-2/ü", "")
    good, file = path.read_bytes(), TextFile(path, "the hint", "wikitext-2/wiki.train.tokens")
    for _ in range(150):
        bad = bytearray(good)
        bad[draw.randrange(len(bad))] = draw.randrange(256)
        path.write_bytes(bad)
        with contextlib.suppress(DataError):
            list(read_blocks(file))


def test_an_archive_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    """Packed, a thousand times as much fits into it as it says: no more than it says is unpacked."""
    path = tmp_path / "a.zip"
    write_archive(path, "w", {"a": b" a \n" * 1_000_000})
    content = path.read_bytes()
    assert content.count(struct.pack("<I", 4_000_000)) == 2
    path.write_bytes(content.replace(struct.pack("<I", 4_000_000), struct.pack("<I", 4_000)))
    with pytest.raises(DataError, match=r"a\.zip, w/a: the archive is damaged \(Bad CRC"):
        list(read_blocks(TextFile(path, "the hint", "w/a")))


def test_nothing_is_unpacked(tmp_path: Path) -> None:
    """An archive with paths that climb out of it is harmless: only the one name is opened."""
    path = tmp_path / "in" / "a.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("../evil", "/evil", "wikitext-2/wiki.train.tokens"):
            archive.writestr(name, " word \n")
    list(read_blocks(TextFile(path, "the hint", "wikitext-2/wiki.train.tokens")))
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["a.zip", "in"]


@pytest.mark.parametrize("size", [16, 1 << 20])
@pytest.mark.parametrize(
    ("content", "line"),
    [(b" a \n b \r c \n", 2), (b" a \r b \r", 1), (b" a \r\n b \r\n\r\n c \r d \r\n", 4), (b" a \r\r\n", 1)],
)
def test_a_carriage_return_alone_is_named(tmp_path: Path, size: int, content: bytes, line: int) -> None:
    """It is white space for us and the end of a line for others: every count of words would be another."""
    with pytest.raises(DataError, match=rf"line {line}: has a carriage return that no newline follows.*; the hint$"):
        list(read_blocks(text_file(tmp_path, content), size))


def test_windows_ends_of_lines_count_as_the_others(tmp_path: Path) -> None:
    words = [list(read_words(text_file(tmp_path, text), lowercase=False)) for text in (b" a \r\n\r\n b", b" a \n\n b")]
    assert words[0] == words[1]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0c"])
def test_a_text_whose_only_ends_of_lines_are_others_is_refused(tmp_path: Path, separator: str) -> None:
    """Within lines they are white space, as for Python's split, by which WikiText is counted."""
    with pytest.raises(DataError, match=rf"has no newline, and ends lines with U\+{ord(separator):04X}; the hint$"):
        list(read_blocks(text_file(tmp_path, f" a b {separator} c ".encode())))
    assert len(list(read_blocks(text_file(tmp_path, f" a b {separator} c \n".encode())))) == 1
