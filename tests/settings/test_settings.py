"""Values that no machine can take are refused by name, before anything is loaded: every setting, every extreme."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from functools import cache

import pytest
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmarks.catalogue.discovery import architectures
from benchmarks.records.packs import is_pack, read_pack
from benchmarks.settings import capacity, rules
from benchmarks.settings.choices import options
from benchmarks.settings.compose import compose
from benchmarks.settings.limits import limit_of
from benchmarks.settings.overrides import flat
from benchmarks.settings.rules import problem
from benchmarks.settings.schema import HardwareConfig, LoggerConfig, OptimConfig, ProfileConfig
from benchmarks.terminal.errors import UsageError
from benchmarks.terminal.names import LARGEST_SEED
from tests import REPOSITORY

GCN = ("task=citation/gcn_cora", "profile=smoke", "method=dfa")
#: One task of each architecture, and the profile with its largest sizes.
TASKS = {
    name: next(task for task in options("task") if task.endswith(suffix))
    for name, suffix in {
        **{name: f"{name}_cora" for name in ("gcn", "cheb", "spline", "gat", "dna", "gae")},
        **{name: f"criteo/{name}" for name in ("fm", "deepfm", "dcn", "autoint", "afn")},
        "nerf": "nerf_synthetic/lego",
        "transformer": "wikitext2/macro",
    }.items()
}
EXTREMES = (0, -1, 2, 10**9, 10**18, 10**400, 1e300, -1e300, 1e-300, 1e38, math.nan, math.inf, -math.inf)
#: Words that may be anything but empty, and lists and texts that are looked at elsewhere.


@cache
def composed(task: str) -> DictConfig:
    return compose([f"task={task}", "profile=paper", "method=dfa"])


def leaves(config: DictConfig) -> dict[str, object]:
    values = {key: OmegaConf.select(config, key) for key in flat(OmegaConf.to_container(config))}
    return {key: value for key, value in values.items() if not OmegaConf.is_dict(value)}


def own_prefixes(name: str) -> str | tuple[str, ...]:
    """How the settings of an architecture begin; with the first of a domain all are tried, which the others share."""
    schema = architectures()[name].task_config
    first = next(other for other in sorted(TASKS) if architectures()[other].task_config is schema)
    return "" if name == first else "task.model."


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_setting_at_every_extreme_is_taken_or_refused(name):
    """One that is neither ends hours later, as an exception, as infinity, or as a machine that stops to answer."""
    config = copy.deepcopy(composed(TASKS[name]))
    refused = 0
    for key, value in leaves(config).items():
        if isinstance(value, str) or not key.startswith(own_prefixes(name)):
            continue
        for extreme in EXTREMES:
            OmegaConf.update(config, key, value)
            try:
                OmegaConf.update(config, key, extreme)
            except (OmegaConfBaseException, OverflowError):
                refused += 1  # of another type; Hydra says so
                continue
            said = problem(config)
            assert said is None or ("\n" not in said and len(said) < 400), said
            refused += said is not None
            number = isinstance(extreme, float) and not isinstance(value, bool)
            if number and not (math.isfinite(extreme) and 1e-38 < abs(extreme) < 3e38):
                assert said is not None, f"{key}={extreme} is no number in fp32"
            if isinstance(OmegaConf.select(config, key), int) and extreme > 10**9 and not isinstance(value, bool):
                assert said is not None, f"{key}={extreme}: nobody has as many"
        OmegaConf.update(config, key, value)
    assert refused > (100 if own_prefixes(name) == "" else 5) and config == composed(TASKS[name])


#: What `rules.problem` compares with the catalogue, or with the method's own settings.
COMPARED = {"architecture", "metric", "model", "method_names", "skip", "published"}


@pytest.mark.parametrize("name", sorted(architectures()))
def test_every_setting_has_a_limit(name):
    """A setting added without one would be the next that takes anything. Whole numbers of a network are sizes."""
    one = architectures()[name]
    for schema in (one.task_config, OptimConfig, ProfileConfig, HardwareConfig, LoggerConfig):
        for field in dataclasses.fields(schema):
            free = field.name in COMPARED or field.type in ("bool", "OptimConfig")
            assert free or limit_of(schema, field.name), f"{schema.__name__}.{field.name}: declare it with limited(…)"
    for field in dataclasses.fields(one.model_config):
        assert (
            field.type in ("bool", "int") or limit_of(one.model_config, field.name) or field.name == "density_bias"
        ), field.name


@pytest.mark.parametrize("name", sorted(architectures()))
def test_every_network_says_how_large_it_is(name):
    """The estimate must never refuse what fits: it is a lower bound, checked against the networks' own count."""
    model = architectures()[name].model_config()
    assert model.min_parameters() > 0
    counted = {record.architecture: record.parameters for record in evidence() if not record.variant}
    for record in evidence():
        if record.architecture == name and record.parameters:
            sized = architectures()[name].model_config(**record.config["task"]["model"])
            assert sized.min_parameters() <= record.parameters, record.run_id
    assert counted


