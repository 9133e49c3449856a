"""The configuration's hash: what decides a result changes it, nothing else does."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from benchmarks import run as run_command
from benchmarks.records.record import hash_config, iterate_records
from benchmarks.settings.compose import compose
from benchmarks.settings.overrides import flat
from benchmarks.training.run import Run

GCN = ("task=citation/gcn_cora", "method=dfa", "profile=smoke")
DEEPFM = ("task=criteo/deepfm",)
TEXTS = {
    "task.metric": "valid_accuracy",
    "task.split": "folds",
    "task.optim.decay": "all",
    "task.optim.schedule": "plateau",
    "method.feedback": "gaussian",
    "method.scaling": "none",
    "method.error": "sign",
    "task.optim.kind": "sgd",
}
#: Chosen by the group, or without influence on a result.
ELSEWHERE = {"task.suite", "task.domain", "task.architecture", "task.dataset", "task.name", "method.name"}
#: Those that only tasks with dense products have: see `test_device_precision_matrices_and_data_change_the_hash`.
ELSEWHERE |= {"task.precision"}
WITHOUT_EFFECT = (
    "task.max_seeds=2",
    "task.profiles=[long]",
    "task.cost=9",
    "+task.skip.bp=why",
    "hardware.threads=2",
    "logger.name=wandb",
)


def hash_of(*overrides: str) -> str:
    return planned(*overrides).config_hash


def planned(*overrides: str) -> Run:
    """A run of the GCN, or of the task that is named."""
    named = any(override.startswith("task=") for override in overrides)
    return Run.plan([*GCN[named:], *overrides])


def changed(key: str, value: object) -> list[str]:
    """Overrides that give ``key`` another value than ``value``."""
    if key == "task.steps":
        return ["task.epochs=null", "task.steps=7"]
    if key == "task.optim.betas":
        return [f"{key}=[0.8,0.9]"]
    if key == "task.optim.momentum":
        return ["task.optim.kind=sgd", f"{key}=0.5"]
    if key == "task.optim.schedule":
        return [f"{key}=plateau", "task.optim.schedule_factor=0.5"]
    if key in TEXTS:
        return [f"{key}={TEXTS[key]}"]
    if isinstance(value, bool):
        return [f"{key}={not value}"]
    return [f"{key}={(value or 0) * 0.5 + 0.125 if isinstance(value, float) else (value or 0) + 2}"]


def determining() -> dict[str, object]:
    """Every setting of task and method that may change a result, with its value."""
    config = compose(GCN)
    found = {}
    for key in flat({group: OmegaConf.to_container(config[group]) for group in ("task", "method")}):
        value = OmegaConf.select(config, key)
        leaf = not OmegaConf.is_dict(value) and not key.startswith(("task.published", "task.skip."))
        if leaf and key not in ELSEWHERE and not any(o.startswith(f"{key}=") for o in WITHOUT_EFFECT):
            found[key] = value
    return found


def test_any_setting_that_matters_changes_the_hash(folder):
    """A setting outside the hash would let a sweep skip a run that was never done. New settings are found here too."""
    hashes = {key: hash_of(*changed(key, value)) for key, value in determining().items()}
    assert len(hashes) >= 20 and hash_of() not in hashes.values()
    assert len(set(hashes.values())) == len(hashes), "two different configurations have one hash"


@pytest.mark.parametrize(
    "override", ["hardware.precision=bf16", "hardware.device=cuda", "feedback_seed=7", "data=auto", "alignment=false"]
)
def test_device_precision_matrices_and_data_change_the_hash(override, folder):
    """Another device may give other digits; runs of both must not be averaged as one configuration."""
    if override == "data=auto":  # on a machine with real data this is another run, here it is the same stand-in
        assert hash_of(override) == hash_of() == hash_of("data=standin")
        assert Run.plan([*GCN[:2], "profile=quick", "data=standin"]).config_hash != hash_of()
    else:
        task = DEEPFM if "hardware" in override else ()  # citation graphs train on the CPU, in fp32
        assert hash_of(*task, override) != hash_of(*task)


@pytest.mark.parametrize("override", [*WITHOUT_EFFECT, "seed=5", "results=elsewhere", "task.optim.eps=1e-8"])
def test_what_does_not_matter_keeps_the_hash(override, folder):
    """Seeds share a hash (they are averaged), and so does a setting that is written out at its default."""
    assert hash_of(override) == hash_of()


def test_the_order_of_overrides_does_not_matter(folder):
    """Otherwise the same command in another order would train again and stand in the table twice."""
    overrides = [*GCN, "task.optim.lr=0.02", "seed=3"]
    orders = itertools.islice(itertools.permutations(overrides), 0, None, 19)
    ids = [Run.plan(list(order)).id for order in orders]
    assert len(ids) == 7 and len(set(ids)) == 1


def test_the_hash_itself_does_not_change():
    """A new way of hashing would orphan all records; this one is SHA-256 of the canonical JSON."""
    assert hash_config({"b": 1, "a": {"y": None, "x": 0.5}}) == hash_config({"a": {"x": 0.5, "y": None}, "b": 1})
    assert hash_config({"b": 1, "a": {"y": None, "x": 0.5}}) == "696a4e1e3a67"


@pytest.mark.parametrize(
    ("overrides", "variant"),
    [
        ([], ""),
        (["seed=4", "data=standin", "results=elsewhere", "hardware.threads=2"], ""),
        (["task.optim.lr=0.02", "method.scale=2"], "method.scale=2.0, task.optim.lr=0.02"),
        (["task.model.dropout=0.1"], ""),  # what dfa has anyway
        (["task.model.dropout=0.3"], "task.model.dropout=0.3"),
        (["feedback_seed=9"], "feedback_seed=9"),
        ([*DEEPFM, "hardware.precision=bf16"], "hardware.precision=bf16"),
        (["alignment=false"], "alignment=False"),
        ([*DEEPFM, "hardware=gpu"], ""),  # no variant: at published size there may be no others
    ],
)
def test_the_variant_names_what_was_overridden(overrides, variant, folder):
    """Tables keep variants apart by this text; a run with another learning rate must not pass for the published one."""
    assert planned(*overrides).variant == variant


def test_another_configuration_never_overwrites_a_record(command):
    """Two budgets of one task, method and seed are two records; the first stays as it was, byte for byte."""
    command(run_command.main)(*GCN, "results=out", "task.epochs=2")
    (first,) = Path("out/records").rglob("*.json")
    before = first.read_bytes()
    command(run_command.main)(*GCN, "results=out", "task.epochs=3")
    records = list(iterate_records(Path("out/records")))
    assert {record.budget["epochs"] for record in records} == {2, 3}
    assert len({record.config_hash for record in records}) == 2 and first.read_bytes() == before
