"""The configurations of the citation tasks: they compose, and say of themselves what is true."""

from __future__ import annotations

from dataclasses import fields

import pandas as pd
import pytest
from omegaconf import OmegaConf

from benchmarks.catalogue.discovery import architectures, domains
from benchmarks.settings.choices import options
from benchmarks.settings.compose import compose
from benchmarks.settings.conf_files import CONF

METHODS = ("bp", "dfa", "shallow")
REFERENCE = CONF.parent / "results" / "paper" / "reference.csv"
TASKS = [task for task in options("task") if task.startswith("citation/")]  # others than the paper's may come


def papers_tasks() -> list[str]:
    table = pd.read_csv(REFERENCE)
    table = table[(table.domain == "geometric") & table.metric.isin(["accuracy", "auc"])]
    return sorted({f"citation/{row.architecture}_{row.dataset}" for row in table.itertuples()})


PAPER = papers_tasks()

# Published settings that differ by method, from the paper's text and the released code: (bp, dfa).
PUBLISHED = {
    "gcn": {"optim.lr": (0.01, 0.01), "optim.weight_decay": (5e-4, 1e-4), "model.dropout": (0.5, 0.1)},
    "cheb": {"optim.lr": (0.01, 0.01), "optim.weight_decay": (5e-4, 1e-4), "model.dropout": (0.5, 0.0)},
    "spline": {"optim.lr": (0.01, 0.01), "optim.weight_decay": (5e-3, 5e-3), "model.dropout": (0.5, 0.5)},
    "gat": {
        "optim.lr": (0.005, 0.005),
        "optim.weight_decay": (5e-4, 1e-4),
        "model.dropout": (0.6, 0.1),
        "model.attention_dropout": (0.6, 0.6),
        "model.attention_dropout_out": (0.6, 0.0),
    },
    "dna": {
        "optim.lr": (0.005, 0.01),
        "optim.weight_decay": (5e-4, 0.0),
        "model.dropout": (0.5, 0.0),
        "model.attention_dropout": (0.8, 0.0),
    },
    "gae": {"optim.lr": (0.01, 0.01), "optim.weight_decay": (0.0, 0.0)},
}


def published_settings(task: str) -> dict[str, tuple[float, float]]:
    settings = PUBLISHED[task.split("/")[1].split("_")[0]]
    return settings | {"optim.lr": (0.01, 0.02)} if task == "citation/gae_citeseer" else settings


def published_epochs(task: str) -> int:
    return {"citation/gae_citeseer": 200, "citation/gae_cora": 400, "citation/gae_pubmed": 400}.get(task, 250)


@pytest.mark.parametrize("task", PAPER)
def test_settings_are_the_published_ones(task):
    """Without it a slip in one number would be blamed on the method; shallow takes dfa's settings."""
    configs = {method: compose([f"task={task}", f"method={method}", "profile=paper"]).task for method in METHODS}
    for key, (bp, dfa) in published_settings(task).items():
        found = tuple(OmegaConf.select(configs[method], key) for method in METHODS)
        assert found == (bp, dfa, dfa), key
    gat_or_dna = configs["bp"].architecture in ("gat", "dna", "spline", "gae")
    for config in configs.values():
        assert config.epochs == published_epochs(task)
        assert config.optim.decay == ("all" if gat_or_dna else "first_layer")
        assert config.split == ("folds" if config.architecture == "dna" else "public")
        assert config.normalize == (config.architecture not in ("dna", "spline"))
        assert config.metric == ("auc" if config.architecture == "gae" else "accuracy")


@pytest.mark.parametrize("architecture", [one.name for one in domains()["citation"].architectures])
def test_sizes_of_zero_are_refused(architecture):
    """Without it a network without layers would train something else, or end in somebody else's error."""
    config = architectures()[architecture].model_config
    sizes = [field.name for field in fields(config) if isinstance(field.default, int)]
    assert sizes
    for name in sizes:
        with pytest.raises(ValueError, match=rf"task\.model\.{name}=0: must be [12] or more"):
            config(**{name: 0})


def test_every_combination_the_paper_has_is_a_task():
    """Without it a table cell could be missing and nobody would notice."""
    assert set(PAPER) <= set(TASKS) and len(PAPER) == 18
