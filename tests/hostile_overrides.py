"""Mutated command lines for `run` and `sweep`: whatever is typed, it plans, or it ends in one line and exit code 2.

Nothing is trained: a line is checked and planned as the commands do it before they start. `python -m tests.hostile
--count 1000` runs it at length, `tests/test_harness_hostile.py` a little of it.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from benchmarks import flags, guard, sweep
from benchmarks import run as run_command
from benchmarks.compose import compose, load_plugins, options
from benchmarks.overrides import combinations, flat, with_list_of_plugins
from benchmarks.plan import plan
from benchmarks.runs import Run

#: Seconds that one line may take; composing takes a part of one, on a crowded machine two.
PATIENCE = 60.0
#: One task of each domain.
TASKS = ("citation/gcn_cora", "criteo/deepfm", "nerf_synthetic/lego", "wikitext2/macro")
ODD = (
    "", "0", "-1", "1", "2", "1e300", "1e-300", "nan", "inf", "-inf", "1e999", str(10**18), "9" * 400, "-" + "9" * 30,
    "null", "true", "off", "none", "''", '""', "' '", "[]", "{}", "[1,2]", "[[[[1]]]]", "{a:1}", "{a:{b:[1,{c:2}]}}",
    "'a b'", '"a', "'a", "a'b", "[", "]", "(", "{", "}", "\\", "\\'", "=", "==", ",", ",,", "a,b", "a=b", "~", "+",
    "${seed}", "${results}", "${oc.env:HOME}", "${oc.env:NOPE}", "${oc.decode:'['}", "${by_method:{bp:1}}",
    "${by_profile:3}", "${task}", "${..model}", "${", "${}", "${a.b.c}", "${oc.create:{a:1}}", "${hydra:runtime.cwd}",
    "range(3)", "range(0,10,0)", "range(10**9)", "range(1000000000)", "range(0,1,1e-9)", "shuffle(range(999999999))",
    "interval(0,1)", "choice(1,2)", "choice()", "glob(*)", "glob(citation/*)", "glob([a,b],exclude=c)", "sort(3,1,2)",
    "int(3.5)", "float('x')", "str([1])", "json_str([1])", "extend_list(1)", "tag(a,1)", "../../x", "/etc/passwd",
    "a/b/c/d", "con", ".", "..", "-", "--help", "é", "日本", "\u202e", "\x00", "\x1b[31m", "\n", "a\nb", "\t", "\ud800",
    "１", "²", "٣", "1_000", "0x10", "1e3", "1.0", "x" * 300, "[" * 40, "((((((((1))))))))", "[[[[[[[[[[1]]]]]]]]]]",
)  # fmt: skip
KEYS = (
    "task", "method", "profile", "hardware", "logger", "seed", "feedback_seed", "data", "alignment", "results",
    "plugins", "hydra.run.dir", "hydra.sweep.dir", "hydra.nope", "hydra/launcher", "hydra", "task.skip.dfa",
    "task.skip", "tasks", "methods",
    "task.method_names.others", "task.method_names", "task.model", "task.optim", "task@x", "task.nope", "nope", "",
    "task.", ".task", "task..optim", "task.optim.betas[0]", "task.optim.betas", "é", "a b", "'task'",
    "seeds", "jobs", "profile.seeds", "profile.name", "method.name", "method.scale", "method.code", "logger.project",
)  # fmt: skip
_names: list[str] = []


@dataclass(frozen=True)
class Line:
    """A command line, and whether several runs are asked for (`run -m`)."""

    overrides: list[str]
    multirun: bool


def lines() -> st.SearchStrategy[Line]:
    """Command lines: mostly overrides of a valid form with odd values, some with odd keys, some of no form at all."""
    if not _names:
        for task in TASKS:
            _names.extend(flat(_plain(task)))
    keys = st.one_of(st.sampled_from(sorted(set(_names))), st.sampled_from(KEYS))
    values = st.one_of(
        st.sampled_from(ODD),
        st.integers(-(10**20), 10**20).map(str),
        st.floats().map(str),
        st.text(max_size=20),
        st.lists(st.sampled_from(ODD), min_size=2, max_size=4).map(",".join),
    )
    chosen = st.tuples(keys, values).map("=".join)
    prefixed = st.tuples(st.sampled_from(["", "", "", "+", "++", "~"]), chosen).map("".join)
    anything = st.one_of(prefixed, prefixed, prefixed, st.sampled_from(ODD), st.text(max_size=30))
    base = st.sampled_from(TASKS).map(lambda task: [f"task={task}", "method=dfa", "profile=smoke"])
    more = st.lists(anything, min_size=1, max_size=4)
    return st.builds(lambda b, m, multi: Line([*b, *m], multi), st.one_of(base, base, st.just([])), more, st.booleans())


def _plain(task: str) -> dict[str, object]:
    from omegaconf import OmegaConf

    return OmegaConf.to_container(compose([f"task={task}", "method=dfa", "profile=smoke"]))


def run(count: int) -> list[str]:
    """Try so many lines with both commands; returns what was wrong, a line each."""
    problems: list[str] = []

    @seed(13)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(lines())
    def trial(line: Line) -> None:
        problems.extend(found for command in (_run, _sweep) if (found := problem_of(command, line)))

    with sandbox():
        trial()
    return problems


@contextmanager
def sandbox() -> Iterator[Path]:
    """An empty current folder, with nothing of the user's in the environment."""
    before = Path.cwd()
    kept = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="hostile_") as name:
        inner = Path(name) / "a" / "b"
        inner.mkdir(parents=True)
        os.chdir(inner)
        for variable in ("DFA_DATA_DIR", "DFA_PLUGINS"):
            os.environ.pop(variable, None)
        try:
            yield Path(name)
        finally:
            os.chdir(before)
            os.environ.clear()
            os.environ.update(kept)


