"""A method of the user's own, in one file, goes everywhere that a method goes; a broken file says what is broken."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import run as run_command
from benchmarks import sweep as sweep_command
from benchmarks.catalogue.methods import entry_for, shipped_methods
from benchmarks.records.record import iterate_records
from benchmarks.settings.choices import options
from benchmarks.settings.compose import compose, load_plugins
from benchmarks.settings.overrides import plugins_named_in
from benchmarks.settings.quoting import with_list_of_plugins
from benchmarks.terminal.guard import Terminated
from benchmarks.training.run import Run
from benchmarks.workers import workload
from dfa_core import make_method, measure_alignment
from tests import REPOSITORY
from tests.helpers.engine_nets import Net
from tests.helpers.trials import Inline

EXAMPLE = REPOSITORY / "examples" / "random_direction.py"
TINY = """
from dfa_core import DFA, register

@register("tiny")
class Tiny(DFA):
    "{comment}"
    def __init__(self, model, *, rank: int{default}, act=print, feedback_seed=0):
        super().__init__(model, feedback_seed=feedback_seed)
"""


@pytest.fixture
def example(own_methods, folder):
    load_plugins([str(EXAMPLE)])


def test_the_example_does_what_it_says(example):
    """Each sample's signal has the error's length and a new direction; otherwise it would be another control."""
    torch.manual_seed(0)
    net = Net(4, 9, 7, 3)
    method = make_method("random_direction", net, scale=2.0)
    activation, error = torch.randn(20, 9), torch.randn(20, 3)
    first = method.signal("points.0", activation, error)
    method.advance()
    second = method.signal("points.0", activation, error)
    torch.testing.assert_close(first.norm(dim=1), 2 * error.norm(dim=1))
    assert first.shape == activation.shape and not torch.allclose(first, second)
    found = measure_alignment(method, lambda: net(torch.randn(4000, 4)).square().mean())
    assert abs(found.deepest.mean()) < 0.05  # random: no alignment with backprop
    assert len(EXAMPLE.read_text().splitlines()) < 45


def test_a_plugin_is_a_choice_like_any_other(example):
    """Its keywords are settings with their types, a typo in it is found, and dfa's published settings apply."""
    assert set(options("method")) == {*shipped_methods(), "random_direction"}
    config = compose(["method=random_direction", "method.scale=0.5", "profile=smoke"])
    assert config.method.scale == 0.5 and config.task.model.dropout == 0.1
    for wrong, said in (
        ("method=random_directon", "did you mean random_direction"),
        ("method.scal=1", "did you mean method.scale"),
        ("method.scale=big", "must be of type float"),
    ):
        with pytest.raises(ValueError, match=said):
            compose(["method=random_direction", wrong] if "=random" not in wrong else [wrong])


def test_a_sweep_puts_the_plugin_into_every_table(command, own_methods, monkeypatch):
    """`make bench-all PLUGINS=…`: the suite itself stays untouched, and the tables have one more column."""
    monkeypatch.setattr(workload, "Pool", Inline)  # workers with a plugin: tests/workers/test_sweep.py
    Inline.done = []
    done = command(sweep_command.main)(
        "profile=smoke", "tasks=citation/gcn_cora", "methods=bp,random_direction", f"plugins=[{EXAMPLE}]",
        "jobs=1", "results=out", "alignment=true",
    )  # fmt: skip
    assert done.code == 0, done
    assert {r.method: r.status for r in iterate_records(Path("out/records"))} == {"bp": "ok", "random_direction": "ok"}
    tables = Path("out/tables")
    with (tables / "all_results.csv").open(newline="") as file:
        methods = {row["method"] for row in csv.DictReader(file) if row["metric"] == "accuracy"}
    assert methods == {"bp", "random_direction"}
    written = [path for path in tables.rglob("*.md") if path.parent != tables]
    assert written and all("random_direction" in path.read_text() for path in written)
    assert "random_direction" in done.out and "\x1b" not in done.out  # plain lines: this is no terminal
    assert "[2/2] citation/gcn_cora random_direction seed 0: accuracy" in done.out
    assert "citation/gcn_cora  " in done.out  # the task's table row


def test_a_plugin_is_named_and_skipped_like_dfa(example):
    """Under one name, two placements would be averaged; on a network without feedback points it would be backprop."""
    named = {
        (task, method): Run.plan([f"task={task}", f"method={method}", "profile=smoke"])
        for task in ("wikitext2/macro", "wikitext2/micro", "criteo/fm", "citation/gcn_cora")
        for method in ("bp", "dfa", "shallow", "random_direction")
    }
    assert [named["wikitext2/micro", method].method for method in ("bp", "dfa", "shallow", "random_direction")] == [
        "bp", "dfa_micro", "shallow", "random_direction_micro"
    ]  # fmt: skip
    assert named["wikitext2/macro", "random_direction"].method == "random_direction_macro"
    assert named["citation/gcn_cora", "random_direction"].method == "random_direction"
    assert "no hidden layer" in entry_for("random_direction", named["criteo/fm", "bp"].config.task.skip)
    assert entry_for("bp", named["criteo/fm", "bp"].config.task.skip) is None


