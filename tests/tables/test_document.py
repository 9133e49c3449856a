"""`tables --document`: the headline of a document is that of the records, and nothing else in it changes."""

from __future__ import annotations

import pytest

from benchmarks.tables.__main__ import main
from tests.helpers.results_samples import record, runs, save

FORMER = "| architecture | data | method |\n|:--|:--|:--|\n| GCN | a | dfa |\n| GAT | b | dfa |\n"
OTHER = "| architecture | where |\n|:--|:--|\n| GCN | there |\n"


def put(folder, text, made):
    """The exit code of the command on a document, and the document afterwards."""
    document = folder / "NOTES.md"
    document.write_bytes(text.encode())
    results = save(folder / "published", made)
    return main(["--results", str(results), "--document", str(document)]), document.read_bytes().decode()


def compared():
    return runs([80.0] * 2, [70.0] * 2, [40.0] * 2)


def test_the_former_rows_go_and_all_other_text_stays(tmp_path):
    """A row that stays behind, or a paragraph that goes, would not be noticed in a long page."""
    status, text = put(tmp_path, f"# Notes\n\n{OTHER}\n{FORMER}\nEnd, no newline", compared())
    grid = [line for line in (tmp_path / "published/tables/headline.md").read_text().splitlines() if line[:1] == "|"]
    assert status == 0 and len(grid) == 3 and "75.0" in grid[2]
    assert text == f"# Notes\n\n{OTHER}\n" + "\n".join(grid) + "\n\nEnd, no newline"
    assert put(tmp_path, text, []) == (0, text)


def test_the_line_ends_of_a_document_stay(tmp_path):
    """Else every line of a document from Windows would be a changed one."""
    text = f"# Notes\n\n{OTHER}\n{FORMER}\nEnd\n"
    (tmp_path / "unix").mkdir()
    (tmp_path / "windows").mkdir()
    _, unix = put(tmp_path / "unix", text, compared())
    status, windows = put(tmp_path / "windows", text.replace("\n", "\r\n"), compared())
    assert status == 0 and windows == unix.replace("\n", "\r\n") and "75.0" in windows


@pytest.mark.parametrize(
    ("text", "made", "told"),
    [
        ("no table\n", compared(), "no tables that begin with the columns architecture and data"),
        (FORMER + "\n" + FORMER, compared(), "2 tables that begin with the columns architecture and data"),
        (FORMER, [record(80.0)], "no headline to put into"),
        ("\udcff", compared(), "codec can't"),
    ],
)
def test_what_cannot_be_renewed_is_one_line_and_nothing_is_written(tmp_path, capsys, text, made, told):
    document = tmp_path / "NOTES.md"
    document.write_bytes(before := text.encode(errors="surrogateescape"))
    assert main(["--results", str(save(tmp_path / "published", made)), "--document", str(document)]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and told in message and str(document) in message
    assert document.read_bytes() == before and not (tmp_path / "published/tables").exists()


def test_a_document_that_is_missing_is_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--results", str(save(tmp_path / "published", compared())), "--document", str(tmp_path / "none.md")])
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "none.md" in message and "No such file" in message


def test_a_user_s_own_runs_do_not_replace_the_published_headline(tmp_path, capsys):
    """One run on generated data stood in the README in place of all published rows."""
    document = tmp_path / "NOTES.md"
    document.write_text(FORMER)
    assert main(["--results", str(save(tmp_path / "results", compared())), "--document", str(document)]) == 2
    assert "published" in capsys.readouterr().err and document.read_text() == FORMER


@pytest.mark.parametrize(
    ("arguments", "told"), [(["--profile", "papre", "--show"], "no records of profile papre"), ([], "")]
)
def test_a_profile_without_records_is_an_error(tmp_path, capsys, arguments, told):
    code = main(["--results", str(save(tmp_path / "results", compared())), *arguments])
    assert code == (2 if told else 0) and told in capsys.readouterr().err


def test_a_profile_that_nothing_would_show_is_an_error(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--results", str(save(tmp_path / "results", compared())), "--profile", "paper"])
    assert ended.value.code == 2 and "add --show" in capsys.readouterr().err
