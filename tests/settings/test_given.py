"""Values as they are given: none is dropped, converted to another in silence, or ends in a traceback."""

from __future__ import annotations

import pytest

from benchmarks import run as run_command
from benchmarks.settings.compose import compose
from benchmarks.terminal.errors import UsageError
from benchmarks.training.run import Run

GCN = ("task=citation/gcn_cora", "profile=smoke")
HUGE = "1" + "0" * 400


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("overrides", "key", "expected"),
    [
        (["method=dfa", "++method.scale=5.0"], "method.scale", 5.0),
        (["method=dfa", "++method.feedback=gaussian"], "method.feedback", "gaussian"),
        (["++profile.seeds=7"], "profile.seeds", 7),
    ],
)
def test_a_forced_setting_of_a_choice_is_honoured(overrides, key, expected, order, folder):
    """It was lost as soon as the choice stood on the line, and the run was reported as the shipped one."""
    asked = [*GCN, *overrides][::order]
    group, _, name = key.partition(".")
    assert compose(asked)[group][name] == expected
    plain = [text.lstrip("+") for text in asked]
    assert Run.plan(asked).id == Run.plan(plain).id and Run.plan(asked).variant == Run.plan(plain).variant


def test_the_last_of_two_values_counts_forced_or_not():
    """What Hydra composes and what is put in afterwards came in another order than they were given."""
    for asked, epochs in ((("task.epochs=4", "++task.epochs=5"), 5), (("++task.epochs=5", "task.epochs=4"), 4)):
        assert compose([*GCN, *asked]).task.epochs == epochs


def test_what_is_added_where_it_stands_already_is_refused():
    with pytest.raises(UsageError, match=r"already at 'method\.scale'"):
        compose([*GCN, "method=dfa", "+method.scale=5.0"])


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (f"task.optim.lr={HUGE}", "task.optim.lr=a number of 1329 bits: must lie between -3.4e+38 and 3.4e+38"),
        (f"task.optim.lr=-{HUGE}", "task.optim.lr=a number of 1329 bits: must lie between"),
        (f"task.optim.lr=${{oc.decode:'{HUGE}'}}", "int too large"),
        (f"task.optim.betas=[0.9,{HUGE}]", "task.optim.betas[1]=a number of 1329 bits: must lie between"),
        (f"task.optim={{lr: {HUGE}}}", "task.optim.lr=a number of 1329 bits: must lie between"),
        ("task.name=???", "task.name: needs a value; give task.name=..."),
        ("++task.name=???", "task.name: needs a value; give task.name=..."),
        ("profile.name=???", "profile.name: needs a value; give profile.name=..."),
        ("task.architecture=???", "task.architecture: needs a value; give task.architecture=..."),
        ("task.optim={lr: ???}", "task.optim.lr: needs a value; give task.optim.lr=..."),
        ("task.name=${oc.decode:'???'}", "task.name"),
        (f"profile.name={'x' * 300}", "it has 300 characters, and 100 are the most"),
        ("profile.name='a\0b'", "profile.name: 'a\\x00b' is no name"),
        ("alignment=-1", "alignment=-1: choose true or false"),
        ("alignment=2", "alignment=2: choose true or false"),
        ("task.normalize=-1", "task.normalize=-1: choose true or false"),
        ("task.normalize='-1'", "task.normalize=-1: choose true or false"),
        ("++task.normalize=7", "task.normalize=7: choose true or false"),
        ("hardware.compile=7", "hardware.compile=7: choose true or false"),
        ("seed=${task}", "seed: While dereferencing interpolation '${task}'"),
    ],
    ids=lambda value: value[:30].replace("\0", "0"),
)
def test_a_value_that_cannot_be_is_one_line(override, said, command):
    """Each was a traceback, a line that filled the screen, or a value that nobody had given."""
    lines = [text for text in GCN if text.partition("=")[0] != override.partition("=")[0]]
    done = command(run_command.main)(*lines, "method=dfa", "results=out", override)
    assert done.code == 2 and done.out == "" and done.err.count("\n") == 1, done.err
    assert done.err.startswith("error: ") and said in done.err and len(done.err) < 400, done.err


def test_booleans_in_digits_stay_what_they_are():
    """0 and 1 are what a script has at hand."""
    for text, value in (("1", True), ("0", False), ("'1'", True), ("on", True), ("no", False)):
        assert compose([*GCN, f"task.normalize={text}"]).task.normalize is value


@pytest.mark.parametrize("value", ["x", "[1]", "true", "-1", "0", "'1'"])
def test_a_setting_that_may_be_null_takes_numbers_alone(value, command):
    """Its shipped value says nothing of its type: a text ended deep in the engine, with a TypeError."""
    done = command(run_command.main)(*GCN, "method=local", "results=out", f"method.decoder_lr={value}")
    assert done.code == 2 and done.err.count("\n") == 1, done.err
    assert done.err.startswith("error: decoder_lr=") and "must be a finite number, more than 0" in done.err


@pytest.mark.parametrize("task", ["nerf_synthetic/lego", "llff_real/fern"])
def test_a_setting_that_follows_one_given_as_null_names_both(task):
    """It quoted the text of the file, `${by_profile:{smoke: '${..steps}', …`, and not what had been given."""
    overrides = [f"task={task}", "profile=smoke", "task.epochs=2", "task.steps=null"]
    with pytest.raises(UsageError) as raised:
        compose(overrides)
    key = "task.optim.schedule_steps"
    assert str(raised.value) == f"{key}: follows task.steps, which is null; give {key}=... as well"
    assert compose([*overrides, f"{key}=60"]).task.epochs == 2
