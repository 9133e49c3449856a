"""The settings that a hash leaves out: a table decides it, which only grows; so old records stay what they were."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from benchmarks.catalogue.discovery import architectures
from benchmarks.records.packs import is_pack, read_pack, unpack
from benchmarks.records.record import hash_config
from benchmarks.settings import neutral
from benchmarks.settings.choices import options
from benchmarks.settings.compose import compose, load_plugins
from benchmarks.settings.neutral import ADDED, FIRST_RELEASE, without_neutral
from benchmarks.settings.schema import OptimConfig
from benchmarks.tasks.citation.config import CitationConfig, GCNConfig
from benchmarks.training import run as runs
from benchmarks.training.run import Run
from benchmarks.workers.plan import Selection, plan
from datasets.core.source import Source
from datasets.registry import find_dataset
from tests import REPOSITORY

GCN = ("task=citation/gcn_cora", "method=dfa", "profile=smoke")
EVIDENCE = REPOSITORY / "results" / "published" / "evidence"
PACKS = sorted(str(path.relative_to(EVIDENCE)) for path in EVIDENCE.rglob("*") if is_pack(path))
#: Runs of a pack that have the settings as shipped: a sweep finds them done. The others are variants, or of settings
#: that were shipped once. Who changes shipped settings on purpose changes the number, and says so.
SHIPPED = {
    "citation_paper.jsonl": 549,
    "criteo_10k_long.jsonl": 75,
    "criteo_137k_long.jsonl": 75,
    "criteo_standin_quick.jsonl": 75,
    "criteo_137k_tuned_long.jsonl": 30,
    "language_long.jsonl": 18,
    "language_rates.jsonl": 0,
    "methods_quick.jsonl.gz": 288,
    "methods_quick_criteo.jsonl.gz": 192,
    "methods_quick_fields.jsonl.gz": 48,
    "methods_quick_images.jsonl.gz": 192,
    "methods_quick_language.jsonl.gz": 48,
    "structural_paper.jsonl": 30,
    "tune/searched_quick_citation_cheb_cora.jsonl.gz": 3,
    "tune/searched_quick_citation_gae_cora.jsonl.gz": 4,
    "tune/searched_quick_citation_gat_cora.jsonl.gz": 5,
    "tune/searched_quick_citation_gcn_cora.jsonl.gz": 5,
    "tune/searched_quick_citation_spline_cora.jsonl.gz": 5,
    "tune/searched_quick_criteo_afn.jsonl.gz": 0,
    "tune/searched_quick_criteo_autoint.jsonl.gz": 0,
    "tune/searched_quick_criteo_dcn.jsonl.gz": 0,
    "tune/searched_quick_criteo_deepfm.jsonl.gz": 0,
    "tune/citation_gcn_cora_tuned.jsonl.gz": 6,
    "tune/criteo_137k_dcn_tuned.jsonl.gz": 0,
    "tune/criteo_137k_deepfm_tuned.jsonl.gz": 0,
    "tune/searched_quick_nerf_synthetic_lego.jsonl.gz": 0,
    "tune/searched_quick_wikitext2_macro.jsonl.gz": 0,
    "view_synthesis_long.jsonl": 12,
    "view_synthesis_rates.jsonl": 0,
}
GCN_ARCHITECTURE = architectures()["gcn"]

#: Every line that `ADDED` ever had, in its order: whoever adds one there adds it here. None leaves, or changes.
RELEASED = (
    ("NeRFConfig", "feature_relu", False),
    ("dfa", "rank", 0),
    ("dfa", "density", 1.0),
    ("dfa", "error", "exact"),
    ("dfa", "threshold", 0.1),
    ("dfa", "center", False),
    ("dfa", "noise", 0.0),
    ("dfa", "bits", 0),
    ("OptimConfig", "kind", "adam"),
    ("OptimConfig", "momentum", 0.0),
    ("dfa", "recompute", False),
    ("structural", "recompute", False),
    ("CriteoConfig", "split", "random"),
    ("PerceptronConfig", "mask_signals", False),
    ("PerceptronConfig", "feedback_below_middle", True),
)
#: Of these the settings that are no more. Records that were made with them have them in their configuration.
GONE = {("PerceptronConfig", "mask_signals")}

#: Settings of the first release's methods, all of which enter the hash.
METHODS = {"bp": {"name"}, "shallow": {"name"}, "dfa": {"name", "feedback", "scaling", "scale"}}


def gcn_with(**classes):
    """The GCN's entry with other classes than those that it names."""
    one = dataclasses.replace(GCN_ARCHITECTURE)
    vars(one).update(classes)
    return one


