"""The domain of click prediction: its recommenders, Criteo's data, metrics and tables."""

from __future__ import annotations

from benchmarks.catalogue.domain import Architecture, Domain, TableSpec, Task
from benchmarks.catalogue.metric import ALIGNMENT, LOWER, Metric

_CONFIG = "benchmarks.tasks.criteo.config"

ARCHITECTURES = (
    Architecture(
        "fm",
        "FM",
        f"{_CONFIG}:FMConfig",
        "benchmarks.tasks.criteo.fm:FM",
        skip={
            "dfa": "no hidden layer that could receive feedback",
            "shallow": "no hidden layer that could be left untrained",
            "others": "no hidden layer that could receive feedback",
        },
    ),
    Architecture("deepfm", "DeepFM", f"{_CONFIG}:DeepFMConfig", "benchmarks.tasks.criteo.deepfm:DeepFM"),
    Architecture("dcn", "DCN", f"{_CONFIG}:DCNConfig", "benchmarks.tasks.criteo.dcn:DCN"),
    Architecture("autoint", "AutoInt", f"{_CONFIG}:AutoIntConfig", "benchmarks.tasks.criteo.autoint:AutoInt"),
    Architecture(
        "afn",
        "AFN",
        f"{_CONFIG}:AFNConfig",
        "benchmarks.tasks.criteo.afn:AFN",
        loss_tolerance=1e-2,  # exponentials of sums of logarithms amplify rounding more than anything else here
    ),
)

#: On few rows of real data, the settings as published: profile long takes those of paper.
_PUBLISHED = {"profiles": ["long"], "rows": None, "threshold": 10}

DOMAIN = Domain(
    name="recommendation",
    title="recommendation",
    task=f"{_CONFIG}:CriteoConfig",
    builder="benchmarks.tasks.criteo.click_prediction:build",
    architectures=ARCHITECTURES,
    skip={"structural": "no fixed linear map leads from a feedback point to the logit"},
    datasets={
        "criteo": "Criteo",
        "criteo_137k": "Criteo, 137,139 rows of seven days",
        "criteo_10k": "Criteo, first 10,000 rows",
    },
    samples={"criteo": ("criteo_137k", "criteo_10k")},
    measures=("auc", "log_loss", "valid_auc", "valid_log_loss"),
    example="criteo/dcn",
    metrics=(Metric("log_loss", "log loss", LOWER, min_effect=0.002, rerun_tolerance=0.01, minimum=0.0),),
    tasks=(
        *(Task(f"criteo/{one.name}", one.name, "criteo") for one in ARCHITECTURES),
        *(Task(f"criteo_137k/{one.name}", one.name, "criteo_137k", settings=_PUBLISHED) for one in ARCHITECTURES),
    ),
    tables=(
        TableSpec(
            "table_2",
            "Table 2: click-through rate prediction, AUC and log loss on the test split",
            ("auc", "log_loss"),
            without=("shallow",),
        ),
        TableSpec("table_a1", "Table A.1: alignment of recommenders, cosine at the deepest feedback point", ALIGNMENT),
        TableSpec(
            "table_a3",
            "Table A.3: click-through rate prediction, shallow training",
            ("auc", "log_loss"),
            methods=("shallow",),
        ),
    ),
)
