"""Every package that is imported is declared in pyproject.toml."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest

from tests import REPOSITORY

OURS = {"benchmarks", "datasets", "dfa_core", "examples", "tests"}
#: Folders, and the extras that may be installed where their code runs.
GROUPS = {
    "engine": (("dfa_core",), ()),
    "benchmarks": (("benchmarks", "datasets"), ("bench", "peers")),
    "tests": (("tests", "examples"), ("bench", "dev", "integrations")),
}


#: Distributions whose packages have other names, where they are not installed.
ELSEWHERE = {"nerf": ["nerf-pytorch"]}


def normal(name: str) -> str:
    """A distribution's name as indexes compare it, without version or extras."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", name)[0]).lower()


def imported(folder: str) -> set[str]:
    """The packages of others that a folder's modules import, within functions too."""
    found: set[str] = set()
    for path in (REPOSITORY / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return found - OURS - set(sys.stdlib_module_names)


@pytest.mark.parametrize("group", GROUPS)
def test_imports_are_declared(group: str) -> None:
    """Without it a package that another one happens to bring would be missing once that one drops it."""
    folders, extras = GROUPS[group]
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stated = [*project["dependencies"], *(line for name in extras for line in project["optional-dependencies"][name])]
    declared = {normal(line) for line in stated}
    known = packages_distributions()
    missing = {
        name
        for folder in folders
        for name in imported(folder)
        if not declared & {normal(each) for each in known.get(name, ELSEWHERE.get(name, [name]))}
    }
    assert not missing, f"not in pyproject.toml: {', '.join(sorted(missing))}"
