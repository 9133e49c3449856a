"""The settings and numbers of a run, as Weights & Biases gets them."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from benchmarks.records.record import Record

_IDENTITY = ("seed", "schema")  # they say which run it is, not what came of it


def settings_of(config: DictConfig, record: Record) -> dict[str, Any]:
    """The resolved configuration, and what the record says of data, code, libraries and machine."""
    return {
        **cast(dict[str, Any], OmegaConf.to_container(config, resolve=True)),
        "config_hash": record.config_hash,
        "variant": record.variant,
        "data_source": dict(record.data),
        "code": dict(record.code),
        "versions": dict(record.versions),
        "hardware": dict(record.hardware),
    }


def numbers_of(record: Record) -> dict[str, Any]:
    """Metrics, cost, budget and status: every number of the record under the name it has there."""
    values = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    numbers = {k: v for k, v in values.items() if isinstance(v, int | float) and k not in _IDENTITY}
    return {**numbers, **record.budget, **record.metrics, "status": record.status, "reason": record.reason}
