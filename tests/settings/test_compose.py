"""Composing a configuration: a typo never passes for a setting, and what is written per method applies per method."""

from __future__ import annotations

import copy
import re
from itertools import product

import pandas as pd
import pytest
from omegaconf import OmegaConf

from benchmarks.catalogue.discovery import architectures, tasks
from benchmarks.settings import choices
from benchmarks.settings import compose as compose_module
from benchmarks.settings.choices import GROUPS, options
from benchmarks.settings.compose import check_overrides, combinations, compose, load_plugins
from benchmarks.settings.conf_files import CONF
from benchmarks.settings.overrides import Overrides, flat
from benchmarks.settings.schema import PROFILES
from benchmarks.settings.store import by_dataset, by_method, by_profile
from benchmarks.terminal.errors import UsageError

GCN = ("task=citation/gcn_cora", "profile=smoke")


def message(*overrides: str) -> str:
    with pytest.raises(UsageError) as caught:
        compose([*GCN, *overrides])
    text = str(caught.value)
    assert "\n" not in text
    return text


def suggestions(error: Exception) -> list[str]:
    return str(error).partition("did you mean ")[2].removesuffix("?").split(" or ")


def keys(task: str, method: str) -> list[str]:
    config = compose([f"task={task}", f"method={method}"])
    return [key for key in flat(OmegaConf.to_container(config)) if key.rpartition(".")[2] != "name"]


@pytest.mark.parametrize("task", ["citation/gcn_cora", "citation/dna_pubmed", "citation/gat_citeseer"])
def test_a_typo_in_any_key_names_the_right_one(task):
    """Otherwise a misspelt setting could be ignored: the run would be recorded as something that it is not."""
    for key in [key for key in keys(task, "dfa") if not key.startswith(("task.published", "task.skip."))]:
        typo = key[:-2] + key[-1]  # a letter is missing
        with pytest.raises(UsageError, match="unknown setting") as caught:
            check_overrides([f"task={task}", "method=dfa", f"{typo}=1"])
        assert key in suggestions(caught.value)


@pytest.mark.parametrize("group", GROUPS)
def test_a_typo_in_any_choice_names_the_right_one(group):
    """Every option of every group can be misspelt, those of subfolders included."""
    assert len(options(group)) >= 2
    for option in options(group):
        with pytest.raises(UsageError, match=f"unknown {group}") as caught:
            compose([f"{group}={option[:-1]}"])
        assert option in suggestions(caught.value)


def test_additions_and_removals_are_refused():
    """`+` would add a setting that nothing reads and `~` take one away, both recorded as if they counted."""
    assert "unknown setting 'task.optim.nesterov'" in message("+task.optim.nesterov=true")
    assert "unknown setting 'fo'" in message("++fo=1")
    assert "cannot be removed" in message("~task.optim.lr")
    assert compose([*GCN, "++task.optim.lr=0.5"]).task.optim.lr == 0.5
    assert compose([*GCN, "+task.skip.dfa='too slow'"]).task.skip["dfa"] == "too slow"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("task.epochs=many", "task.epochs: Value 'many'"),
        ("task.epochs=2.5", "task.epochs: Value '2.5'"),
        ("task.optim.lr=fast", "task.optim.lr: Value 'fast'"),
        ("task.normalize=perhaps", "task.normalize: Value 'perhaps'"),
        ("task.model.hidden=[1,2]", "task.model.hidden"),
        ("task.optim=1", "task.optim"),
        ("seed=one", "seed: Value 'one'"),
        ("plugins=a.py", "plugins"),
        ("method.scale=big", "method.scale=big: must be of type float"),
        ("method.feedback=3", "method.feedback=3: must be of type str"),
        ("method.name=bp", "method.name=bp: choose the method with method="),
        ("method.name=mine", "method.name=mine: choose the method with method="),
        ("seed=0,1", "for several runs add -m"),
        ("seed", "write key=value"),
    ],
)
def test_a_value_of_the_wrong_type_names_its_setting(override, expected):
    """A string where a number belongs must not reach the optimizer, where the error names no setting."""
    assert expected in message("method=dfa", override)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("task.epochs=0", "task.epochs=0: must be 1 or more"),
        ("task.epochs=-3", "task.epochs=-3: must be 1 or more"),
        ("task.epochs=null", "exactly one of task.epochs and task.steps"),
        ("task.steps=5", "exactly one of task.epochs and task.steps"),
        ("task.eval_every=0", "task.eval_every=0: must be 1 or more"),
        ("task.patience=0", "task.patience=0: must be 1 or more"),
        ("task.optim.lr=-0.1", "task.optim.lr=-0.1: must be greater than 0"),
        ("task.optim.lr=0", "task.optim.lr=0.0: must be greater than 0"),
        ("task.optim.lr=nan", "task.optim.lr=nan: must be a finite number"),
        ("task.optim.betas=[0.9]", "task.optim.betas=[0.9]: must be two numbers"),
        ("task.optim.betas=[0.9,1.0]", "must be two numbers from 0 to below 1"),
        ("task.optim.eps=-1", "task.optim.eps"),
        ("task.optim.weight_decay=-1", "task.optim.weight_decay"),
        ("task.optim.clip_norm=0", "task.optim.clip_norm"),
        ("task.optim.decay=some", "choose all or first_layer"),
        ("task.optim.schedule=cosine", "choose constant, exponential, noam or plateau"),
        ("task.optim.schedule=noam", "needs task.optim.schedule_steps"),
        ("task.optim.schedule=exponential", "needs task.optim.schedule_steps"),
        ("task.optim.schedule=plateau", "needs a task.optim.schedule_factor below 1"),
        ("task.model.hidden=-1", "task.model.hidden=-1: must be 1 or more"),
        ("task.model.dropout=1.5", "task.model.dropout=1.5: must lie between 0 and 1"),
        ("hardware.precision=fp8", "choose fp32 or bf16"),
        ("hardware.device=tpu", "choose cpu or cuda"),
        ("hardware.threads=0", "hardware.threads=0: must be 1 or more"),
        ("logger.mode=on", "choose offline or online"),
        ("data=fake", "choose auto, real or standin"),
        ("seed=-1", "seed=-1: must lie between"),
        ("feedback_seed=-1", "feedback_seed=-1: must lie between"),
    ],
)
def test_a_value_out_of_range_names_its_setting(override, expected):
    """Zero epochs or a negative rate must not be recorded as a result: the table would show an untrained network."""
    assert expected in message(override)


