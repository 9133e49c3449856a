"""Shared by the commands that time steps: options of the machine, where it was, and the timings as JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed.rounds import BURST
from benchmarks.terminal.arguments import Parser, positive
from benchmarks.training.machine import hardware, torch_device, versions


def add_machine_options(parser: Parser, repeats: int) -> None:
    """Options of how to measure, and on what."""
    parser.add_argument("--repeats", type=positive, default=repeats, metavar="N", help=f"timed rounds ({repeats})")
    parser.add_argument("--threads", type=positive, default=2, metavar="N", help="threads of PyTorch (2)")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="bf16: under autocast")
    parser.add_argument("--device", choices=tuple(BURST), default="cpu")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write every timing there")


def parse(parser: Parser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; a device that is not there, or a folder to write to, ends the command in one line."""
    options = parser.parse_args(arguments)
    if options.json and not options.json.parent.is_dir():
        parser.error(f"argument --json: there is no folder {options.json.parent}")
    try:
        torch_device(options.device)
    except ValueError:
        parser.error("argument --device: PyTorch finds no CUDA device here")
    return options


def where(options: argparse.Namespace) -> str:
    """The machine, for a table's title."""
    return f"threads: {options.threads}" if options.device == "cpu" else str(hardware()["accelerator"])


def write_timings(options: argparse.Namespace, name: str, told: Mapping[str, Any]) -> None:
    """Write ``told`` as ``name``, with machine and settings, if a file was asked for."""
    if not options.json:
        return
    settings = {key: value for key, value in vars(options).items() if key != "json"}
    report = {"machine": {**versions(), **hardware()}, "settings": settings, name: told}
    options.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
