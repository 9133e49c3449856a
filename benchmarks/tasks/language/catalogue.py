"""The domain of language modelling: the Transformer under its published recipes, texts, metrics and tables."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from benchmarks.catalogue.domain import Architecture, Domain, TableSpec, Task
from benchmarks.catalogue.metric import ALIGNMENT, LOWER, Metric

_SETTINGS = "benchmarks.tasks.language.config:TransformerConfig"
#: Other published recipes (Table 5): end of the task's name, title, how the note of the paper's number begins.
RECIPES = {
    "noam": ("Transformer, Noam β₂ .98", "baseline"),
    "adam": ("Transformer, Adam β₂ .98", "+ Adam"),
    "beta2": ("Transformer, Adam β₂ .999", "+ beta2"),
}
#: Profiles whose sweeps include the tasks unasked: of the best recipe, of the others.
PROFILES = {"wikitext2": (["smoke", "quick", "long"], ["long"]), "wikitext103": (["paper"], ["paper"])}
_WITHOUT_POINTS = ("bp_recompute", "fa", "sign_symmetry", "kolen_pollack", "mezo")
_PLACED = {
    "bp": "backprop has no placement; see macro",
    "shallow": "the control trains the vocabulary projection under both placements; see macro",
    **{name: "works without feedback points, so it has no placement; see macro" for name in _WITHOUT_POINTS},
}
_NO_CONTROL = {"shallow": "the control has no published recipe of its own; see the task without a suffix"}


def _tasks() -> Iterator[Task]:
    """Every placement under every recipe, on both texts: ``wikitext2/macro``, ``wikitext2/micro_noam``, …"""
    for (text, profiles), placement, recipe in product(PROFILES.items(), ("macro", "micro"), ("", *RECIPES)):
        end = f"_{recipe}" if recipe else ""
        settings: dict[str, Any] = {"profiles": profiles[bool(recipe)], "model": {"placement": placement}}
        if recipe:
            settings["name"] = f"${{.suite}}/${{.model.placement}}{end}"
        if skip := _skipped(placement, recipe):
            settings["skip"] = skip
        yield Task(f"{text}/{placement}{end}", f"transformer{end}", text, settings=settings)


def _skipped(placement: str, recipe: str) -> dict[str, str]:
    if placement == "micro":
        return _PLACED
    published_for_bp = recipe in ("", "noam")
    return {} if not recipe else _NO_CONTROL if published_for_bp else {**_NO_CONTROL, "bp": "published for DFA only"}


def _perplexity(name: str, title: str, short: str = "") -> Metric:
    return Metric(name, title, LOWER, 1, "", 0.01, 0.05, relative=True, logarithmic=True, short=short, minimum=1.0)


DOMAIN = Domain(
    name="language",
    title="language",
    task="benchmarks.tasks.language.config:LanguageConfig",
    builder="benchmarks.tasks.language.modelling:build",
    architectures=(
        Architecture("transformer", "Transformer", _SETTINGS),
        *(
            Architecture(f"transformer_{name}", title, _SETTINGS, recipe_of="transformer", recipe=note)
            for name, (title, note) in RECIPES.items()
        ),
    ),
    datasets={"wikitext103": "WikiText-103", "wikitext2": "WikiText-2"},
    measures=(
        *("valid_perplexity", "valid_perplexity_word", "valid_loss"),
        *("test_perplexity", "test_perplexity_word"),
    ),
    metrics=(
        _perplexity("valid_perplexity", "validation perplexity per token", "per token"),
        _perplexity("valid_perplexity_word", "validation perplexity per word", "per word"),
        _perplexity("test_perplexity", "test perplexity per token"),
        _perplexity("test_perplexity_word", "test perplexity per word"),
        Metric("valid_loss", "validation loss", LOWER, relative=True, minimum=0.0),
    ),
    tasks=tuple(_tasks()),
    tables=(
        TableSpec(
            "table_5",
            "Table 5: language modelling, validation perplexity per token and per word",
            ("valid_perplexity", "valid_perplexity_word"),
        ),
        TableSpec(
            "alignment_language",
            "Alignment of Transformers, cosine at the first block's first feedback point",
            ALIGNMENT,
            shown=False,
        ),
    ),
)