def test_settings_by_method_and_their_fall_backs():
    """A method without published settings takes those of dfa; were it bp's, the control would not be one."""
    dropout = {m: compose([*GCN, f"method={m}"]).task.model.dropout for m in ("bp", "dfa", "shallow")}
    assert dropout == {"bp": 0.5, "dfa": 0.1, "shallow": 0.1}
    root = OmegaConf.create({"method": {"name": "new"}, "profile": {"name": "long"}, "task": {"dataset": "cora"}})
    assert by_method(OmegaConf.create({"bp": 1, "dfa": 2}), _root_=root) == 2
    assert by_profile(OmegaConf.create({"quick": 1, "paper": 3}), _root_=root) == 3
    root.profile.name = "quick"
    with pytest.raises(ValueError, match="no setting for profile 'quick': the choice has smoke, paper"):
        by_profile(OmegaConf.create({"smoke": 1, "paper": 3}), _root_=root)  # the paper's size would take weeks
    root.profile.name = "long"
    assert by_profile(OmegaConf.create({"long": 2, "paper": 3}), _root_=root) == 2
    assert by_dataset(OmegaConf.create({"pubmed": 1, "default": 4}), _root_=root) == 4
    with pytest.raises(ValueError, match="no setting for method 'new': the choice has bp"):
        by_method(OmegaConf.create({"bp": 1}), _root_=root)


def test_settings_by_profile():
    """`long` trains as long as `paper`; `smoke` and `quick` as their own entries say."""
    (written,) = re.findall("^epochs: .*", (CONF / "architecture" / "gae.yaml").read_text(), re.MULTILINE)
    choice = {name: int(epochs) for name, epochs in re.findall(r"(smoke|quick|paper): (\d+)", written)}
    epochs = {p: compose(["task=citation/gae_cora", f"profile={p}"]).task.epochs for p in options("profile")}
    assert len(set(choice.values())) == 3 and epochs == choice | {"long": choice["paper"]}


@pytest.mark.parametrize("method", ["bp", "dfa", "shallow"])
def test_an_override_beats_the_setting_by_method(method):
    """Otherwise `task.model.dropout=0.3` would hold for some methods only, and the comparison would not be paired."""
    config = compose([*GCN, f"method={method}", "task.model.dropout=0.3", "task.optim.weight_decay=0"])
    assert config.task.model.dropout == 0.3 and config.task.optim.weight_decay == 0


def with_own_choices() -> list[str]:
    """Every task that has a file, and of those without one the first of each architecture and kind of settings.

    The language tasks on wikitext103 differ from those on wikitext2 in nothing but their corpus;
    `test_published_settings` composes them.
    """
    generated = {(one.architecture, one.bases): name for name, one in reversed(tasks().items())}
    found = {*generated.values(), *(task for task in options("task") if task not in tasks())}
    return sorted(task for task in found if not task.startswith("wikitext103/"))


@pytest.mark.parametrize("profile", [profile for profile in PROFILES if profile != "smoke"])
def test_every_choice_has_an_entry_for_every_profile_and_method(profile):
    """Without one, a run would fail hours into a sweep, or when somebody asks for the task.

    In profile smoke every task is composed and trained: `tests/tasks/test_conformance.py`.
    """
    asked = with_own_choices()
    assert {compose([f"task={task}"]).task.architecture for task in asked} == set(architectures())
    for task, method in product(asked, ("bp", "dfa")):
        config = compose([f"task={task}", f"method={method}", f"profile={profile}"])
        assert config.task.name == task and not OmegaConf.missing_keys(config)
        assert (config.task.epochs is None) != (config.task.steps is None)


