"""Folders and files are named as they are: Hydra's grammar knows neither é nor brackets."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import run as run_command
from benchmarks.settings.overrides import Overrides, plugins_named_in, results_named_in
from benchmarks.settings.quoting import with_list_of_plugins
from benchmarks.terminal.errors import UsageError
from benchmarks.workers import request


@pytest.mark.parametrize(
    "path", ["/x/josé", "/x/a(1)", "a'b", "x y (2)/é", "[x", "/x/{a", "日本", "a\\'b(", "5% (new) & more"]
)
def test_a_results_folder_is_what_was_typed(path):
    """A sweep took it, and a run of the same folder ended with the name of a class of the parser."""
    asked = Overrides.of(["seed=1", f"results={path}"])
    assert results_named_in(asked) == path == str(request.parse([f"results={path}"]).results)
    assert asked.settings[1].is_plain and list(Overrides.of(list(asked))) == list(asked)


@pytest.mark.parametrize(
    "text", ["josé dir/m.py", "[josé dir/m.py]", "a(1).py,josé.py", "[a(1).py, 'josé.py']", "['josé.py',\"a(1).py\"]"]
)
def test_plugins_are_the_files_that_were_typed(text):
    """The same; and a list of them is a list still."""
    expected = [name for name in ("josé dir/m.py", "a(1).py", "josé.py") if name in text]
    assert sorted(plugins_named_in([with_list_of_plugins(f"plugins={text}")])) == sorted(expected)
    assert sorted(request.parse([f"plugins={text}"]).plugins) == sorted(expected)


def test_a_plugin_in_quotes_may_have_a_comma_in_its_name():
    """A sweep tore it in two, where a run did not."""
    text = "plugins=['/x/my, dir/a.py',b]"
    assert request.parse([text]).plugins == plugins_named_in([text]) == ["/x/my, dir/a.py", "b"]
    assert request.parse(["plugins="]).plugins == request.parse(["plugins=[]"]).plugins == []


@pytest.mark.parametrize("text", ["results=out", "results='a b'", "results=${oc.env:HOME}/x", "results=[1,2]"])
def test_a_value_that_can_be_read_stays_as_it_is(text):
    assert list(Overrides.of([text])) == [text]


@pytest.mark.parametrize("text", ["task.metric=é", "task.name=a(1)", "logger.project=a'b", "results@x=é"])
def test_another_value_is_named_with_what_to_do(text):
    """'LexerNoViableAltException: write key=value' says neither what is wrong, nor what would be right."""
    with pytest.raises(UsageError) as caught:
        Overrides.of(["seed=1", text])
    assert str(caught.value).startswith(f"'{text}': ") and "put the value in quotes" in str(caught.value)
    assert "\n" not in str(caught.value) and "Lexer" not in str(caught.value)


def test_a_run_goes_to_such_a_folder(command):
    """Hydra parses the line once more."""
    done = command(run_command.main)("task=citation/gcn_cora", "profile=smoke", "task.epochs=1", "results=josé (1)")
    assert done.code == 0, done.err
    assert len(list(Path("josé (1)/records").rglob("*.json"))) == 1
