"""Spoilt records, packs, baselines and histories, through every command that reads them."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from hypothesis import strategies as st

from benchmarks import baseline, evidence
from benchmarks.compare import __main__ as compare
from benchmarks.curves import __main__ as curves
from benchmarks.embeddings import __main__ as embeddings
from benchmarks.history import __main__ as trend
from benchmarks.records import packs, run_history
from benchmarks.records.record import artefact_path, iterate_records, write_record
from benchmarks.render import __main__ as render
from benchmarks.report import __main__ as report
from benchmarks.tables import __main__ as tables
from benchmarks.tasks.hidden_layer.file import Embedding, packed
from benchmarks.tasks.view_synthesis.config import NeRFConfig
from benchmarks.tasks.view_synthesis.rendering import NeRF
from datasets.registry import resolve
from tests.helpers.report_samples import POINTS, history, picture
from tests.helpers.results_samples import record, records, save
from tests.hostile.mutations import Change, changes, spoil
from tests.hostile.suite import call, check, listing

MODEL = {"depth": 2, "width": 16, "position_frequencies": 4, "direction_frequencies": 2, "density_bias": 0.3}
COLUMNS = "step,epoch,train_loss,lr,valid_accuracy,alignment_cosine_mean/points.2,train_seconds"
ROWS = [(10, 1, 2.0, 0.1, 60.0, 0.1, 1.0), (20, 2, 1.5, 0.1, 70.0, "", 2.0), (30, 3, 1.0, 0.1, 75.0, 0.3, 3.0)]
#: Command → which of its inputs may be spoilt, as patterns below the results folder.
LOCAL, PACKED = "records/**/*.json", "evidence/*"
INPUTS = {
    "tables": (LOCAL, PACKED),
    "tables --show": (LOCAL, PACKED),
    "report": (LOCAL, PACKED, "records/**/*.csv"),
    "compare baseline": (LOCAL, PACKED, "published/baselines/*"),
    "compare pack": (LOCAL, PACKED),
    "history": ("published/history/*",),
    "render": ("records/smoke/nerf_synthetic/**/*.json",),
    "evidence pack": (LOCAL, "records/**/*.csv"),
    "evidence unpack": (PACKED,),
    "baseline check": (LOCAL, PACKED, "published/baselines/*", "records/**/*.csv"),
    "baseline write": (LOCAL, PACKED, "published/history/*", "records/**/*.csv"),
    "curves": (LOCAL, PACKED, "records/**/*.csv"),
    "embeddings": (LOCAL, PACKED),
}
#: Commands that draw take seconds: they come half as often as the others.
DRAWING = ("report", "curves", "embeddings", "history")
#: Commands whose exit code 1 says that results are worse.
JUDGES = ("compare baseline", "compare pack", "baseline check")


@dataclass(frozen=True)
class Example:
    """A command, and one or two of its inputs spoilt: (which pattern, which of its files, how)."""

    command: str
    spoilt: tuple[tuple[int, int, tuple[Change, ...]], ...]


_SPOILT = st.tuples(st.integers(0, 9), st.integers(0, 99), changes().map(tuple))


_COMMANDS = sorted(INPUTS) + sorted(INPUTS.keys() - set(DRAWING))


class Hostile:
    """The suite."""

    examples = st.builds(Example, st.sampled_from(_COMMANDS), st.lists(_SPOILT, min_size=1, max_size=2).map(tuple))

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        os.environ["DFA_CACHE_DIR"] = str(folder / "cache")
        self.template = folder / "template"
        filled(self.template)
        self._number = 0

    def attempt(self, example: Example) -> str:
        """The command ends with 0 or 2 and lines that say why, and writes nothing but in the results folder."""
        self._number += 1
        home = self._folder / f"home{self._number}"
        results = home / "a" / "b" / "c" / "results"  # deep: names with ../ shall stay within what is looked at
        try:
            shutil.copytree(self.template, results, symlinks=True)
            outside = home / "outside"
            outside.mkdir()
            (outside / "kept.json").write_text("{}")
            for which, number, made in example.spoilt:
                patterns = INPUTS[example.command]
                files = [path for path in sorted(results.glob(patterns[which % len(patterns)])) if path.is_file()]
                if files:
                    spoil(files[number % len(files)], list(made), outside)
            before = listing(home, results)
            ended = call(*command_of(example.command, results))
            check(ended, (0, 1, 2) if example.command in JUDGES else (0, 2))
            assert listing(home, results) == before, "something was written outside the results folder"
        finally:
            shutil.rmtree(home, ignore_errors=True)
        return f"{example.command} → {ended.code}"


def command_of(name: str, results: Path):
    """The main function, and its arguments."""
    given = ["--results", str(results)]
    pack, local = results / "evidence" / "more.jsonl", ["--records", str(results / "records")]
    match name:
        case "tables":
            return tables.main, given
        case "tables --show":
            return tables.main, [*given, "--show"]
        case "report":
            return report.main, given
        case "compare baseline":
            return compare.main, [
                str(results / "published" / "baselines" / "smoke.json"),
                str(results),
                "--profile",
                "smoke",
            ]
        case "compare pack":
            return compare.main, [str(pack), str(results)]
        case "history":
            return trend.main, given
        case "render":
            file = next((results / "records").glob("smoke/nerf_synthetic/lego/*/*.json"))
            return render.main, [str(file), "--frames", "1", "--scale", "0.1"]
        case "evidence pack":
            return evidence.main, ["pack", str(results / "evidence" / "new.jsonl.gz"), *local, "--histories", "2"]
        case "evidence unpack":
            return evidence.main, ["unpack", str(pack), *local]
        case "baseline check":
            return baseline.main, ["check", *given]
        case "baseline write":
            return baseline.main, ["write", *given]
        case "curves":
            return curves.main, [*given, "--variants"]
    return embeddings.main, [*given, "--tasks", "*"]


def filled(results: Path) -> None:
    """A results folder with a file of each kind, as small as they get."""
    common = {"code": {"commit": "c0ffee", "dirty": False}, "hardware": {"cores": 2}, "versions": {"torch": "2.13"}}
    made = []
    for method, values in {"bp": [80.0, 81.0], "dfa": [79.0, 79.5], "shallow": [36.0, 37.0]}.items():
        alignment = {"points": POINTS, "order": list(POINTS), "parameters": {"weight": 0.5}} if method == "dfa" else {}
        made += records(values, method=method, alignment=alignment, artefacts=["embedding.npz"], **common)
        smoke = {"profile": "smoke", "source": "stand-in", "finished": "2026-01-02T10:00:00+00:00"}
        made += records(values[:1], method=method, **smoke, **common)
    made += [record(None, 2, status="diverged", reason="the training loss is not finite", **common)]
    made += [record(82.0, variant="task.optim.lr=1", config_hash="v", **common)]
    save(results, made)
    for one in made[:6]:
        history(results, one, ROWS, COLUMNS)
    for one in made:
        if one.artefacts:
            one.metrics |= {"silhouette": 0.5, "knn_accuracy": 90.0}
            path = artefact_path(write_record(one, results / "records"), "embedding.npz")
            path.write_bytes(packed(_embedding(one.seed)))
    _nerf(results)
    folder = results / "evidence"
    more = [replace(one, dataset="pubmed", task="citation/gcn_pubmed") for one in made if one.profile == "paper"]
    histories = run_history.local_histories(made, results / "records")
    by_new_name = {f"{name.replace('cora', 'pubmed')}": history for name, history in histories.items()}
    packs.pack(more, folder / "more.jsonl", by_new_name)
    again = [replace(one, dataset="citeseer", task="citation/gcn_citeseer") for one in made]
    packs.pack(again, folder / "zipped.jsonl.gz")
    for date in ("2026-02-01", "2026-02-02"):
        fields = {"finished": date, "code": {"commit": f"c{date}", "dirty": False}}
        smoke = [replace(one, **fields) for one in iterate_records(results / "records") if one.profile == "smoke"]
        save(results, smoke)
        ended = call(baseline.main, ["write", "--results", str(results)])
        assert ended.code == 0, ended.err
    picture(results / "figures" / "paper" / "citation" / "gcn_cora_embedding.png")


def _embedding(seed: int) -> Embedding:
    start = np.random.default_rng(seed).normal(size=(12, 3)).astype(np.float32)
    return Embedding(np.arange(12), np.arange(12) % 3, start + 1, start)


def _nerf(results: Path) -> None:
    """A scene's record with its weights: what can be rendered."""
    source = resolve("nerf_synthetic/lego", "standin", "smoke")
    task = {"model": MODEL, "chunk": 100, "downscale": 1, "coarse_samples": 4, "fine_samples": 4}
    scene = record(20.0, architecture="nerf", dataset="nerf_synthetic/lego", domain="view_synthesis",
                   metric="psnr", profile="smoke", artefacts=["weights.pt"],
                   data={"source": "stand-in", "fingerprint": source.fingerprint})  # fmt: skip
    scene = replace(scene, task="nerf_synthetic/lego", config={"task": task})
    path = write_record(scene, results / "records")
    torch.save(NeRF(NeRFConfig(**MODEL)).state_dict(), artefact_path(path, "weights.pt"))
