"""Try every mutant: ``python -m tests.mutants [method …]`` prints those that no test catches, and the count.

A mutant lives in a copy of `dfa_core` beside links to the rest of the tree, where the tests of the methods run until
one fails. Nothing in the checkout is changed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests import REPOSITORY
from tests.mutants.mutants import MUTANTS, Mutant

TESTS = (
    "tests/engine/methods",
    "tests/engine/passes",
    "tests/engine/weights",
    "tests/engine/test_formula.py",
    "tests/engine/test_misuse.py",
)
_LINKED = ("benchmarks", "datasets", "conf", "examples", "tests", "pyproject.toml")


def survives(mutant: Mutant | None) -> bool:
    """Whether all tests pass with the mutant in place; None: with `dfa_core` as it is.

    Raises:
        ValueError: the right version does not stand in the module, once.
    """
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for name in _LINKED:
            (tree / name).symlink_to(REPOSITORY / name)
        shutil.copytree(REPOSITORY / "dfa_core", tree / "dfa_core", ignore=shutil.ignore_patterns("__pycache__"))
        if mutant is not None:
            _put_in(mutant, tree)
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--show-capture=no", *TESTS]
        environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
        if done.returncode not in (0, 1):
            what = "no mutant" if mutant is None else f"{mutant.module}: {mutant.what}"
            raise ValueError(f"{what}: the tests did not run:\n{done.stdout}{done.stderr}")
        return done.returncode == 0


def _put_in(mutant: Mutant, tree: Path) -> None:
    path = tree / "dfa_core" / f"{mutant.module}.py"
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.right) != 1:
        raise ValueError(f"{mutant.module}: {text.count(mutant.right)} times in it: {mutant.right}")
    path.write_text(text.replace(mutant.right, mutant.wrong), encoding="utf-8")


def main(methods: Sequence[str]) -> int:
    """Try the mutants of some methods, or all; returns the number of survivors.

    Raises:
        ValueError: the tests fail without a mutant, so that every mutant would pass for caught.
    """
    if not survives(None):
        raise ValueError("the tests fail with dfa_core as it is; make them pass first")
    chosen = [mutant for mutant in MUTANTS if not methods or mutant.method in methods]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        alive = [mutant for mutant, lives in zip(chosen, pool.map(survives, chosen), strict=True) if lives]
    for mutant in alive:
        sys.stdout.write(f"survives: {mutant.method}: {mutant.what} ({mutant.module})\n")
    caught = len(chosen) - len(alive)
    sys.stdout.write(f"{caught} of {len(chosen)} mutants of {len({m.method for m in chosen})} methods are caught\n")
    return len(alive)


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