def test_the_first_release_is_never_edited():
    """An edited entry gives the records of one setting the hash of another, and no other test would see it."""
    text = json.dumps(FIRST_RELEASE, sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest()[:12] == "a37b7516ea22"


def test_no_addition_is_edited_or_removed():
    """The same for what came later; the types count as well, since False is 0 and 1.0 is 1 for Python."""
    assert list(map(repr, ADDED)) == list(map(repr, RELEASED)), "a line was edited or removed, or RELEASED lacks it"


def test_a_record_with_a_setting_that_is_gone_keeps_its_hash():
    """Without the line the record's configuration would have another hash than its name says."""
    model = {"hidden": 8, "mask_signals": False}
    task = {"architecture": "mlp", "optim": {}, "model": model}
    kept = without_neutral({"task": task, "method": {"name": "bp"}})["task"]["model"]
    assert "mask_signals" not in kept and kept["hidden"] == 8


def test_an_addition_has_one_entry_and_names_what_exists():
    """A typo in an entry would orphan every record there is, in silence."""
    pairs = [(owner, key) for owner, key, _ in ADDED]
    assert len(set(pairs)) == len(pairs)
    for owner, key in pairs:
        assert key not in FIRST_RELEASE.get(owner, {}), f"{owner}.{key}"
        assert (key in existing(owner)) != ((owner, key) in GONE), f"{owner}.{key}"


def existing(owner: str) -> set[str]:
    """The settings of a dataclass of the schema, or of a shipped method."""
    if owner in options("method"):
        return set(compose([f"method={owner}"]).method)
    classes = {c for a in architectures().values() for c in (a.task_config, a.model_config)}
    bases = {b for c in classes for b in c.__mro__} | {OptimConfig}
    (schema,) = {b for b in bases if b.__name__ == owner}
    return {field.name for field in dataclasses.fields(schema)}


def of_the_first_day(schema: type) -> set[str]:
    """The settings that came with a dataclass, whose runs have them in their hash: no run is older."""
    first = json.loads((Path(__file__).parent / "first_day.json").read_text())
    return {key for base in schema.__mro__ for key in first.get(base.__name__, ())}


@pytest.mark.parametrize("name", sorted(architectures()))
def test_a_new_setting_needs_its_neutral_value(name):
    """Without one, it enters every hash of its tasks: months of computing would not count as done any more.

    A dataclass that is new itself goes with all its settings into `first_day.json`.
    """
    architecture = architectures()[name]
    for schema in (architecture.task_config, architecture.model_config):
        values = OmegaConf.to_container(OmegaConf.structured(schema))
        known = set(neutral._neutral_of(schema)) | runs._WITHOUT_EFFECT | {"optim"} | of_the_first_day(schema)
        missing = [key for key, value in values.items() if key not in known and value != "???"]
        assert not missing, (
            f"{schema.__name__}.{missing[0]}: give its neutral value in benchmarks/settings/neutral.py, ADDED"
        )
    optim = OmegaConf.to_container(OmegaConf.structured(OptimConfig))
    assert set(optim) - set(neutral._neutral("OptimConfig")) == {"lr"}


def test_a_new_setting_of_a_method_needs_its_neutral_value():
    """The same for dfa's keywords."""
    for method, known in METHODS.items():
        found = set(compose([f"method={method}"]).method)
        assert found - set(neutral._neutral(method)) == known, f"{method}: give the neutral value in neutral.ADDED"


@pytest.fixture
def later(monkeypatch):
    """``later(default)``: the GCN's schema with another setting, `fresh`."""

    def of(default: bool) -> None:
        fields = [("fresh", bool, dataclasses.field(default=default))]
        schema = dataclasses.make_dataclass("Later", fields, bases=(CitationConfig,))
        monkeypatch.setitem(architectures(), "gcn", gcn_with(task_config=schema))
        load_plugins([])  # forgets what was composed

    yield of
    monkeypatch.undo()
    load_plugins([])


def hash_of(*overrides: str) -> str:
    return Run.plan([*GCN, *overrides]).config_hash


def test_a_setting_that_is_added_keeps_old_hashes(folder, later, monkeypatch):
    """Otherwise every new option with a harmless default would orphan the records there are."""
    before = hash_of()
    later(False)
    assert hash_of() != before  # no entry yet
    monkeypatch.setattr(neutral, "ADDED", (*neutral.ADDED, ("Later", "fresh", False)))
    assert hash_of() == before != hash_of("task.fresh=true")


def test_a_setting_of_a_method_that_is_added_keeps_old_hashes(folder, monkeypatch):
    """The same for a method's settings: `method.scale=1.0` stands for one that came later."""
    record = runs.determining(compose(GCN), Source("real", find_dataset("cora"), Path(), "f"))
    monkeypatch.setattr(neutral, "ADDED", (("dfa", "scale", 1.0),))
    assert "scale" not in without_neutral(record)["method"]
    other = {**record, "method": {**record["method"], "scale": 2.0}}
    assert without_neutral(other)["method"]["scale"] == 2.0


def test_another_default_is_another_hash(folder, later, monkeypatch):
    """The fault that the table is for: yesterday's records must not pass for runs of today's default."""
    monkeypatch.setattr(neutral, "ADDED", (("Later", "fresh", False),))
    later(False)
    old = hash_of()
    later(True)  # the default changes
    assert hash_of() != old == hash_of("task.fresh=false")


def test_a_changed_default_of_the_first_release_is_another_hash(folder, monkeypatch):
    """As above, with a setting that has always been there: the GCN's width."""
    old = hash_of()

    @dataclasses.dataclass
    class Wider(GCNConfig):
        hidden: int = 32

    monkeypatch.setitem(architectures(), "gcn", gcn_with(model_config=Wider))
    load_plugins([])
    try:
        assert hash_of() != old == hash_of("task.model.hidden=16")
    finally:
        monkeypatch.undo()
        load_plugins([])


@pytest.mark.parametrize("name", PACKS)
def test_committed_hashes_follow_from_the_settings_in_the_records(name):
    """A record whose hash is not that of its settings belongs to no configuration that anybody can name."""
    for record in read_pack(EVIDENCE / name):
        assert hash_config(without_neutral(record.config)) == record.config_hash, record.run_id


@pytest.mark.parametrize("name", PACKS)
def test_the_planner_finds_committed_evidence_done(name, folder, monkeypatch):
    """Else a sweep would train for weeks what is known, and tables would put two settings into one cell."""
    records = read_pack(EVIDENCE / name)
    unpack(EVIDENCE / name, Path("results/records"))
    sources = {
        r.dataset: Source(r.data["source"], find_dataset(r.dataset), Path(), r.data["fingerprint"]) for r in records
    }
    monkeypatch.setattr(runs, "resolve", lambda dataset, *rest: sources[dataset])
    methods = sorted({record.config["method"]["name"] for record in records})
    seeds = sorted({record.seed for record in records})
    (profile,) = {record.profile for record in records}
    planned = plan(Selection(profile, sorted({record.task for record in records}), methods, seeds))
    assert sum(run.recorded for run in planned) == SHIPPED[name]
