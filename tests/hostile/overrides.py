"""Mutated command lines for `run` and `sweep`: whatever is typed, it plans, or it ends in one line and exit code 2.

Nothing is trained: a line is checked and planned as the commands do it before they start.
`python -m tests.hostile --suite overrides --count 1000` tries many.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from benchmarks import run as run_command
from benchmarks.settings import flags
from benchmarks.settings.choices import options
from benchmarks.settings.compose import compose, load_plugins
from benchmarks.settings.overrides import combinations, flat
from benchmarks.settings.quoting import with_list_of_plugins
from benchmarks.terminal import guard
from benchmarks.training.run import Run
from benchmarks.workers import request
from benchmarks.workers.plan import plan

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


class Hostile:
    """The suite, as `tests.hostile` takes it."""

    examples = st.deferred(lines)

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def attempt(self, example: Line) -> str:
        """Try a line with both commands.

        Raises:
            AssertionError: more or less than one line was said, with another exit code, or something was written.
            Anything else: what the commands let pass.
        """
        with _sandbox(self.folder):
            return ", ".join(f"{command.__name__} {_attempted(command, example)}" for command in (run, sweep))


@contextmanager
def _sandbox(folder: Path) -> Iterator[None]:
    """A folder in folders as current one, and nothing of the user's in the environment."""
    before, kept = Path.cwd(), dict(os.environ)
    inner = folder / "a" / "b"
    inner.mkdir(parents=True, exist_ok=True)
    os.chdir(inner)
    for variable in ("DFA_DATA_DIR", "DFA_PLUGINS"):
        os.environ.pop(variable, None)
    try:
        yield
        written = [path for path in folder.rglob("*") if path not in (folder / "a", inner)]
        assert not written, f"wrote {written}"
    finally:
        os.chdir(before)
        os.environ.clear()
        os.environ.update(kept)


def _attempted(command: Callable[[Line], None], line: Line) -> str:
    """Whether ``command`` plans or refuses ``line``."""
    started, said = time.monotonic(), io.StringIO()
    try:
        with redirect_stderr(said):
            guard.command(command)(line)
        outcome = "plans"
    except SystemExit as end:
        assert end.code == 2, f"exit code {end.code}: {said.getvalue()}"
        assert said.getvalue().count("\n") == 1, f"not one line: {said.getvalue()!r}"
        outcome = "refuses"
    seconds = time.monotonic() - started
    assert seconds < PATIENCE, f"took {seconds:.0f} s"
    return outcome


def run(line: Line) -> None:
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


def sweep(line: Line) -> None:
    """What `benchmarks.sweep` does before it starts workers."""
    singular = {"task": "tasks", "method": "methods", "seed": "seeds"}
    arguments = []
    for text in line.overrides:
        key, equals, value = text.partition("=")
        arguments.append(f"{singular.get(key, key)}{equals}{value}")
    if not any(argument.startswith("tasks=") and argument.removeprefix("tasks=").strip(", ") for argument in arguments):
        arguments.append("tasks=citation/gcn_cora")  # planning all tasks takes a minute
    try:
        asked = request.parse(arguments)
        load_plugins(asked.plugins)
        plan(asked.selection, lambda task, reason: None)
    except ValueError as error:
        guard.fail(error)
