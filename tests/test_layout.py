"""The layout's contract: which wing may import which, and no circle of imports anywhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import REPOSITORY

PACKAGES = ("benchmarks", "datasets", "dfa_core")

#: What each wing may import, besides itself, `dfa_core`, and what those that it may import may.
MAY_KNOW = {
    "benchmarks.terminal": (),
    "benchmarks.catalogue": (),
    "benchmarks.records": ("benchmarks.terminal", "benchmarks.catalogue"),
    "benchmarks.settings": ("benchmarks.terminal", "benchmarks.catalogue"),
    "benchmarks.statistics": ("benchmarks.records",),
    "benchmarks.wandb_logging": ("benchmarks.records",),
    "benchmarks.tasks": ("benchmarks.settings", "datasets"),
    "benchmarks.tables": ("benchmarks.statistics", "benchmarks.records", "benchmarks.settings"),
    "benchmarks.compare": ("benchmarks.statistics", "benchmarks.records"),
    "benchmarks.training": ("benchmarks.tasks", "benchmarks.wandb_logging"),
    "benchmarks.workers": ("benchmarks.training",),
    "benchmarks.curves": ("benchmarks.tables",),
    "benchmarks.embeddings": ("benchmarks.tables", "benchmarks.tasks"),
    "benchmarks.report": ("benchmarks.curves", "benchmarks.embeddings"),
    "benchmarks.history": ("benchmarks.curves", "benchmarks.compare"),
    "benchmarks.render": ("benchmarks.training",),
    "benchmarks.speed": ("benchmarks.workers", "benchmarks.curves"),
    "benchmarks.gpu_check": ("benchmarks.speed", "benchmarks.conformance"),
    "benchmarks.conformance": ("benchmarks.workers",),
    "benchmarks.submit": ("benchmarks.workers", "benchmarks.statistics"),
    "benchmarks.tune": ("benchmarks.workers", "benchmarks.tables"),
    "benchmarks.studies": ("benchmarks.workers", "benchmarks.curves"),
    "datasets.core": (),
    "datasets.fetch": ("datasets.core",),
    "datasets.pickles": ("datasets.core",),
    "datasets.planetoid": ("datasets.pickles",),
    "datasets.images": ("datasets.pickles",),
    "datasets.criteo": ("datasets.core",),
    "datasets.scenes": ("datasets.core",),
    "datasets.wikitext": ("datasets.core",),
}
#: Commands, which may import everything and are imported by nobody.
COMMANDS = {f"benchmarks.{name}" for name in ("baseline", "data", "evidence", "run", "sweep")}
#: Imports that break the contract; one that is gone must leave this list.
EXCEPTIONS = {
    ("benchmarks.tables.wandb", "benchmarks.wandb_logging.connection"),  # it opens the run that the tables go to
    ("benchmarks.tasks.hidden_layer.file", "benchmarks.records.inputs"),  # a bad file is named as a record is
    ("benchmarks.records.locks", "datasets.core.sole_writer"),  # one lock for caches and for results
}


def modules() -> dict[str, Path]:
    """All modules of the repository's packages, by their dotted name."""
    paths = [path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py")]
    return {".".join(p.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): p for p in paths}


def imports(text: str, known: set[str]) -> set[str]:
    """The modules that a module's text imports: at its top, within functions, and for annotations alone."""
    return {name for node in ast.walk(ast.parse(text)) for name in _imported(node, known)} & known


def _imported(node: ast.AST, known: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        submodules = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name for name in submodules if name in known)
        if not all(name in known for name in submodules):
            yield node.module or ""


def wing_of(module: str) -> str:
    """The package of `MAY_KNOW` that a module lies in; `dfa_core`; else its own name."""
    parts = module.split(".")
    wing = ".".join(parts[:2])
    return parts[0] if parts[0] == "dfa_core" else wing


def allowed(wing: str) -> set[str]:
    """All wings that a wing may import, those of its own knowledge included."""
    found = {wing, "dfa_core"}
    for known in MAY_KNOW[wing]:
        if known == "datasets":
            found |= {"datasets.registry", *(name for name in MAY_KNOW if name.startswith("datasets."))}
        else:
            found |= allowed(known)
    return found


def breaches(graph: dict[str, set[str]]) -> set[tuple[str, str]]:
    """The imports of a graph, module → modules it imports, that the contract does not allow."""
    found = set()
    for module, imported in graph.items():
        wing = wing_of(module)
        if wing in MAY_KNOW:
            found |= {(module, name) for name in imported if wing_of(name) not in allowed(wing)}
        elif wing == "dfa_core":
            found |= {(module, name) for name in imported if wing_of(name) != "dfa_core"}
        elif module == "datasets.registry":
            found |= {(module, name) for name in imported if not name.startswith("datasets.")}
        if wing not in COMMANDS:
            found |= {(module, name) for name in imported if name in COMMANDS}
    return found


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The modules of one circle of imports, in their order; empty if there is none."""
    done: set[str] = set()

    def search(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for name in sorted(graph[module]):
            if found := search(name, [*path, module]):
                return found
        done.add(module)
        return []

    return next((found for module in sorted(graph) if (found := search(module, []))), [])


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    """Every module of the repository, with the modules that it imports."""
    known = modules()
    return {name: imports(path.read_text(encoding="utf-8"), set(known)) - {name} for name, path in known.items()}


def test_every_module_has_its_place(graph: dict[str, set[str]]) -> None:
    """Without it a new folder would stand outside of the contract, and a module in `benchmarks/` outside of a wing."""
    free = {"benchmarks", "datasets", "datasets.registry", "dfa_core", *COMMANDS}
    assert {wing_of(module) for module in graph} - set(MAY_KNOW) - free == set()
    assert set(MAY_KNOW) <= set(graph)


def test_wings_import_what_they_may(graph: dict[str, set[str]]) -> None:
    """Without it knowledge would flow upwards again, import by import, and nobody would notice."""
    found = breaches(graph)
    unexpected = [f"{module} may not import {name}" for module, name in sorted(found - EXCEPTIONS)]
    assert not unexpected, "; ".join(unexpected)
    assert not EXCEPTIONS - found, f"no longer there, take out of EXCEPTIONS: {sorted(EXCEPTIONS - found)}"


def test_no_circle(graph: dict[str, set[str]]) -> None:
    """Without it two modules could need each other, and neither be read, tested or moved alone."""
    assert " → ".join(circle(graph)) == ""


def test_the_wings_have_seven_levels_at_most(graph: dict[str, set[str]]) -> None:
    """Without it the way from a command down to what everybody knows would grow until nobody can follow it."""
    wings: dict[str, set[str]] = {}
    for module, names in graph.items():
        wings.setdefault(wing_of(module), set()).update(wing_of(name) for name in names)

    def level(wing: str) -> int:
        below = {name for name in wings[wing] - {wing} if name.startswith("benchmarks")}
        return 1 + max(map(level, below), default=0)

    assert max(level(wing) for wing in wings if wing.startswith("benchmarks")) <= 7


def test_no_folder_holds_more_than_twenty_modules() -> None:
    """Without it the folders would fill up again until nothing in them is found by its name."""
    paths = [path for package in (*PACKAGES, "tests") for path in (REPOSITORY / package).rglob("*.py")]
    sizes = {folder: sum(path.parent == folder for path in paths) for folder in {path.parent for path in paths}}
    crowded = [f"{folder.relative_to(REPOSITORY)} {size}" for folder, size in sizes.items() if size > 20]
    assert not crowded, ", ".join(sorted(crowded))


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("benchmarks.records.record", "benchmarks.settings.compose"),
        ("benchmarks.tasks.criteo.fm", "benchmarks.training.loop"),
        ("benchmarks.tables.build", "benchmarks.sweep"),
        ("datasets.core.source", "datasets.registry"),
        ("dfa_core.marks", "benchmarks.terminal.guard"),
    ],
)
def test_a_forbidden_import_is_found(graph: dict[str, set[str]], module: str, imported: str) -> None:
    """Without it the contract could pass because it reads nothing."""
    assert (module, imported) in breaches(graph | {module: graph[module] | {imported}})


def test_a_circle_is_found() -> None:
    """Without it the search for circles could pass because it finds none, ever."""
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["b", "c", "b"]


def test_imports_are_read_wherever_they_stand() -> None:
    """Without it an import within a function, or of a submodule by its package, would not count."""
    known = {"datasets", "datasets.core", "datasets.core.files", "datasets.core.errors"}
    text = "import os\ndef f():\n    from datasets.core import files\nfrom datasets.core.errors import DataError\n"
    assert imports(text, known) == {"datasets.core.files", "datasets.core.errors"}
