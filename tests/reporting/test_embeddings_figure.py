"""The figure of hidden layers: the right runs in the right columns, drawn to scale, and every mistake in one line."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.embeddings import draw
from benchmarks.embeddings.__main__ import main
from benchmarks.embeddings.draw import look, png
from benchmarks.embeddings.project import pca, tsne
from benchmarks.embeddings.recorded import Figure, figures_of
from benchmarks.records.record import Record, artefact_path, write_record
from benchmarks.records.result_set import ResultSet
from benchmarks.tasks.hidden_layer.file import SUFFIX, Embedding, packed
from benchmarks.tasks.hidden_layer.separation import separation
from tests.helpers.results_samples import hash_of, record

NODES, WIDTH = 40, 5
LABELS = np.arange(NODES) % 4
INITIAL = np.random.default_rng(0).normal(size=(NODES, WIDTH)).astype(np.float16)
CORNERS = 8 * np.eye(4, WIDTH)[LABELS]  # each class around a corner of its own


def embedding(trained: np.ndarray) -> Embedding:
    return Embedding(np.arange(NODES), LABELS, trained.astype(np.float32), INITIAL.astype(np.float32))


def keep(results: Path, made: Record, vectors: np.ndarray | None, numbers: tuple[float, float] = (0.5, 90.0)) -> Path:
    """Write a record that measured its hidden layer, and the vectors beside it; returns their file."""
    made.metrics |= dict(zip(("silhouette", "knn_accuracy"), numbers, strict=True))
    path = artefact_path(write_record(made, results / "records"), SUFFIX)
    if vectors is not None:
        path.write_bytes(packed(embedding(vectors)))
    return path


def three_methods(results: Path, **fields: object) -> Path:
    """bp tells the classes apart, dfa nearly, shallow stays as it was; two seeds each."""
    for seed in (0, 1):
        keep(results, record(seed=seed, **fields), CORNERS + INITIAL, (0.6 + seed / 5, 99.0))
        keep(results, record(seed=seed, method="dfa", **fields), CORNERS / 2 + INITIAL, (0.3, 95.0 - 2 * seed))
        keep(results, record(seed=seed, method="shallow", **fields), INITIAL, (-0.1, 30.0))
    return results


def only_figure(results: Path, seed: int = 0) -> Figure:
    (figure,), _ = figures_of(ResultSet.load(results), seed)
    return figure


def words(figure: Figure) -> str:
    """All that is written in the picture, in one line."""
    with draw.matplotlib.style.context("default"):
        canvas = draw._canvas(figure)
    texts = [*canvas.texts, *(text for axes in canvas.axes for text in (*axes.texts, axes.title, axes.xaxis.label))]
    return " ".join(" ".join(text.get_text().split()) for text in texts)


def test_methods_stand_side_by_side_with_the_numbers_of_their_records(tmp_path):
    """Without it a picture could stand above another method's numbers, or another seed's."""
    figure = only_figure(three_methods(tmp_path), seed=1)
    assert [column.title for column in figure.columns] == ["bp", "dfa", "shallow = random initialisation"]
    for column, vectors in zip(figure.columns, (CORNERS + INITIAL, CORNERS / 2 + INITIAL, INITIAL), strict=True):
        np.testing.assert_allclose(column.vectors, vectors, rtol=1e-2, atol=1e-2)
    assert [column.numbers["silhouette"] for column in figure.columns] == [0.8, 0.3, -0.1]
    text = words(figure)
    assert "citation/gcn_cora" in text and "profile paper · real data · seed 1 · 40 test nodes" in text
    assert "silhouette 0.80 (0.70 ± 0.14) 1-NN 99.0% (99.0 ± 0.0)" in text and "1-NN 93.0% (94.0 ± 1.4)" in text
    assert "over 2 seeds" in text and "shallow leaves the hidden layer exactly as it was initialised" in text


def test_a_random_layer_stands_beside_methods_that_all_moved(tmp_path):
    """Without it there would be nothing to compare with where the control was not run, or where it learns."""
    keep(tmp_path, record(), CORNERS + INITIAL)
    moved = INITIAL.copy()
    moved[0, 0] += 1
    keep(tmp_path, record(method="shallow"), moved)
    *_, last = only_figure(tmp_path).columns
    assert last.title == "random initialisation" and np.array_equal(last.vectors, INITIAL.astype(np.float32))
    assert last.numbers == separation(torch.from_numpy(last.vectors), torch.from_numpy(LABELS)) and not last.cells


def test_the_runs_are_those_behind_the_tables(tmp_path):
    """Without it former settings or overridden ones could be drawn beside the newest, as if they were alike."""
    three_methods(tmp_path)
    keep(tmp_path, record(config_hash="old", finished="2024-01-01T00:00:00"), INITIAL, (0.0, 0.0))
    keep(tmp_path, record(method="dfa", config_hash="v", variant="task.optim.lr=1"), INITIAL, (0.0, 0.0))
    write_record(record(method="mine"), tmp_path / "records")  # of a version that measured nothing
    figure = only_figure(tmp_path)
    assert [column.numbers["silhouette"] for column in figure.columns] == [0.6, 0.3, -0.1]


def test_what_is_missing_is_said(tmp_path, capsys, monkeypatch):
    """Without it a method would be left out of the figure and nobody would know that it was run."""
    three_methods(tmp_path)
    keep(tmp_path, record(method="packed"), None)
    keep(tmp_path, record(method="other", seed=3), CORNERS)
    monkeypatch.setattr(draw, "tsne", lambda vectors: vectors[:, :2])
    assert main(["--results", str(tmp_path)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "paper:citation/gcn_cora: other: no run of seed 0 that ended well"
    assert said[1].startswith(f"paper:citation/gcn_cora: packed: no seed0-{hash_of(method='packed')}.embedding.npz in ")
    assert said[2:] == [str(tmp_path / "figures/paper/citation/gcn_cora_embedding.png")]


def test_stand_ins_have_a_figure_of_their_own(tmp_path):
    """Without it generated data would be shown as the real ones."""
    three_methods(tmp_path)
    three_methods(tmp_path, source="stand-in", config_hash="s")
    real, standin = figures_of(ResultSet.load(tmp_path), 0)[0]
    assert (
        real.name == "paper/citation/gcn_cora_embedding" and standin.name == "paper/citation/gcn_cora_standin_embedding"
    )
    assert "stand-in data: not comparable with the paper" in words(standin) and "stand-in" not in words(real)


def test_the_picture_holds_every_node_where_it_belongs(tmp_path, monkeypatch):
    """Without it classes could change places, or the panels of two methods."""
    monkeypatch.setattr(draw, "tsne", lambda vectors: vectors[:, :2])
    figure = only_figure(three_methods(tmp_path))
    axes = draw._canvas(figure).axes
    assert len(axes) == 6
    for upper, lower, column in zip(axes[::2], axes[1::2], figure.columns, strict=True):
        assert upper.get_title() == column.title
        for shown, places in ((upper, column.vectors[:, :2]), (lower, pca(column.vectors)[0])):
            for label, dots in enumerate(shown.collections):
                np.testing.assert_allclose(dots.get_offsets(), places[label == LABELS])
                assert dots.get_label() == f"class {label}"


def test_the_file_is_small_readable_and_always_the_same(tmp_path, monkeypatch):
    """Without it every rebuild would change a committed file, or put megabytes into the repository."""
    monkeypatch.setattr(draw, "tsne", lambda vectors: vectors[:, :2])
    figure = only_figure(three_methods(tmp_path))
    rng = np.random.default_rng(1)
    noise = [replace(column, vectors=rng.normal(size=(1000, 2))) for column in figure.columns]
    large = replace(figure, labels=rng.integers(0, 7, 1000), columns=tuple(noise))
    content = png(large)
    assert content == png(large) and len(content) < 400_000
    picture = Image.open(io.BytesIO(content))
    assert picture.width == pytest.approx(1400, abs=2) and not picture.info.get("Software")
    five = replace(figure, columns=(*figure.columns, *figure.columns[:2]))
    assert len(draw._canvas(five).axes) == 10  # in two bands
    assert draw._canvas(five).get_figheight() > 1.2 * draw._canvas(figure).get_figheight()


def test_classes_look_different():
    """Without it an eighth class would be taken for the first."""
    assert len({look(label) for label in range(49)}) == 49
    assert len({look(label)[0] for label in range(7)}) == len({look(label)[1] for label in range(7)}) == 7


def test_pca_is_the_singular_value_decomposition():
    """Without it a picture could be of raw coordinates, in which a constant shift is the largest direction."""
    vectors = CORNERS + INITIAL + 100
    places, share = pca(vectors)
    centred = vectors - vectors.mean(0)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(places), np.abs(centred @ directions[:2].T), atol=1e-6)
    assert share == pytest.approx((sizes[:2] ** 2).sum() / (sizes**2).sum())


def test_tsne_keeps_clusters_apart_and_repeats_itself():
    """Without it the same run would look different every day, and the figure prove nothing."""
    places = tsne(CORNERS + INITIAL)
    assert np.array_equal(places, tsne(CORNERS + INITIAL))
    assert separation(torch.from_numpy(places), torch.from_numpy(LABELS))["knn_accuracy"] == 100


@pytest.mark.parametrize("vectors", [np.ones((9, 3)), np.arange(9.0).reshape(9, 1), np.zeros((2, 4))])
def test_layers_that_died_or_have_one_unit_can_be_drawn(vectors):
    """Without it the worst result of all, a dead layer, would end in an error instead of a picture."""
    assert tsne(vectors).shape == pca(vectors)[0].shape == (len(vectors), 2)
    assert np.isfinite(tsne(vectors)).all() and np.isfinite(pca(vectors)[0]).all()


def spoil(results: Path, how: str) -> None:
    three_methods(results)
    path = next((results / "records").rglob("dfa/seed0-*.npz"))
    if how == "damaged":
        path.write_bytes(path.read_bytes()[:99])
    elif how == "other nodes":
        path.write_bytes(packed(replace(embedding(CORNERS), labels=LABELS[::-1])))
    elif how == "unknown compression":
        content = bytearray(path.read_bytes())
        at = content.rindex(b"PK\x01\x02")
        content[at + 10] = 99
        path.write_bytes(content)
    elif how == "other start":
        path.write_bytes(packed(replace(embedding(CORNERS), initial=INITIAL + 1)))
    elif how == "all packed":
        for each in (results / "records").rglob("*.npz"):
            each.unlink()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("unknown compression", f"seed0-{hash_of(method='dfa')}.embedding.npz: not an embedding"),
        ("damaged", f"seed0-{hash_of(method='dfa')}.embedding.npz: not an embedding"),
        ("other nodes", "other nodes or labels than the other methods' runs"),
        ("other start", "other initial weights than the other methods' runs"),
    ],
)
def test_a_file_that_does_not_fit_is_named_and_left_out(tmp_path, capsys, how, message):
    """Without it one damaged file would keep all figures from being drawn, or show nodes of another graph."""
    spoil(tmp_path, how)
    assert main(["--results", str(tmp_path)]) == 0
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and error.endswith("left out\n")


@pytest.mark.parametrize(
    ("how", "arguments", "message"),
    [
        ("all packed", [], f"nothing to draw: paper:citation/gcn_cora: bp: no seed0-{hash_of()}.embedding.npz in"),
        ("", ["--seed", "7"], "nothing to draw: paper:citation/gcn_cora: bp: no run of seed 7 that ended well"),
        ("", ["--seed", "-1"], "'-1' is not a seed"),
        ("", ["--tasks", "citation/dna_*"], "no record that matches --profile and --tasks measured its hidden layer"),
        ("", ["--profile", "quick"], "no record that matches --profile and --tasks"),
    ],
)
def test_every_mistake_is_one_line_and_nothing_is_written(tmp_path, capsys, how, arguments, message):
    """Without it somebody's error, deep in a stack of calls, would have to tell what is wrong with the records."""
    spoil(tmp_path, how)
    before = sorted(tmp_path.rglob("*"))
    try:
        code = main(["--results", str(tmp_path), *arguments])
    except SystemExit as end:
        code = end.code
    printed = capsys.readouterr()
    assert (code, printed.out, printed.err.count("\n")) == (2, "", 1) and message in printed.err
    assert sorted(tmp_path.rglob("*")) == before
