"""Which settings do not enter a run's hash, and at which value: the one thing that decides it.

The hash of a run leaves out every setting that stands here and has its *neutral* value, whatever the schema's default
is. So a default can be changed: the runs recorded before keep their hash, and the new runs get another one.

To add a setting to the schema or to a shipped method, add one line to `ADDED`, with the value that computes what was
computed before the setting existed. Records made before it then keep their hash. Nothing here is ever edited or
removed, since that would give records the hash of other settings: a line whose setting is gone stays, for the records
that have it. `tests/settings/test_neutral.py` holds every line there ever was, and fails where one is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.catalogue.discovery import architectures

#: Settings that came after the first release: (dataclass of the schema, or method; setting; neutral value).
ADDED: tuple[tuple[str, str, Any], ...] = (
    ("NeRFConfig", "feature_relu", False),
    ("dfa", "rank", 0),
    ("dfa", "density", 1.0),
    ("dfa", "error", "exact"),
    ("dfa", "threshold", 0.1),
    ("dfa", "center", False),
    ("dfa", "noise", 0.0),
    ("dfa", "bits", 0),
    ("OptimConfig", "kind", "adam"),
    ("OptimConfig", "momentum", 0.0),
    ("dfa", "recompute", False),
    ("structural", "recompute", False),
    ("CriteoConfig", "split", "random"),
    ("PerceptronConfig", "mask_signals", False),  # no setting any more
    ("PerceptronConfig", "feedback_below_middle", True),
)

#: Settings of the first release by dataclass of the schema, with the defaults that they had then.
FIRST_RELEASE: Mapping[str, Mapping[str, Any]] = {
    "TaskConfig": {"epochs": None, "steps": None, "eval_every": 1, "patience": None, "alignment_every": 0},
    "OptimConfig": {
        "betas": [0.9, 0.999],
        "eps": 1e-8,
        "weight_decay": 0.0,
        "decay": "all",
        "clip_norm": None,
        "schedule": "constant",
        "schedule_steps": 0,
        "schedule_factor": 1.0,
    },
    "CitationConfig": {"metric": "accuracy", "split": "public", "normalize": True},
    "GCNConfig": {"hidden": 16, "dropout": 0.5},
    "ChebConfig": {"hidden": 16, "order": 2, "dropout": 0.5},
    "SplineConfig": {"hidden": 16, "kernel_size": 2, "dropout": 0.5},
    "GATConfig": {
        "hidden": 8,
        "heads": 8,
        "dropout": 0.6,
        "attention_dropout": 0.6,
        "attention_dropout_out": 0.6,
    },
    "DNAConfig": {
        "hidden": 128,
        "layers": 5,
        "heads": 8,
        "groups": 16,
        "dropout": 0.5,
        "attention_dropout": 0.8,
        "tap": "scores",
    },
    "GAEConfig": {"hidden": 32, "embedding": 16},
    "CriteoConfig": {
        "metric": "auc",
        "rows": None,
        "threshold": 10,
        "split_seed": 0,
        "batch_size": 2048,
        "eval_batch_size": 8192,
        "embedding_update": "sparse",
    },
    "TableConfig": {"embedding": 10},
    "LinearConfig": {"linear_std": 0.0},
    "MLPConfig": {"hidden": 400, "layers": 3, "dropout": 0.0},
    "DeepFMConfig": {"detach": False},
    "DCNConfig": {"cross_layers": 6},
    "AutoIntConfig": {"attention": 32, "attention_layers": 3, "heads": 2},
    "AFNConfig": {"neurons": 1500, "frozen_embeddings": False},
    "ViewSynthesisConfig": {
        "metric": "psnr",
        "rays": 1024,
        "coarse_samples": 64,
        "fine_samples": 128,
        "density_noise": 0.0,
        "downscale": 1,
        "longest_side": None,
        "every_test_view": 1,
        "holdout": 8,
        "llff_factor": 8,
        "valid_views": 2,
        "chunk": 4096,
    },
    "NeRFConfig": {
        "depth": 8,
        "width": 256,
        "skip": 4,
        "position_frequencies": 10,
        "direction_frequencies": 4,
        "density_bias": 0.0,
    },
    "LanguageConfig": {
        "metric": "valid_perplexity",
        "vocabulary": 32_000,
        "lowercase": True,
        "end_of_line": "keep",
        "unknown": "token",
        "streams": 64,
        "eval_batch": 32,
        "eval_stride": None,
    },
    "TransformerConfig": {
        "layers": 6,
        "width": 512,
        "heads": 8,
        "hidden": 2048,
        "context": 128,
        "dropout": 0.1,
        "attention_dropout": 0.1,
        "norm": "post",
        "tied": False,
        "placement": "macro",
        "tap": "before",
        "top": "feedback",
    },
}


def without_neutral(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The determining settings of a run, as in its record, without those that have their neutral value."""
    task, method = settings["task"], settings["method"]
    architecture = architectures()[task["architecture"]]
    kept = _kept(task, _neutral_of(architecture.task_config))
    kept["optim"] = _kept(task["optim"], _neutral("OptimConfig"))
    kept["model"] = _kept(task["model"], _neutral_of(architecture.model_config))
    return {**settings, "task": kept, "method": _kept(method, _neutral(method["name"]))}


def with_neutral(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The determining settings of a run, with those that its record does not have yet: the values that it ran with."""
    task, method = settings["task"], settings["method"]
    architecture = architectures()[task["architecture"]]
    whole = {**_neutral_of(architecture.task_config), **task}
    whole["optim"] = {**_neutral("OptimConfig"), **task["optim"]}
    whole["model"] = {**_neutral_of(architecture.model_config), **task["model"]}
    return {**settings, "task": whole, "method": {**_neutral(method["name"]), **method}}


def _neutral_of(schema: type) -> dict[str, Any]:
    """Neutral values of a dataclass, those of its bases included."""
    found: dict[str, Any] = {}
    for base in reversed(schema.__mro__):
        found |= _neutral(base.__name__)
    return found


def _neutral(owner: str) -> dict[str, Any]:
    return {**FIRST_RELEASE.get(owner, {}), **{key: value for name, key, value in ADDED if name == owner}}


def _kept(values: Mapping[str, Any], neutral: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in neutral or neutral[key] != value}
