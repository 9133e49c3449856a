"""A recorded run of view synthesis, loaded again: its fields, its scene, and how it rendered them."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmarks.catalogue.discovery import architectures
from benchmarks.records.record import Record, artefact_path, read_record
from benchmarks.settings.choices import options
from benchmarks.tasks.data_sources import resolve
from benchmarks.tasks.view_synthesis.config import NeRFConfig, RenderOptions, ViewSynthesisConfig
from benchmarks.tasks.view_synthesis.reconstruction import WEIGHTS, render_options, scene_options
from benchmarks.tasks.view_synthesis.rendering import NeRF
from datasets.core.source import Source
from datasets.scenes.load import Scene, load_scene

#: The most of each setting that is rendered; published are 64 and 128 samples, and chunks of 4096 rays.
_MOST = {
    **{"coarse_samples": 4096, "fine_samples": 4096, "chunk": 2**31, "downscale": 64, "llff_factor": 64},
    **{"longest_side": 100_000, "every_test_view": 10**6, "holdout": 10**6},
}
#: Points of all rays of a chunk together: what bounds the memory. Chunks change no picture.
_MOST_POINTS = 2**20


@dataclass(frozen=True)
class Recorded:
    """A trained model with the scene that it learned. chunk: rays to be rendered at once."""

    model: NeRF
    scene: Scene
    options: RenderOptions
    chunk: int


def load_recorded(path: Path) -> Recorded:
    """Everything needed to render the scene of the record at ``path``; on the CPU.

    Raises ValueError (DataError where the data are at fault), one line, if that is no record of a finished run of view
    synthesis, its weights are not beside it, or the data are not those that it learned.
    """
    if not path.is_file():
        raise ValueError(f"{path}: there is no such record; records are results/records/**/*.json")
    record = read_record(path)
    config = _task_config(record, path)
    if record.status != "ok":
        raise ValueError(f"{path}: the run is recorded as {record.status} ({record.reason}); nothing can be rendered")
    source = _source(record, path)  # before the weights: other data are found in no time
    model = _model(config, artefact_path(path, WEIGHTS), record)
    scene = load_scene(source, scene_options(config))
    chunk = min(config.chunk, _MOST_POINTS // (config.coarse_samples + config.fine_samples))
    return Recorded(model, scene, render_options(config, scene), chunk)


def _task_config(record: Record, path: Path) -> ViewSynthesisConfig:
    architecture = architectures().get(record.architecture)
    if architecture is None or not issubclass(architecture.task_config, ViewSynthesisConfig):
        raise ValueError(f"{path}: a run of {record.task}, which is not view synthesis; it has no scene to render")
    try:
        values = record.config["task"]
        # What was not yet a setting when the record was written has its default.
        OmegaConf.merge(OmegaConf.structured(architecture.task_config), values)
        OmegaConf.merge(OmegaConf.structured(architecture.model_config), values["model"])
        config: ViewSynthesisConfig = architecture.task_config(**values)
        _check_sizes(config)
    except (KeyError, TypeError, ValueError, AttributeError, OmegaConfBaseException) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: its configuration does not fit this version ({reason}); {_again(record)}") from error
    return config


def _check_sizes(config: ViewSynthesisConfig) -> None:
    """Raise ValueError if a setting asks for what no machine renders, or for nothing."""
    for name, most in _MOST.items():
        value = getattr(config, name)
        if value is not None and not 1 <= value <= most:
            raise ValueError(f"{name}={value}: must be from 1 to {most}")


def _source(record: Record, path: Path) -> Source:
    """The data that the run learned, and no others: cameras and bounds come from them."""
    choice = "real" if record.data.get("source") == "real" else "standin"
    source = resolve(record.dataset, choice, record.profile)
    if source.fingerprint != record.data.get("fingerprint"):
        what = f"{source.kind} data {record.data.get('fingerprint')}, those in {source.folder} are {source.fingerprint}"
        other = "point DFA_DATA_DIR at the former, or " if choice == "real" else ""
        raise ValueError(f"{path}: the run learned the {what}; {other}{_again(record)}")
    return source


def _model(config: ViewSynthesisConfig, path: Path, record: Record) -> NeRF:
    if not path.is_file():
        raise ValueError(f"{path}: the weights of this run are missing; {_again(record)}")
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
        largest = max(len(weights), *(side for tensor in weights.values() for side in tensor.shape))
        if bad := [name for name, value in config.model.items() if isinstance(value, int) and value > largest]:
            raise ValueError(f"{bad[0]}={config.model[bad[0]]}, and no side of them is longer than {largest}")
        # Others would be converted, and give a picture of nothing.
        if bad := [name for name, w in weights.items() if not (w.is_floating_point() and bool(w.isfinite().all()))]:
            raise ValueError(f"{bad[0]}: not all of it are finite floating-point numbers")
        model = NeRF(NeRFConfig(**config.model))
        model.load_state_dict(weights)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a damaged file can raise anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path}: not the weights of this run ({reason}); {_again(record)}") from error
    return model.eval()


def _again(record: Record) -> str:
    """How to repeat a run; what is recorded is skipped."""
    data = "real" if record.data.get("source") == "real" else "standin"
    dataset = f"task.dataset={record.dataset}"
    task = record.task if record.task in options("task") else f"{_shipped(record)} {dataset}"
    command = f"task={task} method={record.method} profile={record.profile} seed={record.seed} data={data}"
    others = ", ".join(one for one in record.variant.split(", ") if one and not (one == dataset and dataset in task))
    changes = f" with {others}" if others else ""
    return f"move the record away and run it again: python -m benchmarks.run {command}{changes}"


def _shipped(record: Record) -> str:
    """The task that a run on data of one's own was made of: a capture's is named after its folder."""
    alike = [name for name in options("task") if name.partition("/")[0] == record.task.partition("/")[0]]
    return next(iter(get_close_matches(record.task, alike, n=1, cutoff=0.0)), record.task)
