"""The generated ads: in the real format, the same every time, and with clicks that need interactions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from datasets.criteo import standin as criteo_standin
from datasets.criteo.faults import line_fault
from datasets.criteo.format import CATEGORIES, FIELD_NAMES
from datasets.criteo.standin import STANDINS, CriteoSettings, draw_values, true_logits, write_criteo
from datasets.criteo.text import TextFile, parse, read_blocks
from datasets.criteo.text_writer import MISSING, append_lines
from datasets.registry import resolve


def parsed(folder: Path):
    file = TextFile(folder / "train.txt", "")
    (block,) = read_blocks(file, size=1 << 30)
    return parse(file, block)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("standin")
    write_criteo(folder, CriteoSettings(20_000))
    return folder


def test_the_same_settings_give_the_same_bytes(tmp_path: Path) -> None:
    contents = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_criteo(tmp_path / name, CriteoSettings(500))
        contents.append((tmp_path / name / "train.txt").read_bytes())
    assert contents[0] == contents[1]


def test_every_line_is_in_the_format(folder: Path) -> None:
    """By the rules, not by the parser that reads it."""
    lines = (folder / "train.txt").read_bytes().splitlines()
    assert len(lines) == 20_000 and not any(map(line_fault, lines))


def test_missing_values_and_tails_are_like_criteos(folder: Path) -> None:
    """Fields that are never missing, or all of one size, would leave the paths for them untried."""
    columns = parsed(folder)
    shares = dict(zip(FIELD_NAMES, columns.missing.mean(axis=1), strict=True))
    expected = {name: criteo_standin._MISSING_SHARES.get(name, 0) for name in FIELD_NAMES}
    assert shares == pytest.approx(expected, abs=0.02)
    distinct = {name: len(set(values.tolist())) for name, values in zip(FIELD_NAMES, columns.values, strict=True)}
    assert distinct["C9"] <= 4 and distinct["C20"] <= 5 and distinct["C3"] > 8000
    counts = np.sort(np.unique(columns.values[15], return_counts=True)[1])[::-1]  # C3
    assert counts[:10].sum() > 0.1 * 20_000 and (counts == 1).sum() > 5000


def test_different_categories_have_different_hashes(tmp_path: Path) -> None:
    """Two that share one would merge, and a field would hold fewer than it says."""
    n_rows = 70_000
    values = {name: np.arange(n_rows) * 61_000 % 2**32 for name in FIELD_NAMES}
    values["I1"] = np.full(n_rows, MISSING)
    with (tmp_path / "train.txt").open("wb") as stream:
        append_lines(stream, values, np.zeros(n_rows, dtype=np.uint8))
    columns = parsed(tmp_path)
    assert columns.missing[0].all() and not columns.missing[1:].any()
    assert all(len(np.unique(column)) == n_rows for column in columns.values[13:])
    assert len(np.unique(columns.values[13:, 7])) == len(CATEGORIES)  # and differ between fields


def test_the_log_odds_are_those_of_the_file(folder: Path) -> None:
    """They state the ceiling; computed for other rows they would state nothing."""
    labels, logits = true_logits(CriteoSettings(20_000))
    assert np.array_equal(labels, parsed(folder).labels)
    assert 0.23 < labels.mean() < 0.28
    assert roc_auc_score(labels, logits) == pytest.approx(0.855, abs=0.015)
    chance = 1 / (1 + np.exp(-logits))
    for low, high in ((0, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 1)):
        chosen = (chance > low) & (chance <= high)
        assert labels[chosen].mean() == pytest.approx(chance[chosen].mean(), abs=0.03)


def test_clicks_need_interactions_of_three_fields() -> None:
    """With less of a share, a factorization machine would be as good as a network."""
    labels, _ = true_logits(CriteoSettings(20_000))
    values = draw_values(np.random.default_rng([criteo_standin._SEED, 0]), 20_000)
    parts = criteo_standin._parts(values) * np.asarray(criteo_standin._DEVIATIONS) / criteo_standin._calibration()[1]
    single, pairs, triples = (roc_auc_score(labels, parts[:, :count].sum(axis=1)) for count in (1, 2, 3))
    assert 0.6 < single < pairs < 0.75 and triples > pairs + 0.08


def test_sizes_grow_with_the_profile() -> None:
    sizes = [STANDINS["criteo"].settings.get(name, STANDINS["criteo"].settings["default"]).rows
             for name in ("smoke", "quick", "long", "paper")]  # fmt: skip
    assert sizes == [4_000, 60_000, 200_000, 200_000]
    assert STANDINS["criteo_10k"].settings["default"].rows == 10_000
    assert resolve("criteo", "standin", "smoke").fingerprint != resolve("criteo_10k", "standin", "smoke").fingerprint
