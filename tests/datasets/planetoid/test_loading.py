"""The citation loader: equal to PyG's from the same files, and clear about files that are wrong."""

from __future__ import annotations

import os
import pickle
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from torch_geometric.data import Data
from torch_geometric.datasets import Planetoid

from datasets.core.errors import DataError
from datasets.core.source import Source
from datasets.planetoid.load import load_citation
from datasets.planetoid.standin import STANDINS, write_citation
from datasets.registry import find_dataset, resolve

NAMES = {"cora": "Cora", "citeseer": "CiteSeer", "pubmed": "PubMed"}
FIELDS = ("x", "edge_index", "y", "train_mask", "val_mask", "test_mask")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache for stand-ins."""
    monkeypatch.setenv("DFA_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(params=NAMES)
def real(request: pytest.FixtureRequest) -> Source:
    """The real graphs, one after the other."""
    if not os.environ.get("DFA_DATA_DIR"):
        pytest.skip("DFA_DATA_DIR is not set: no real graphs to compare with")
    source = resolve(request.param, "auto")
    if source.kind != "real":
        pytest.skip(f"DFA_DATA_DIR has no {request.param}")
    return source


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The raw files of a small citeseer-like graph, to be copied."""
    folder = tmp_path_factory.mktemp("good")
    write_citation(folder, STANDINS["citeseer"].settings["smoke"])
    return folder


@pytest.fixture
def raw(good: Path, tmp_path: Path) -> Source:
    """A copy of the good files that a test may spoil."""
    folder = tmp_path / "raw"
    shutil.copytree(good, folder)
    return Source("stand-in", find_dataset("citeseer"), folder, "spoilt")


def read_by_pyg(source: Source, root: Path) -> Data:
    """What PyG makes of the same files."""
    shutil.copytree(source.folder, root / NAMES[source.name] / "raw")
    return Planetoid(str(root), NAMES[source.name])[0]


def assert_same(ours: Data, theirs: Data) -> None:
    for field in FIELDS:
        assert ours[field].dtype == theirs[field].dtype, field
        assert torch.equal(ours[field], theirs[field]), field


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("profile", ["smoke", "quick"])
@pytest.mark.parametrize("name", NAMES)
def test_stand_in_equals_pyg(name: str, profile: str, tmp_path: Path) -> None:
    source = resolve(name, "standin", profile)
    ours = load_citation(source)
    assert_same(ours, read_by_pyg(source, tmp_path / "pyg"))
    assert ours.is_undirected() and not ours.has_self_loops()


def test_real_graph_equals_pyg(real: Source, tmp_path: Path) -> None:
    assert_same(load_citation(real), read_by_pyg(real, tmp_path / "pyg"))


def test_real_graph_loads_quickly(real: Source) -> None:
    start = time.process_time()
    load_citation(real)
    assert time.process_time() - start < 1.5