def test_plugins_need_no_brackets():
    """A shell may take them for a pattern of file names; a sweep does without them, too."""
    assert with_list_of_plugins("plugins=a.py,b") == with_list_of_plugins("plugins=[a.py,b]") == "plugins=[a.py,b]"
    assert with_list_of_plugins("task=x") == "task=x"


def test_an_edited_plugin_is_another_configuration(folder, own_methods, monkeypatch):
    """Otherwise the next sweep would take the old code's records for results of the new code."""
    ids = []
    for comment in ("first", "second", "first"):
        Path("tiny.py").write_text(TINY.format(comment=comment, default="=3"))
        with monkeypatch.context() as fresh:  # each time as in a new process
            fresh.setattr("dfa_core.registry._METHODS", {})
            fresh.setattr("benchmarks.settings.plugins._loaded", set())
            load_plugins(["tiny.py"])
            ids.append(Run.plan(["method=tiny", "task=citation/gcn_cora", "profile=smoke"]).id)
    assert ids[0] == ids[2] != ids[1]


def test_a_plugin_has_the_settings_of_the_method_that_it_is_like(folder, own_methods):
    """Without it every plugin would train with dfa's rates, whatever its decorator says."""
    for name, like in (("through_the_graph", "bp"), ("like_fa", "fa")):  # fa is like bp
        text = TINY.replace('"tiny"', f'"{name}", like="{like}"').replace("Tiny", name).format(comment="", default="=3")
        Path(f"{name}.py").write_text(text)
        load_plugins([f"{name}.py"])
        found, backprop = (compose([f"method={method}", "task=citation/dna_cora"]).task for method in (name, "bp"))
        assert found == backprop != compose(["method=dfa", "task=citation/dna_cora"]).task


@pytest.mark.parametrize("edited", ["mine/impl.py", "helper.py", "mine/__init__.py"])
def test_an_edited_package_is_another_configuration(edited, folder, own_methods, monkeypatch):
    """The class may lie in another file than the one that is named."""
    Path("mine").mkdir()
    Path("helper.py").write_text("from dfa_core import DFA\nclass Base(DFA):\n    pass\n")
    Path("mine/__init__.py").write_text("from mine.impl import Impl\n")
    text = "from dfa_core import register\nfrom helper import Base\n@register('impl')\nclass Impl(Base):\n    pass\n"
    Path("mine/impl.py").write_text(text)
    codes = []
    for _ in range(2):
        with monkeypatch.context() as fresh:  # each time as in a new process
            fresh.syspath_prepend(".")
            fresh.setattr("dfa_core.registry._METHODS", {})
            fresh.setattr("benchmarks.settings.plugins._loaded", set())
            load_plugins(["mine"])
            codes.append(compose(["method=impl"]).method.code)
        for name in ("mine", "mine.impl", "helper"):
            sys.modules.pop(name)
        Path(edited).write_text(Path(edited).read_text() + "# edited\n")
    assert codes[0] != codes[1]