def problem_of(command: Callable[[Line], None], line: Line) -> str | None:
    """What is wrong with how ``command`` takes ``line``; None if it plans, or ends in one line and exit code 2."""
    what = f"{command.__name__} {line}".encode("ascii", "backslashreplace").decode()
    started, said = time.monotonic(), _Said()
    before, sys.stderr = sys.stderr, said
    try:
        guard.command(command)(line)
    except SystemExit as end:
        if end.code not in (0, 2):
            return f"{what}: exit code {end.code}"
        if end.code == 2 and said.text.count("\n") != 1:
            return f"{what}: not one line: {said.text!r}"
    except BaseException:  # noqa: BLE001  (this is what is looked for)
        return f"{what}: {traceback.format_exc()}"
    finally:
        sys.stderr = before
        load_plugins([])
    root = Path.cwd().parent.parent
    if written := [path for path in root.rglob("*") if path not in (root / "a", root / "a" / "b")]:
        return f"{what}: wrote {written}"
    if (seconds := time.monotonic() - started) > PATIENCE:
        return f"{what}: took {seconds:.0f} s"
    return None


class _Said:
    """Standard error, kept."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        text.encode("utf-8", "backslashreplace")
        self.text += text

    def flush(self) -> None:
        """Nothing waits."""


def _run(line: Line) -> None:
    """What `benchmarks.run` does before it trains."""
    arguments = [*(["-m"] if line.multirun else []), *map(with_list_of_plugins, line.overrides)]
    given = flags.parse(arguments)
    try:
        overrides = run_command._checked(given)
        for wanted in combinations(overrides, options) if given.multirun else [overrides]:
            Run.plan([o for o in wanted if not o.lstrip("+~").startswith("hydra")]).finished_record()
            break
    except ValueError as error:
        guard.fail(error)


def _sweep(line: Line) -> None:
    """What `benchmarks.sweep` does before it starts workers."""
    singular = {"task": "tasks", "method": "methods", "seed": "seeds"}
    arguments = []
    for text in line.overrides:
        key, equals, value = text.partition("=")
        arguments.append(f"{singular.get(key, key)}{equals}{value}")
    if not any(argument.startswith("tasks=") for argument in arguments):
        arguments.append("tasks=citation/gcn_cora")  # planning all tasks takes a minute
    try:
        asked = sweep.parse(arguments)
        load_plugins(asked.plugins)
        plan(asked.selection, lambda task, reason: None)
    except ValueError as error:
        guard.fail(error)
