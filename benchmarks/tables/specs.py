"""Which tables there are. A table is a selection of cells: to add one, add a `TableSpec` to `SPECS`."""

from __future__ import annotations

from dataclasses import dataclass

#: How architectures, datasets and domains read in a table; any other stands under its own name.
TITLES = {
    "cheb": "ChebConv",
    "gcn": "GCN",
    "spline": "SplineConv",
    "gat": "GATConv",
    "dna": "DNAConv",
    "gae": "GAE",
    "fm": "FM",
    "deepfm": "DeepFM",
    "dcn": "DCN",
    "afn": "AFN",
    "autoint": "AutoInt",
    "nerf": "NeRF",
    "nerf_8x256": "NeRF 8×256",
    "nv": "NV",
    "srn": "SRN",
    "llff": "LLFF",
    "transformer": "Transformer",
    "transformer_noam": "Transformer, Noam β₂ .98",
    "transformer_adam": "Transformer, Adam β₂ .98",
    "transformer_beta2": "Transformer, Adam β₂ .999",
    "cora": "Cora",
    "citeseer": "CiteSeer",
    "pubmed": "PubMed",
    "criteo": "Criteo",
    "criteo_10k": "Criteo, first 10,000 rows",
    "wikitext103": "WikiText-103",
    "wikitext2": "WikiText-2",
    "nerf_synthetic": "NeRF-Synthetic",
    "llff_real": "LLFF-Real",
    "neural_view_synthesis": "view synthesis",
}
#: What `benchmarks.tune` puts before the domain of a task with the settings that it found.
TUNED = "tuned_"
#: Left to right in every table; methods that are not listed follow in alphabetical order.
METHODS = ("bp", "dfa", "dfa_macro", "dfa_micro", "shallow")
#: Baselines the paper quotes from others: they have a row, but nothing of ours will ever stand there.
QUOTED = frozenset({"nv", "srn", "llff"})
#: (architecture, method) without sense: FM has no hidden layer, the autoencoder's control was not published.
NONEXISTENT = frozenset({("fm", "dfa"), ("fm", "shallow"), ("gae", "shallow")})


@dataclass(frozen=True)
class TableSpec:
    """One table: all cells of ``domain`` that hold one of ``metrics``, a row per dataset and architecture.

    ``methods`` limits the columns to these (empty: every method there is), ``without`` leaves methods out.
    ``scenes`` is "each" where every scene has its row, "mean" where a row is the mean over a dataset's scenes
    (scenes are datasets named ``nerf_synthetic/lego``). ``shown`` tables are printed at the end of a sweep.
    """

    name: str
    title: str
    domain: str
    metrics: tuple[str, ...]
    methods: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    scenes: str = "each"
    decimals: int | None = None  # instead of the metric's
    shown: bool = True

    def takes(self, method: str) -> bool:
        """Whether ``method`` has a column."""
        return method not in self.without and (not self.methods or method in self.methods)


_ALIGNMENT = (
    *("alignment_cosine_mean", "alignment_cosine_std"),
    *("weight_alignment_cosine", "weight_alignment_cosine_mean", "weight_alignment_cosine_std"),
)
_SHALLOW = ("shallow",)

SPECS = (
    TableSpec(
        "table_1",
        "Table 1: view synthesis, PSNR on the test views (dB), mean over scenes",
        "neural_view_synthesis",
        ("psnr",),
        scenes="mean",
    ),
    TableSpec(
        "table_2",
        "Table 2: click-through rate prediction, AUC and log loss on the test split",
        "recommendation",
        ("auc", "log_loss"),
        without=_SHALLOW,
    ),
    TableSpec(
        "overview_citation",
        "Citation networks, all methods side by side: test accuracy (%)",
        "geometric",
        ("accuracy",),
    ),
    TableSpec(
        "table_3",
        "Table 3: citation networks, test accuracy (%)",
        "geometric",
        ("accuracy",),
        without=_SHALLOW,
        shown=False,
    ),
    TableSpec(
        "table_4",
        "Table 4: graph autoencoder, link prediction, AUC and average precision",
        "geometric",
        ("auc", "average_precision"),
        decimals=3,
    ),
    TableSpec(
        "table_5",
        "Table 5: language modelling, validation perplexity per token and per word",
        "language",
        ("valid_perplexity", "valid_perplexity_word"),
    ),
    TableSpec(
        "table_a1",
        "Table A.1: alignment of recommenders, cosine at the deepest feedback point",
        "recommendation",
        _ALIGNMENT,
    ),
    TableSpec(
        "table_a2",
        "Table A.2: alignment of graph networks, cosine at the deepest feedback point",
        "geometric",
        _ALIGNMENT,
    ),
    TableSpec(
        "embeddings_citation",
        "Citation networks, hidden layer of the test nodes: silhouette and 1-nearest-neighbour accuracy (%)",
        "geometric",
        ("silhouette", "knn_accuracy"),
        shown=False,
    ),
    TableSpec(
        "table_a3",
        "Table A.3: click-through rate prediction, shallow training",
        "recommendation",
        ("auc", "log_loss"),
        methods=_SHALLOW,
    ),
    TableSpec(
        "table_a4",
        "Table A.4: citation networks, shallow training, test accuracy (%)",
        "geometric",
        ("accuracy",),
        methods=_SHALLOW,
        shown=False,
    ),
    TableSpec(
        "table_a5",
        "Table A.5: view synthesis by scene, PSNR on the test views (dB)",
        "neural_view_synthesis",
        ("psnr",),
        shown=False,
    ),
    TableSpec(
        "ssim_view_synthesis",
        "View synthesis by scene, SSIM on the test views",
        "neural_view_synthesis",
        ("ssim",),
        shown=False,
    ),
    TableSpec(
        "alignment_view_synthesis",
        "Alignment of radiance fields, cosine at the first layer of the coarse field",
        "neural_view_synthesis",
        _ALIGNMENT,
        shown=False,
    ),
    TableSpec(
        "alignment_language",
        "Alignment of Transformers, cosine at the first block's first feedback point",
        "language",
        _ALIGNMENT,
        shown=False,
    ),
)


def is_tuned(domain: str) -> bool:
    """Whether it is that of tasks with the settings of a search, which are no rows of the shipped tasks' tables."""
    return domain.startswith(TUNED)


def title(name: str) -> str:
    """How ``name`` (an architecture, a dataset, a scene, a domain) reads in a table."""
    if is_tuned(name):
        return f"{title(name.removeprefix(TUNED))} (tuned)"
    dataset, slash, scene = name.partition("/")
    return TITLES.get(dataset, dataset) + (f" {scene}" if slash else "")


def network(domain: str, architecture: str) -> str:
    """How an architecture of ``domain`` reads: that of a searched task is told apart from the shipped one."""
    return title(f"{TUNED}{architecture.removeprefix(TUNED)}" if is_tuned(domain) else architecture)


def method_order(method: str) -> tuple[int, str]:
    """Sort key: the paper's methods first, others by name."""
    return (METHODS.index(method) if method in METHODS else len(METHODS), method)