def test_altered_real_file_is_refused_before_it_is_unpickled(real: Source, tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    for path in real.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    spoilt = folder / f"ind.{real.name}.allx"
    content = bytearray(spoilt.read_bytes())
    content[-1] ^= 1
    spoilt.write_bytes(content)
    with pytest.raises(DataError, match=rf"allx has sha256 \w{{12}}… where \w{{12}}….*fetch {real.name}"):
        load_citation(Source("real", find_dataset(real.name), folder, real.fingerprint))


@pytest.mark.parametrize("name", NAMES)
def test_anything_called_real_is_held_to_the_checksums(name: str, tmp_path: Path) -> None:
    """A stand-in in the place of real files never passes for them."""
    write_citation(tmp_path, STANDINS[name].settings["smoke"])
    with pytest.raises(DataError, match=r"has \d+ bytes where \d+ are expected; fetch it again"):
        load_citation(Source("real", find_dataset(name), tmp_path, "any"))


def test_isolated_nodes_have_no_features_and_label_zero(raw: Source) -> None:
    data = load_citation(raw)
    listed = {int(line) for line in (raw.folder / "ind.citeseer.test.index").read_text().split()}
    isolated = sorted(set(range(min(listed), data.num_nodes)) - listed)
    assert len(isolated) == STANDINS["citeseer"].settings["smoke"].isolated > 0
    assert not data.x[isolated].any() and not data.y[isolated].any()
    assert not data.test_mask[isolated].any()
    assert not torch.isin(data.edge_index, torch.tensor(isolated)).any()


def test_rows_go_to_the_nodes_that_the_test_index_names(raw: Source) -> None:
    data = load_citation(raw)
    index = [int(line) for line in (raw.folder / "ind.citeseer.test.index").read_text().split()]
    assert index != sorted(index)
    features = pickle.loads((raw.folder / "ind.citeseer.tx").read_bytes()).toarray()
    np.testing.assert_array_equal(data.x[index].numpy(), features)


def test_entries_that_stand_there_twice_are_added(raw: Source) -> None:
    """As scipy does when it makes a matrix dense; a reader that takes the last one has other features."""
    before = load_citation(raw).x
    for part in ("x", "tx", "allx"):
        edit_pickle(part, twice)(raw.folder)
    assert torch.equal(load_citation(raw).x, 2 * before)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("name", NAMES)
def test_stand_in_has_the_public_split(name: str) -> None:
    data = load_citation(resolve(name, "standin", "smoke"))
    classes = int(data.y.max()) + 1
    assert torch.bincount(data.y[data.train_mask]).tolist() == [20] * classes
    assert int(data.val_mask.sum()) == 500
    assert not (data.train_mask & data.val_mask).any() and not (data.val_mask & data.test_mask).any()


def edit_lines(change: Callable[[list[str]], None]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / "ind.citeseer.test.index"
        lines = path.read_text().splitlines()
        change(lines)
        path.write_text("".join(f"{line}\n" for line in lines))

    return spoil


def set_line(number: int, text: str) -> Callable[[Path], None]:
    return edit_lines(lambda lines: lines.__setitem__(number - 1, text))


def edit_pickle(part: str, change: Callable) -> Callable[[Path], None]:
    """Replace the content of a part by what `change` makes of it, or let it alter the content in place."""

    def spoil(folder: Path) -> None:
        path = folder / f"ind.citeseer.{part}"
        content = pickle.loads(path.read_bytes())
        changed = change(content)
        path.write_bytes(pickle.dumps(content if changed is None else changed, protocol=2))

    return spoil


def truncate(part: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / f"ind.citeseer.{part}"
        path.write_bytes(path.read_bytes()[:-100])

    return spoil


def put_first(matrix: csr_matrix, value: float) -> csr_matrix:
    matrix.data[0] = value
    return matrix


def twice(matrix: csr_matrix) -> csr_matrix:
    """Every entry stands there two times."""
    matrix.data, matrix.indices = matrix.data.repeat(2), matrix.indices.repeat(2)
    matrix.indptr = matrix.indptr * 2
    return matrix


def widen(matrix: csr_matrix) -> csr_matrix:
    return csr_matrix((matrix.data, matrix.indices, matrix.indptr), shape=(matrix.shape[0], 2_000_000_000))


SPOILT = {
    "missing": (lambda folder: (folder / "ind.citeseer.graph").unlink(), r"graph is missing; delete"),
    "truncated": (truncate("allx"), r"allx: truncated or malformed pickle"),
    "empty": (lambda folder: (folder / "ind.citeseer.ty").write_bytes(b""), r"ty: truncated or malformed"),
    "hostile": (
        lambda folder: (folder / "ind.citeseer.y").write_bytes(b"cos\nsystem\n(S'true'\ntR."),
        r"y: refused, the pickle asks for os\.system",
    ),
    "word in index": (set_line(7, "twelve"), r"test\.index: line 7: 'twelve' is not a node number"),
    "fraction in index": (set_line(2, "700.5"), r"line 2: '700\.5' is not"),
    "negative index": (set_line(3, "-5"), r"line 3: '-5' is not"),
    "huge index": (set_line(3, "9" * 40), r"line 3: '9{20}' is not"),
    "blank line": (set_line(4, ""), r"line 4: '' is not"),
    "index too large": (set_line(5, "748"), r"line 5: node 748 is out of range, test nodes are 640 … 747"),
    "index of a known node": (set_line(5, "639"), r"line 5: node 639 is out of range"),
    "index twice": (
        edit_lines(lambda lines: lines.__setitem__(8, lines[0])),
        r"line 9: node \d+ stands on line 1 already",
    ),
    "short index": (edit_lines(lambda lines: lines.pop()), r"test\.index: 99 nodes for 100 rows in ind\.cit"),
    "no index": (edit_lines(lambda lines: lines.clear()), r"test\.index: holds no node numbers"),
    "fewer labels": (edit_pickle("ally", lambda y: y[:-1]), r"ally: 639 rows for 640 rows in ind\.cit"),
    "fewer columns": (edit_pickle("tx", lambda x: x[:, :-1]), r"tx: 99 columns where \S+allx has 100"),
    "not one-hot": (
        edit_pickle("y", lambda y: y.__setitem__((3, slice(None)), 1)),
        r"y: row 3 is not one-hot",
    ),
    "flat labels": (edit_pickle("y", lambda y: y.argmax(1)), r"y: does not hold a two-dimensional"),
    "dense features": (edit_pickle("x", lambda x: x.toarray()), r"x: holds ndarray, not a sparse matrix"),
    "not finite": (
        edit_pickle("x", lambda x: x.data.__setitem__(x.indptr[2], np.nan)),
        r"x: row 2 has a feature that is not finite",
    ),
    "not finite as float32": (
        edit_pickle("tx", lambda x: put_first(x.astype(np.float64), 1e300)),
        r"tx: row 0 has a feature that is not finite",
    ),
    "not finite in the sum": (
        edit_pickle("tx", lambda x: twice(put_first(x.astype(np.float64), 3e38))),
        r"tx: row 0 has a feature that is not finite",
    ),
    "features beyond any memory": (
        lambda folder: [edit_pickle(part, widen)(folder) for part in ("x", "tx", "allx")],
        r"allx: 2000000000 features of 748 nodes, where 1 … 268435456 numbers",
    ),
    "no features": (
        lambda folder: [edit_pickle(part, lambda x: x[:, :0])(folder) for part in ("x", "tx", "allx")],
        r"allx: 0 features of 748 nodes",
    ),
    "no labelled node": (
        lambda folder: [edit_pickle(part, lambda rows: rows[:0])(folder) for part in ("x", "y")],
        r"y: holds no labelled node",
    ),
    "larger than any graph": (
        lambda folder: os.truncate(folder / "ind.citeseer.x", 1 << 40),
        r"x has more than 33554432 bytes; delete",
    ),
    "edge to a long word": (
        edit_pickle("graph", lambda graph: graph[4].append("a" * 9999)),
        r"node 4 has the neighbour 'a{40}…', but",
    ),
    "edge to nowhere": (
        edit_pickle("graph", lambda graph: graph[4].append(748)),
        r"graph: node 4 has the neighbour 748, but nodes are 0 … 747",
    ),
    "edge to a word": (
        edit_pickle("graph", lambda graph: graph[4].append("a")),
        r"node 4 has the neighbour 'a'",
    ),
    "edge one way": (
        edit_pickle("graph", lambda graph: graph[4].append(next(n for n in range(9, 99) if 4 not in graph[n]))),
        r"graph: node 4 has the neighbour \d+, but not the other way round",
    ),
    "node left out": (
        edit_pickle("graph", lambda graph: graph.pop(4) and None),
        r"747 is not a node of a graph",
    ),
    "neighbours not a list": (
        edit_pickle("graph", lambda graph: graph.update({4: "none"})),
        r"the neighbours of node 4 are not a list",
    ),
    "too few for validation": (
        lambda folder: [edit_pickle(part, lambda rows: rows[:600])(folder) for part in ("allx", "ally")],
        r"allx: 600 rows are too few for 120 training and 500 validation",
    ),
}


@pytest.mark.parametrize(("spoil", "message"), SPOILT.values(), ids=SPOILT)
def test_bad_file_is_one_line_that_names_it(raw: Source, spoil: Callable[[Path], None], message: str) -> None:
    spoil(raw.folder)
    with pytest.raises(DataError, match=message) as caught:
        load_citation(raw)
    text = str(caught.value)
    assert text.startswith(f"{raw.folder}{os.sep}ind.citeseer.") and "\n" not in text
