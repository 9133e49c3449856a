"""Searches that cannot be: one line that says what is wrong, and nothing is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.terminal.errors import UsageError
from benchmarks.tune import search, space
from tests.helpers.trials import GCN

SPACES = {
    "{task.optim.lr: {log: [0.1, 0.001]}}": "task.optim.lr: log=[0.1, 0.001]: the first must be less",
    "{task.optim.lr: {log: [0, 0.1]}}": "both must be greater than 0",
    "{task.optim.lr: {uniform: [0.1]}}": "give two numbers",
    "{task.optim.lr: {uniform: [a, b]}}": "give two numbers",
    f"{{task.optim.lr: {{log: [1, 1{'0' * 400}]}}}}": "give two numbers",
    f"{{task.optim.lr: {{uniform: [-1{'0' * 400}, 1]}}}}": "give two numbers",
    "{task.optim.lr: {uniform: [.nan, 1]}}": "give two numbers",
    "{task.optim.lr: {uniform: [-1.0e308, 1.0e308]}}": "wider than numbers are",
    "{task.optim.lr: {log: [1.0e-300, 1.0e300]}}": "wider than numbers are",
    "{task.optim.lr: {choice: []}}": "give one value or more",
    "{task.optim.lr: {choice: [[1]]}}": "give one value or more",
    "{task.optim.lr: {normal: [0, 1]}}": "give one of log, uniform, choice",
    "{task.optim.lr: 0.1}": "task.optim.lr: '0.1': write setting",
    "{}": "declare under settings",
    "{task.optim.lr: {log: [1e-3, 0.1]}}\nby_method: {dafa: {}}": "unknown method 'dafa': did you mean dfa",
    "{method.scale: {log: [1, 2]}}\nby_method: {dfa: {method.scale: {log: [1, 3]}}}": "declared for every method and",
    "{task.optim.lr: {log: [1e-3, 0.1]}}\nother: 1": "unknown part 'other'",
    "{task.optim.lr: {log: [1e-3, 0.1]}}\nlike: mine": "is like another space",
    "{task.optim.lr: {log: [1e-3, 0.1]}}\nlike: methds": "like: unknown space 'methds'",
    "{task.optim.lr: {log: [1e-3": "not readable as YAML",
}
MISFITS = {
    "{task.model.heads: {choice: [1, 2]}}": "space 'mine', citation/gcn_cora, bp: unknown setting 'task.model.heads'",
    "{task.model.dropout: {uniform: [0.1, 1.2]}}": "task.model.dropout=1.2: must lie between 0 and 1",
    "{task.model.hidden: {uniform: [8, 32]}}": "task.model.hidden: Value '8.0'",
    "{method.scale: {log: [1, 2]}}": "citation/gcn_cora, bp: unknown setting 'method.scale'",
}
ARGUMENTS = {
    "task=citation/gcn_core": "unknown task 'citation/gcn_core': did you mean citation/gcn_cora",
    "task=": "task= is missing",
    "methods=bp,dfo": "unknown method 'dfo': did you mean dfa",
    "methods=dfo,all": "unknown method 'dfo': did you mean dfa",
    "space=defalt": "unknown space 'defalt': did you mean default",
    "trials=0": "trials='0': give a whole number, 1 or more",
    "trials=-2": "trials='-2': give a whole number",
    "search_seed=x": "search_seed='x'",
    "profile=smok": "unknown profile 'smok': did you mean smoke",
    "seeds=none": "seeds='none'",
    "tasks=citation": "a search takes one task",
    "oops": "write key=value",
    "task.optim.lr=0.1": "space 'default' searches it",
    "task.optim.rate=0.1": "unknown setting 'task.optim.rate'",
    "write=My/Name": "write='My/Name': give a name",
}


@pytest.mark.parametrize(("text", "message"), SPACES.items(), ids=[text[:40] for text in SPACES])
def test_a_wrong_space_is_refused_in_one_line(text, message, declare):
    """An inverted range must not be searched as another one."""
    declare("mine", f"settings: {text}\n")
    with pytest.raises(UsageError) as caught:
        space.load("mine")
    assert message in str(caught.value) and "\n" not in str(caught.value) and "mine.yaml" in str(caught.value)


@pytest.mark.parametrize("content", ["3", "3.5", "true", "a: &x [*x]", "[" * 3000])
def test_what_is_no_space_at_all_names_its_file(content, declare, tune):
    """A lone number ended in a line without the file, a list within itself in one about deep nesting."""
    declare("mine", content)
    with pytest.raises(UsageError, match=r"^conf/tune/mine\.yaml: ") as caught:
        space.load("mine")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
    result = tune(*GCN, "methods=bp", "trials=1", "space=mine")
    assert result.code == 2 and "mine.yaml" in result.err and result.err.count("\n") == 1


@pytest.mark.parametrize(("text", "message"), MISFITS.items(), ids=MISFITS.values())
def test_a_space_that_does_not_fit_the_task_ends_in_one_line(text, message, declare, tune):
    """A setting that the task lacks, or a value that it refuses, must not show after hours."""
    declare("mine", f"settings: {text}\n")
    result = tune(*GCN, "methods=bp", "trials=1", "space=mine")
    assert result.code == 2 and message in result.err and result.err.count("\n") == 1 and not Path("results").exists()


@pytest.mark.parametrize(("argument", "message"), ARGUMENTS.items(), ids=ARGUMENTS)
def test_a_wrong_argument_ends_in_one_line(argument, message, tune):
    """A mistyped method or space must not be left out of the comparison in silence."""
    given = [one for one in GCN if one.partition("=")[0] != argument.partition("=")[0]]
    result = tune(*given, argument)
    assert result.code == 2 and message in result.err and result.err.count("\n") == 1 and not Path("results").exists()


def test_a_method_that_the_task_lacks(tune):
    """Its runs would be recorded as skipped, and the others tuned against nothing."""
    assert "does not have it" in tune("task=criteo/fm", "methods=bp,dfa", "space=rate").err
    assert search.methods_of("criteo/fm", []) == ("bp",)
