"""Click prediction without a network: what the rows of a dataset allow.

A recommender that is no better than a logistic regression has not shown that it can be trained, and where boosted trees
are much better the rows hold more than it has learned. Both are scikit-learn's, on the encoded rows and the splits that
the recommenders have: the published random one, and the one by days.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import TargetEncoder

from benchmarks.studies.study import Computation, Conclusion, Findings, Json, Measured, Sheet, Study, measured
from benchmarks.studies.verdicts import above, single, text
from benchmarks.tables.claims import Claim
from datasets.criteo.format import FIELDS, N_INTEGERS
from datasets.criteo.load import CriteoData, Preprocessing, load_criteo
from datasets.registry import resolve

_DATASET = "criteo_137k"
_SPLITS = {"random": "random, 80/10/10", "days": "by days: 5, 1, 1"}
_MODELS = {"logistic": "logistic regression", "trees": "boosted trees"}
#: Inverse strengths of the penalty, among which validation chooses.
_PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3)
_ROUNDS = 400
_SEEDS = {"smoke": 1, "quick": 2, "long": 5, "paper": 5}
#: The rows: what is computed must not depend on which data lie on a machine, and a stand-in has no place beside Criteo.
_DATA = {"smoke": "standin", "quick": "standin", "long": "real", "paper": "real"}
_THRESHOLD = 10


def anchor(model: str, split: str, seed: int, data: str, profile: str, threshold: int) -> Json:
    """AUC and log loss on the test rows, and the kind of data.

    Args:
        model: ``logistic`` or ``trees``.
        split: ``random`` or ``days``.
        seed: of the trees' encoding; the other model draws nothing.
        data, profile: as of `datasets.registry.resolve`.
        threshold: as of `Preprocessing`.

    Raises:
        DataError: the real rows are not there.
    """
    source = resolve(_DATASET, data, profile)
    rows = load_criteo(source, Preprocessing(threshold))
    parts = rows.split_by_days() if split == "days" else rows.split(seed=0)
    train, valid, test = (part.numpy() for part in parts)
    labels = rows.labels.numpy()
    predicted = _logistic(rows, train, valid, test) if model == "logistic" else _trees(rows, train, valid, test, seed)
    return {
        "auc": float(roc_auc_score(labels[test], predicted)),
        "log_loss": float(log_loss(labels[test], predicted)),
        "data": source.kind,
    }


def _logistic(data: CriteoData, train: np.ndarray, valid: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Clicks' probabilities by a logistic regression on one-hot fields, its penalty chosen on validation."""
    ids, labels = data.feature_ids.numpy(), data.labels.numpy()
    ends = np.arange(0, ids.size + 1, FIELDS)
    shape = (len(ids), sum(data.field_sizes))
    one_hot = csr_matrix((np.ones(ids.size, dtype=np.float32), ids.reshape(-1), ends), shape)
    fitted = [LogisticRegression(C=c, solver="liblinear").fit(one_hot[train], labels[train]) for c in _PENALTIES]
    best = max(fitted, key=lambda one: roc_auc_score(labels[valid], one.predict_proba(one_hot[valid])[:, 1]))
    return np.asarray(best.predict_proba(one_hot[test])[:, 1])


def _trees(data: CriteoData, train: np.ndarray, valid: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """Clicks' probabilities by boosted trees on integers and target-encoded categories, stopped by validation."""
    ids, labels = data.feature_ids.numpy(), data.labels.numpy()
    categories = list(range(N_INTEGERS, FIELDS))
    encoder = ColumnTransformer([("categories", TargetEncoder(), categories)], remainder="passthrough")
    trees = HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=_ROUNDS, early_stopping=False, random_state=seed
    )
    np.random.seed(seed)  # of the encoder's folds: how it is told differs between versions of scikit-learn
    Pipeline([("encode", encoder), ("trees", trees)]).fit(ids[train], labels[train])
    stages = trees.staged_predict_proba(encoder.transform(ids[valid]))
    aucs = [roc_auc_score(labels[valid], stage[:, 1]) for stage in stages]
    stages = trees.staged_predict_proba(encoder.transform(ids[test]))
    return np.asarray(next(islice(stages, int(np.argmax(aucs)), None))[:, 1])


def _computations(profile: str) -> Sequence[Computation]:
    shared = {"data": _DATA[profile], "profile": profile, "threshold": _THRESHOLD}
    return [
        Computation(_name(model, split, seed), 1, {"model": model, "split": split, "seed": seed, **shared}, anchor)
        for split in _SPLITS
        for model in _MODELS
        for seed in range(_SEEDS[profile] if model == "trees" else 1)  # the other draws nothing
    ]


def _name(model: str, split: str, seed: int) -> str:
    return f"{model}-{split}-{seed}"


def _values(findings: Findings, model: str, split: str, metric: str) -> Measured:
    found = [result[metric] for name, result in findings.computed.items() if name.startswith(f"{model}-{split}-")]
    return single(found[0]) if len(found) == 1 else measured(found, findings.study)


def _conclude(findings: Findings) -> Conclusion:
    return Conclusion(list(_claims(findings)), [_sheet(findings)])


def _claims(findings: Findings) -> Iterator[Claim]:
    for split, title in _SPLITS.items():
        trees, logistic = (_values(findings, model, split, "auc") for model in ("trees", "logistic"))
        mean, low, high = (value - logistic.mean for value in trees[:3])
        gained = Measured(mean, low, high, trees.n)
        claim = findings.claim(
            f"the rows hold more than a linear model finds ({title})",
            "AUC, boosted trees − logistic regression",
            gained,
            "> 0",
            above(gained, 0),
        )
        yield replace(claim, data=_kinds_of_data(findings))


def _kinds_of_data(findings: Findings) -> str:
    return ", ".join(sorted({result["data"] for result in findings.computed.values()}))


def _sheet(findings: Findings) -> Sheet:
    rows = [
        [title, name, *(text(_values(findings, model, split, metric), 4) for metric in ("auc", "log_loss"))]
        for split, title in _SPLITS.items()
        for model, name in _MODELS.items()
    ]
    return Sheet(
        "anchors",
        f"Criteo, 137,139 rows ({_kinds_of_data(findings) or 'none yet'}): what models without feedback points reach",
        ["split", "model", "AUC", "log loss"],
        rows,
        [f"values seen fewer than {_THRESHOLD} times in their field are one; penalty and rounds chosen on validation"],
    )


STUDY = Study(
    "click_anchors",
    "Click prediction without a network: what the rows allow",
    "ours",
    _conclude,
    computations=_computations,
    order=90,
)
