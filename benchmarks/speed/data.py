"""Data that are generated for a measurement: a step takes as long on them as on the real ones of that size."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, cast

import numpy as np
import torch

from benchmarks.tasks.criteo.click_prediction import ClickPrediction
from benchmarks.tasks.language.modelling import LanguageModelling
from benchmarks.tasks.task import Task
from benchmarks.tasks.view_synthesis.reconstruction import Reconstruction
from datasets.criteo.load import CriteoData
from datasets.scenes.cameras import Intrinsics
from datasets.scenes.types import Scene, Views
from datasets.wikitext.load import WikiText
from datasets.wikitext.tokenizer import WordTokenizer

#: Values of each field of Criteo's whole file at a threshold of 10: 1,086,810 in all.
FIELD_SIZES = (
    *(49, 101, 126, 45, 223, 118, 84, 76, 95, 9, 30, 40, 75),
    *(1458, 555, 193949, 138801, 306, 19, 11970, 634, 4, 42646, 5178, 192773, 3175),
    *(27, 11422, 181075, 11, 4654, 2032, 5, 189657, 18, 16, 59697, 86, 45571),
)
_ROWS = 100_000
_WINDOWS = 4  # of text in every stream
_VIEWS, _SIDE, _FOCAL = 20, 100, 139.0  # the field of view of NeRF-Synthetic
_DISTANCE = 4.0  # of the cameras from the origin


@cache
def clicks() -> CriteoData:
    """Rows of Criteo's 39 fields. The value of rank r of a field has a probability of about 1 / r."""
    rng = np.random.default_rng(0)
    offsets = np.cumsum((0, *FIELD_SIZES[:-1]))
    ranks = np.exp(rng.random((_ROWS, len(FIELD_SIZES))) * np.log(FIELD_SIZES)).astype(np.int64)
    rows = (np.minimum(ranks, FIELD_SIZES) - 1 + offsets).astype(np.int32)
    labels = (rng.random(_ROWS) < 0.25).astype(np.uint8)
    return CriteoData(torch.from_numpy(rows), torch.from_numpy(labels), FIELD_SIZES)


def text(streams: int, context: int, vocabulary: int) -> WikiText:
    """Random tokens, some windows for each stream."""
    generator = torch.Generator().manual_seed(0)
    lengths = {"train": streams * (_WINDOWS * context + 1), "valid": context + 1, "test": context + 1}
    splits = {split: torch.randint(vocabulary, (length,), generator=generator) for split, length in lengths.items()}
    return WikiText(
        **splits,
        vocabulary=vocabulary,
        tokens=lengths,
        words=lengths,
        floors=None,
        tokenizer=cast(WordTokenizer, None),
    )


@cache
def scene() -> Scene:
    """Views of noise, all from one camera that looks at the origin."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (_VIEWS, _SIDE, _SIDE, 4), generator=generator, dtype=torch.uint8)
    pose = torch.eye(3, 4)
    pose[2, 3] = _DISTANCE
    views = Views(images, pose.expand(_VIEWS, 3, 4).clone(), tuple(map(str, range(_VIEWS))))
    camera = Intrinsics(_FOCAL, _FOCAL, _SIDE / 2, _SIDE / 2, _SIDE, _SIDE)
    bounds = (_DISTANCE - 2, _DISTANCE + 2)
    return Scene(views, views, views, camera, *bounds, ndc=False, white_background=True, depths=bounds)


def _language(settings: Any) -> Task:
    words = text(settings.streams, settings.model["context"], settings.vocabulary)
    return LanguageModelling(settings, words, seed=0)


#: How a domain's task is built on generated data; by the domain's name in the catalogue.
GENERATED: dict[str, Callable[[Any], Task]] = {
    "recommendation": lambda settings: ClickPrediction(settings, clicks(), seed=0),
    "language": _language,
    "view_synthesis": lambda settings: Reconstruction(settings, scene(), seed=0),
}
