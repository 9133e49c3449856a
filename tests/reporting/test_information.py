"""The information table: every shipped method has its line, and the document has the table as it is."""

from __future__ import annotations

import errno

import pytest

from benchmarks.catalogue.methods import shipped_methods
from benchmarks.tables.information import BEGIN, END, information, main, markdown, put_into, table
from dfa_core import method_class
from tests import REPOSITORY

PAGE = REPOSITORY / "docs" / "methods.md"


def test_every_method_says_what_it_needs_to_know():
    """Read from the source text as it stands in the class; without it a new method would have no line."""
    assert list(information()) == list(shipped_methods())
    for name, said in information().items():
        assert vars(method_class(name).information) == said and all(said.values())


def test_the_document_has_the_table_as_it_is():
    """python -m benchmarks.tables.information docs/methods.md renews it."""
    assert put_into(PAGE.read_text()) == PAGE.read_text()
    headings, rows = table()
    assert headings[0] == "method" and len(rows) == len(shipped_methods())


def test_a_document_without_a_place_is_refused(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("nothing\n")
    assert main([str(page)]) == 2 and "no place for the table" in capsys.readouterr().err
    assert page.read_text() == "nothing\n"
    with pytest.raises(ValueError, match="no place"):
        put_into(f"{END}{BEGIN}")


def test_the_line_ends_of_a_document_stay(tmp_path):
    """Else every line of a document from Windows would be a changed one."""
    page = tmp_path / "page.md"
    page.write_bytes(f"# A\r\n\r\n{BEGIN}\r\nold\r\n{END}\r\nz".encode())
    assert main([str(page)]) == 0
    text = page.read_bytes().decode()
    table = markdown().split("\n")
    assert text.split("\r\n") == ["# A", "", BEGIN, *table, END, "z"] and text.count("\n") == text.count("\r\n")


def test_a_full_disk_leaves_the_document_whole(tmp_path, monkeypatch, capsys):
    """The document was emptied before it was written: what did not fit was lost."""
    page = tmp_path / "page.md"
    page.write_text(before := f"mine\n{BEGIN}\n{END}\nmore of mine\n")

    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("benchmarks.records.record.os.fsync", full)
    with pytest.raises(SystemExit) as stopped:
        main([str(page)])
    assert stopped.value.code == 2 and page.read_text() == before and list(tmp_path.iterdir()) == [page]
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "page.md" in error and "No space left" in error
