"""From text to indices: against dictionaries, against numpy, and in whatever blocks the text is read."""

from __future__ import annotations

import gzip
import hashlib
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from datasets.core.errors import DataError
from datasets.criteo import preprocess as criteo_preprocess
from datasets.criteo import vocabulary as criteo_vocabulary
from datasets.criteo.format import FIELD_NAMES
from datasets.criteo.preprocess import ABOUT, LABELS, ROWS, Preprocessing, _in_order, preprocess
from datasets.criteo.text import TextFile, read_blocks
from datasets.criteo.vocabulary import ValueCounts, Vocabulary, distinct
from tests.helpers.criteo_samples import encode_by_hand, line, random_lines, text_file

LINES = [line("1"), line("0"), *random_lines(500)]
NONE_MISSING = np.zeros(1, dtype=bool)


def encoded(file: TextFile, folder: Path, **settings: int) -> Path:
    folder.mkdir()
    preprocess(file, folder, Preprocessing(**settings), {"dataset": "toy"})
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("threshold", [1, 2, 10, 1000])
def test_rows_are_those_of_the_encoding_by_hand(tmp_path: Path, threshold: int) -> None:
    """The published rules, done with dictionaries: thresholds, order of indices, offsets, missing values."""
    folder = encoded(text_file(tmp_path, LINES), tmp_path / "out", threshold=threshold)
    rows, labels, sizes = encode_by_hand(LINES, threshold)
    found = np.load(folder / ROWS)
    assert found.dtype == np.int32 and np.array_equal(found, rows)
    assert np.load(folder / LABELS).tolist() == labels
    about = json.loads((folder / ABOUT).read_text())
    assert about["field_sizes"] == dict(zip(FIELD_NAMES, sizes, strict=True))
    assert about["features"] == sum(sizes) and about["threshold"] == threshold and about["dataset"] == "toy"
    assert sorted(contents(folder)) == sorted([ROWS, LABELS, ABOUT])


def test_the_blocks_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one block or in many, from plain or compressed text: the same bytes."""
    file = text_file(tmp_path, LINES)
    whole = contents(encoded(file, tmp_path / "whole"))
    (tmp_path / "packed").write_bytes(gzip.compress(file.path.read_bytes()))
    monkeypatch.setattr(criteo_preprocess, "read_blocks", partial(read_blocks, size=3000))
    monkeypatch.setattr(criteo_vocabulary, "_LEAST_PENDING", 50)
    assert contents(encoded(file, tmp_path / "many")) == whole
    assert contents(encoded(TextFile(tmp_path / "packed", ""), tmp_path / "unpacked")) == whole


def test_first_rows_are_encoded_like_a_file_of_these_rows(tmp_path: Path) -> None:
    """Values are counted in the rows that are used, not in what lies behind them."""
    of_all = contents(encoded(text_file(tmp_path, LINES), tmp_path / "head", rows=300))
    head = text_file(tmp_path, LINES[:300], "head.txt")
    of_head = contents(encoded(head, tmp_path / "alone"))
    assert of_all[ROWS] == of_head[ROWS] and of_all[LABELS] == of_head[LABELS]
    about = json.loads(of_all[ABOUT])
    assert (about["rows"], about["encoded_rows"]) == (300, 300)
    assert about["sha256"] == json.loads(of_head[ABOUT])["sha256"] == hashlib.sha256(head.path.read_bytes()).hexdigest()
    more = encoded(head, tmp_path / "more", rows=10_000)  # more than there are is all
    assert (more / ROWS).read_bytes() == of_head[ROWS]


@pytest.mark.parametrize("label", ["0", "1"])
def test_labels_that_are_all_alike_are_an_error(tmp_path: Path, label: str) -> None:
    """AUC is not defined on them."""
    with pytest.raises(DataError, match=f"none of the 2 lines has the label {1 - int(label)} .*; the hint"):
        encoded(text_file(tmp_path, [line(label)] * 2), tmp_path / "out")


def test_first_rows_whose_labels_are_all_alike_are_no_fault_of_the_file(tmp_path: Path) -> None:
    """The hint of a bad file is to fetch all of Criteo again."""
    file = text_file(tmp_path, [line("0")] * 2 + [line("1")])
    with pytest.raises(DataError, match=r"none of the first rows=2 has the label 1 \(clicked\); take more$"):
        encoded(file, tmp_path / "out", rows=2)


@pytest.mark.parametrize("settings", [{"threshold": 0}, {"rows": 0}, {"rows": -5}])
def test_settings_without_meaning_are_an_error(settings: dict[str, int]) -> None:
    name, value = next(iter(settings.items()))
    with pytest.raises(DataError, match=f"^{name}={value} is no .* take 1 or more"):
        Preprocessing(**settings)


def test_no_more_than_a_few_blocks_are_held() -> None:
    """Reading must wait for the slowest block, or all of a large file is in memory at once."""
    taken: list[int] = []
    results = _in_order(lambda number: number, (taken.append(number) or number for number in range(100)))
    for expected, number in enumerate(results):
        assert number == expected and len(taken) <= expected + criteo_preprocess._WORKERS + 1


def test_counts_are_those_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over many merges, and for the ends of the range, where packing a value with its count could overflow."""
    monkeypatch.setattr(criteo_vocabulary, "_LEAST_PENDING", 1)
    rng = np.random.default_rng(0)
    blocks = [rng.choice(np.array([0, 1, 2**31, 2**32 - 1, *range(50, 250)], dtype=np.uint32), 300) for _ in range(9)]
    counts = ValueCounts()
    for block in blocks:
        counts.add(distinct(block), 3)
    values, times = np.unique(np.concatenate(blocks), return_counts=True)
    for threshold in (1, 12, 28, 10_000):
        vocabulary = counts.vocabulary(threshold)
        expected = np.where(times >= threshold, np.cumsum(times >= threshold) + (threshold <= 27), 0)
        assert vocabulary.encode(values, np.zeros(len(values), dtype=bool)).tolist() == expected.tolist()
        assert vocabulary.encode(values[:1], ~NONE_MISSING).tolist() == [int(threshold <= 27)]
        assert vocabulary.size == 1 + (threshold <= 27) + np.sum(times >= threshold)


@pytest.mark.parametrize("count", [0, 1, 3, 1000, 20_000])
@pytest.mark.parametrize("step", [1, 2**16, 2654435761])
def test_looking_up_is_that_of_a_dictionary(count: int, step: int) -> None:
    """Values that fall into the same slots of the hash table, at its end too, must not be taken for one another."""
    every = (np.arange(2 * count + 2, dtype=np.uint64) * step).astype(np.uint32)
    values = np.unique(every[::2])[:count]
    vocabulary = Vocabulary(False, values)
    index = {value: number + 1 for number, value in enumerate(values.tolist())}
    asked = np.concatenate([every, np.array([0, 2**32 - 1], dtype=np.uint32)])
    expected = [index.get(value, 0) for value in asked.tolist()]
    assert vocabulary.encode(asked, np.zeros(len(asked), dtype=bool)).tolist() == expected


def test_values_that_share_one_slot() -> None:
    """The longest way through the table: every value wants the last slot."""
    slots = Vocabulary(True, np.arange(100, dtype=np.uint32))
    candidates = np.arange(1 << 20, dtype=np.uint32)
    same = candidates[slots._first_slots(candidates) == len(slots._indices) - 1][:200]
    vocabulary = Vocabulary(True, same[:100])
    assert len(vocabulary._indices) == len(slots._indices) and len(same) == 200
    assert vocabulary.encode(same, np.zeros(200, dtype=bool)).tolist() == [*range(2, 102), *[0] * 100]