def test_a_keyword_without_default_has_to_be_given(folder, own_methods):
    """It must neither be lost nor reach the constructor as OmegaConf's `???`; unsuitable defaults stay in the class."""
    Path("tiny.py").write_text(TINY.format(comment="", default=""))
    load_plugins(["tiny.py"])
    with pytest.raises(ValueError, match=r"method.rank: needs a value; give method.rank=\.\.\."):
        compose(["method=tiny"])
    settings = compose(["method=tiny", "method.rank=4"]).method
    assert dict(settings) == {"name": "tiny", "rank": 4, "code": settings.code}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "plugin mine.py: no such file"),
        ("x = 1\n", "plugin mine.py registers no method: decorate a class with @dfa_core.register(name)"),
        ("x = 1\ndef broken(:\n", "plugin mine.py: line 2: invalid syntax"),
        ("x = 1\n\nx / 0\n", "plugin mine.py: line 3: ZeroDivisionError: division by zero"),
        ("import no_such_thing\n", "plugin mine.py: No module named 'no_such_thing'"),
        (
            TINY.replace('"tiny"', '"../x"').format(comment="", default=""),
            "plugin mine.py: @dfa_core.register('../x'): '../x' is no name",
        ),
        *(
            (
                TINY.replace('"tiny"', f'"{name}"').format(comment="", default=""),
                f"plugin mine.py: @dfa_core.register('{name}'): method={name} means something else on a command line",
            )
            for name in ("null", "true", "1e3", "all")
        ),
        (
            TINY.replace('"tiny"', '"tiny", like="bq"').format(comment="", default=""),
            "plugin mine.py: @dfa_core.register('tiny'): like='bq': no such method; did you mean bp",
        ),
        (TINY.replace('"tiny"', '"tiny", order="x"').format(comment="", default=""), "order='x': write a whole number"),
        (TINY.replace('"tiny"', '"tiny", colour="red"').format(comment="", default=""), "'red': write #RRGGBB"),
        (TINY.replace('"tiny"', "5").format(comment="", default=""), "name=5: write a text"),
        (TINY.replace('"tiny"', '"dfa"').format(comment="", default=""), "a method named 'dfa' is already registered"),
        (
            TINY.replace("rank: int", "code").format(comment="", default="=3"),
            "plugin mine.py: @dfa_core.register('tiny'): a keyword may not be called code",
        ),
        (
            TINY.replace("rank: int", "name").format(comment="", default=""),
            "plugin mine.py: @dfa_core.register('tiny'): a keyword may not be called name",
        ),
        ("x = 1\nclass Own(BaseException): pass\nraise Own('gone')\n", "plugin mine.py: line 3: Own: gone"),
        ("import sys\nsys.exit(3)\n", "plugin mine.py: line 2: it ends the program (sys.exit)"),
        ("x = 1\0\n", "plugin mine.py: source code"),
    ],
)
@pytest.mark.parametrize("main", [run_command.main, sweep_command.main])
def test_a_broken_plugin_is_one_line(main, content, said, command, own_methods):
    """A traceback through Hydra would hide which line of the user's file is wrong."""
    if content is not None:
        Path("mine.py").write_text(content)
    chosen = (
        ["seed=0"] if main is run_command.main else ["tasks=citation/gcn_cora", "methods=bp"]
    )  # nothing long, if bad
    done = command(main)("plugins=[mine.py]", "profile=smoke", "results=out", *chosen)
    assert done.code == 2 and done.out == ""
    assert done.err.count("\n") == 1 and said in done.err


def test_names_that_are_words(folder, own_methods):
    """They read as what they are, so they can be chosen."""
    for number, name in enumerate(("my-method", "a.b", "123", "nan", "None")):
        Path(f"mine{number}.py").write_text(TINY.replace('"tiny"', f'"{name}"').format(comment="", default="=3"))
        load_plugins([f"mine{number}.py"])
        assert compose([f"method={name}"]).method.name == name


def test_an_error_of_a_plugin_says_which_line(command, own_methods):
    """The text alone does not say whose error it is."""
    Path("mine.py").write_text(TINY.format(comment="", default="=1") + '        float("x")\n')
    done = command(run_command.main)("plugins=[mine.py]", "method=tiny", "task=citation/gcn_cora", "profile=smoke")
    assert done.code == 2 and "mine.py, line 9: ValueError: could not convert" in done.err


@pytest.mark.parametrize("error", ["KeyboardInterrupt()", "Terminated(15)"])
def test_an_interrupt_while_a_plugin_loads_is_an_interrupt(error, folder, own_methods):
    """Ctrl-C during a long import is no fault of the file."""
    Path("mine.py").write_text(f"from benchmarks.terminal.guard import Terminated\nraise {error}\n")
    with pytest.raises((KeyboardInterrupt, Terminated)):
        load_plugins(["mine.py"])


def test_the_hash_of_a_plugin_cannot_be_given(example):
    """A run of the file as it is now would pass for one of the file as it was."""
    code = compose(["method=random_direction"]).method.code
    for text in ("method.code=0123abcd", "++method.code=0123abcd"):
        with pytest.raises(ValueError, match=r"method\.code=0123abcd: it is the hash of the plugin's files"):
            compose(["method=random_direction", text])
    assert compose(["method=random_direction", f"method.code='{code}'"]).method.code == code


def test_where_plugins_are_named(folder, monkeypatch):
    """On the command line with or without brackets and quotes, and in the environment; each once."""
    monkeypatch.setenv("DFA_PLUGINS", "a.py,package.module")
    assert plugins_named_in(["seed=1", "plugins=['b c.py', a.py]"]) == ["a.py", "package.module", "b c.py"]
    assert plugins_named_in(["plugins=b.py"]) == ["a.py", "package.module", "b.py"]
    assert plugins_named_in([]) == ["a.py", "package.module"]