@cache
def evidence():
    folder = REPOSITORY / "results" / "published" / "evidence"
    return [record for path in sorted(folder.glob("*")) if is_pack(path) for record in read_pack(path)]


def test_declared_metrics_are_those_that_runs_have():
    """A metric that is not declared could not be chosen; a declared one that no run has would break every table."""
    cells = json.loads((REPOSITORY / "results/published/baselines/smoke.json").read_text())["cells"]
    known = architectures()
    found: dict[str, set[str]] = {}
    for cell in cells:
        if "alignment" not in cell["metric"] and cell["metric"] != "train_loss_mean":
            found.setdefault(cell["architecture"], set()).add(cell["metric"])
    for architecture, kept in found.items():
        assert kept == set(known[architecture].metrics)
    for record in evidence():
        kept = {metric for metric in record.metrics if "alignment" not in metric}
        assert kept <= set(known[record.architecture].metrics), record.run_id


def message(*overrides: str) -> str:
    with pytest.raises(UsageError) as caught:
        compose([*GCN, *overrides])
    text = str(caught.value)
    assert "\n" not in text
    return text


NERF = ("task=nerf_synthetic/lego",)
WIKITEXT = ("task=wikitext2/macro",)
DNA = ("task=citation/dna_cora",)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["hardware.threads=100000"], "hardware.threads=100000: must be 16 or less, 8 for each core of this machine"),
        (["task.optim.lr=1e300"], "task.optim.lr=1e+300: must be 0, or lie between 1.2e-38 and 3.4e+38"),
        (["task.optim.lr=1e-300"], "task.optim.lr=1e-300: must be 0, or lie between"),
        (["method.scale=1e300"], "method.scale=1e+300: must be 0, or lie between"),
        (["task.epochs=1000000000000000000"], "task.epochs=1000000000000000000: must be 1,000,000,000 or less"),
        (["profile.seeds=1001"], "profile.seeds=1001: must lie between 1 and 1000"),
        (["seed=2147483648"], f"seed=2147483648: must lie between 0 and {LARGEST_SEED}"),
        (["task.architecture=gat"], "task.architecture=gat: choose the task with task=..."),
        (["task.suite=other"], "task.suite=other: choose the task with task=..."),
        (["task.domain=language"], "task.domain=language: choose the task with task=..."),
        (["task.dataset=criteo"], "task.dataset=criteo: gcn takes cora, citeseer, pubmed"),
        (["task.dataset=../../x"], "task.dataset=../../x: is no name of a dataset"),
        ([*NERF, "task.dataset=cora"], "task.dataset=cora: nerf takes nerf_synthetic/*, llff_real/*, capture/*"),
        (["task.name=../../x"], "task.name=../../x: is no name of a task"),
        (["task.name=citation/gat_cora"], "task.name=citation/gat_cora: is another task"),
        (["profile.name=paper"], "profile.name=paper: choose the profile with profile=..."),
        (["hardware.precision=bf16"], "hardware.precision=bf16: citation/gcn_cora runs in fp32 only"),
        (["task.precision=bf16"], "hardware.precision=bf16: citation/gcn_cora runs in fp32 only"),
        (["task.metric=foo"], "task.metric=foo: gcn measures accuracy, valid_accuracy"),
        (["task.metric=auc"], "task.metric=auc: gcn measures accuracy, valid_accuracy"),
        (["task.split=typo"], "task.split=typo: choose public or folds"),
        (["task.model.hidden=1000000000"], "GB at least; this machine has"),
        ([*WIKITEXT, "task.model.width=1000000"], "task.model (layers="),
        ([*WIKITEXT, "task.model.context=900000000"], "GB at least; this machine has"),
        ([*WIKITEXT, "task.vocabulary=3"], "task.vocabulary=3: must be 258 or more"),
        ([*WIKITEXT, "method=dfa", "task.method_names={others: '../x'}"], "task.method_names: "),
        ([*NERF, "task.rays=1000000000"], "GB at least; this machine has"),
        ([*NERF, "task.model.position_frequencies=200"], "position_frequencies=200: must be 24 or less"),
        ([*DNA, "task.model.heads=3"], "hidden must be a multiple of groups, and groups one of heads"),
        ([*DNA, "task.model.tap=typo"], "task.model.tap=typo: choose scores or log_softmax"),
        (["task.optim.schedule=exponential", "task.optim.schedule_steps=1", "task.optim.schedule_factor=10"],
         "task.optim.schedule=exponential: needs a task.optim.schedule_factor of 1 or less"),
        (["results=''"], "results=: must name a folder"),
        (['results="a\x1bb"'], "results=a b: must name a folder"),
        (["data=on"], "data=on: choose auto, real or standin"),
        (["logger.project=''"], "logger.project=: must have 1 to 128 characters"),
        (["logger.project=a/b"], "logger.project=a/b: must have 1 to 128 characters, none of"),
        (["task.cost=-1"], "task.cost=-1.0: must be greater than 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named(overrides, expected, monkeypatch):
    """Each of these was taken: it ended in a segmentation fault, an overflow, or as a record that broke the tables."""
    monkeypatch.setattr(capacity, "cores", lambda: 2)
    monkeypatch.setattr(capacity, "memory", lambda: 8 * 2.0**30)
    assert expected in message(*overrides)


@pytest.mark.parametrize("task", ["nerf_synthetic/lego", "llff_real/fern", "wikitext2/macro", "criteo_137k/afn"])
def test_what_processors_train_is_in_fp32(task):
    """In bf16 a step took 12 times as long on a processor without matrix units for it, and nothing said so."""
    assert compose([f"task={task}", "profile=long"]).hardware.precision == "fp32"


def test_what_fits_is_taken(monkeypatch):
    """Own data, a name of one's own and the largest published network stay possible on a small machine."""
    monkeypatch.setattr(capacity, "memory", lambda: 8 * 2.0**30)
    assert compose([*GCN, "task.name=citation/mine"]).task.name == "citation/mine"
    assert compose(["task=capture/own", "task.dataset=capture/garden"]).task.name == "capture/garden"
    assert compose([*NERF, "task.dataset=llff_real/fern", "profile=paper", "task=nerf_synthetic/lego_8x256"])
    assert compose(["task=wikitext103/macro", "profile=paper"]).hardware.precision == "bf16"
    assert compose([*GCN, "task.architecture=gcn", "task.suite=citation"]).task.architecture == "gcn"
    assert compose(["task=citation/gcn_cora_tuned", "profile=paper"]).task.domain == "tuned_citation"


def test_memory_that_is_not_known_forbids_nothing(monkeypatch):
    """Windows does not say; a bound of 0 would refuse every run."""
    monkeypatch.setattr(capacity.os, "sysconf", lambda name: (_ for _ in ()).throw(ValueError()), raising=False)
    assert capacity.memory() == math.inf
    assert rules.problem(composed(TASKS["gcn"])) is None
