"""WikiText's layout: three files of lines, words separated by spaces.

A line is a paragraph, a heading (` = Title = `, ` = = Section = = `) or blank, and begins and ends with a space. Words
that are rare in the training split are replaced by `<unk>`.
"""

from __future__ import annotations

SPLITS = ("train", "valid", "test")
UNKNOWN = "<unk>"
LINE_END = "\n"


def file_name(split: str) -> str:
    """The file of a split."""
    return f"wiki.{split}.tokens"
