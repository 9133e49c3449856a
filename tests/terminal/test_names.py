"""Names that may stand in a path."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.terminal.names import (
    KINDS,
    LARGEST_SEED,
    inside,
    one_line,
    problem_of_hash,
    problem_of_name,
    problem_of_seed,
)

GOOD = [
    *(("task", name) for name in ("citation/gcn_cora", "capture/own", "a/b/c", "wikitext2/macro_beta2", "toy")),
    *(("dataset", name) for name in ("cora", "nerf_synthetic/lego", "capture/my-room.v2")),
    *(("method", name) for name in ("bp", "dfa_macro", "random_direction", "_own", "3factor", "console", "con_2")),
    *(("artefact", name) for name in ("sheet.png", "weights.pt", "a+b.tar.gz")),
]
BAD = [
    *("", ".", "..", "../x", "a/..", "/etc", "a//b", "a/", "/a", "a\\b", "..\\x", "C:x", "a\0b", "a\nb", "\x1b[2J"),
    *("-m", ".hidden", "a/.git", "x" * 51, "con", "NUL.txt", "a/Com1", "lpt0", "a.", " a", "a ", "a b", "~x", "$HOME"),
    *("*", "a=b", "ｇcn", "gсn", "a\u202eb", "a\u200bb", "e\u0301", "a\u2215b", "a\uff0fb", "\ud800"),
    *(None, 3, True, ["a"], {}, b"a", float("nan")),
]


@pytest.mark.parametrize(("kind", "name"), GOOD)
def test_names_in_use_pass(kind, name):
    """Without it the gate could close on names that users have."""
    assert problem_of_name(kind, name) is None


@pytest.mark.parametrize("name", BAD, ids=ascii)
@pytest.mark.parametrize("kind", ["task", "dataset", "method"])
def test_what_is_no_name_is_refused_in_one_ascii_line(kind, name):
    """Without it a record could be written, or a lock made, outside the results folder; or the message could lie."""
    problem = problem_of_name(kind, name)
    assert problem
    assert "\n" not in problem
    assert problem.replace("…", "").isascii()
    assert len(problem) < 200


@given(st.text(max_size=12) | st.text("./\\ab\0~-", max_size=12))
@settings(max_examples=500)
def test_a_name_that_passes_stays_in_its_folder(text):
    """Without it a spelling that nobody listed could climb out of a folder, or hide in it."""
    for kind, (_, most) in KINDS.items():
        if problem_of_name(kind, text) is None:
            path = Path("/records", text)
            assert path.is_relative_to("/records")
            assert 1 <= len(path.relative_to("/records").parts) <= most
            assert path.as_posix() == f"/records/{text}"
            assert not any(part.startswith(".") for part in path.parts)


def test_number_of_parts_by_kind():
    """Without it a method called a/b would lie where another task's method has its records."""
    assert "no slash" in problem_of_name("method", "a/b")
    assert "1 slash at most" in problem_of_name("dataset", "a/b/c")
    assert "2 slashes at most" in problem_of_name("task", "a/b/c/d")


def test_hashes_and_seeds():
    """Without it a hash of ../../x, or a seed that a generator refuses, would enter a path."""
    assert problem_of_hash("0123456789ab") is None
    assert all(problem_of_hash(bad) for bad in ("", "0123456789AB", "0123456789ab\n", "../456789ab", None, 12))
    assert problem_of_seed(0) is problem_of_seed(LARGEST_SEED) is None
    assert all(problem_of_seed(bad) for bad in (-1, LARGEST_SEED + 1, 10**400, True, 1.0, "3", None, float("nan")))


def test_links_that_lead_out_are_seen(tmp_path):
    """Without it a link inside results/ would let a command write wherever it points."""
    folder = tmp_path / "results"
    (folder / "real").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (folder / "out").symlink_to(tmp_path / "elsewhere")
    (folder / "within").symlink_to(folder / "real")
    (folder / "loop").symlink_to(folder / "loop")
    assert inside(folder, folder / "real" / "new" / "file") == folder / "real" / "new" / "file"
    assert inside(folder, folder / "within" / "file") == folder / "within" / "file"
    for bad in (folder / "out" / "file", folder / ".." / "file", folder / "loop" / "file", folder / "a\0b"):
        with pytest.raises(ValueError) as found:
            inside(folder, bad)
        assert "\n" not in str(found.value)


def test_a_results_folder_may_be_a_link_itself(tmp_path):
    """Without it results on another disk, reached by a link, would be refused."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "results").symlink_to(tmp_path / "disk")
    inside(tmp_path / "results", tmp_path / "results" / "file")


def test_one_line():
    """Without it the reason of a failed run could clear the screen of whoever reads it, or end a table's row."""
    assert one_line("a\nb\x1b[2J\u2028\u202ec ") == "a b [2J  c "