def test_a_task_shows_the_papers_numbers():
    """They come from the file of published numbers, so that none can be mistyped beside a task."""
    table = pd.read_csv(CONF.parent / "results" / "paper" / "reference.csv")
    for task, metric in (("citation/gae_pubmed", "auc"), ("criteo/dcn", "log_loss"), ("nerf_synthetic/drums", "psnr")):
        settings = compose([f"task={task}", "profile=paper"]).task
        rows = table[(table.architecture == settings.architecture) & (table.dataset == settings.dataset)]
        rows = rows[rows.metric == metric]
        assert len(rows) and settings.published[metric] == dict(zip(rows.method, rows.value.astype(float), strict=True))
    noam, best = (compose([f"task=wikitext103/macro{end}", "profile=paper"]).task for end in ("_noam", ""))
    assert noam.published.valid_perplexity == {"dfa_macro": 95.0, "dfa_micro": 182.0, "bp": 34.4}
    assert best.published.valid_perplexity == {"dfa_macro": 52.0, "dfa_micro": 93.3, "bp": 29.8, "shallow": 428.0}
    assert compose(["task=criteo_10k/dcn", "profile=long"]).task.published == {}


def test_commands_in_the_tasks_files_can_be_given():
    """Without it the command in a file could be that of the file it was copied from."""
    lines = [line for path in (CONF / "task").rglob("*.yaml") for line in path.read_text().splitlines()]
    commands = [line.partition("benchmarks.run ")[2] for line in lines if "benchmarks.run " in line]
    assert len(commands) >= 14
    for command in commands:
        if "<folder>" not in command:
            compose(command.split())


def test_no_file_repeats_what_needs_none():
    """A file that says what the catalogue says would be a second place for one thing."""
    for path in (CONF / "task").rglob("*.yaml"):
        name = path.relative_to(CONF / "task").with_suffix("").as_posix()
        if name in tasks():
            one, content = tasks()[name], OmegaConf.to_container(OmegaConf.load(path))
            said = {key: value for key, value in content.items() if key not in ("defaults", "dataset")}
            assert said != dict(one.settings) or "# At published size" in path.read_text(), f"{name}: remove the file"


def test_a_multirun_is_checked_run_by_run():
    """Otherwise the last of many runs would fail on the command line's fault, hours after it was typed."""
    asked = list(combinations(["method=bp,dfa", "seed=range(5)", "task.epochs=3,4", "data=standin"]))
    assert len(asked) == 4
    assert ["method=dfa", "seed=0", "task.epochs=4", "data=standin"] in asked


@pytest.mark.parametrize("task", ["citation/gat_cora", "criteo/dcn"])
@pytest.mark.parametrize("method", ["bp", "dfa", "shallow"])
def test_putting_in_method_and_seed_gives_what_hydra_composes(task, method, folder):
    """Composing once a task saves minutes; a run of another method must not keep anything of the first one's."""
    overrides = (f"task={task}", f"method={method}", "profile=paper", "seed=7")
    by_hydra = copy.deepcopy(choices.by_hydra(overrides))
    OmegaConf.resolve(by_hydra)
    assert OmegaConf.to_container(compose(overrides)) == OmegaConf.to_container(by_hydra)
    assert compose(overrides).feedback_seed == 7 and compose(overrides).method.name == method


@pytest.mark.parametrize(
    "overrides",
    [
        ("method=fa", "profile=paper", "seed=3"),
        ("task.optim.lr=0.5", "profile=long", "results=/tmp/x", "data=standin"),
        ("method.scale=2", "method=dfa", "task.optim.betas=[0.5, 0.6]"),
        ("task.optim.betas=[0.8,0.9]", "task.optim={lr: 0.1}", "task.epochs=null"),
    ],
)
def test_what_is_put_in_is_what_hydra_would_have_composed(overrides, monkeypatch):
    """Composing takes Hydra a tenth of a second: it is asked once a task, and nobody shall see a difference."""
    load_plugins([])
    asked = Overrides.of(["task=mnist/mlp", *overrides])
    expected = choices.by_hydra(tuple(asked))
    load_plugins([])
    compose(["task=mnist/mlp"])
    whole: list[str] = []
    hydra = choices.hydra_compose
    monkeypatch.setattr(choices, "hydra_compose", lambda name, **more: whole.append(name) or hydra(name, **more))
    found = compose_module._unresolved(asked)
    assert "config" not in whole
    assert found == expected and OmegaConf.to_yaml(found) == OmegaConf.to_yaml(expected)
    assert OmegaConf.get_type(found.profile) is OmegaConf.get_type(expected.profile)
