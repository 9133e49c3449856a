"""The flags of ``benchmarks.run``: Hydra's own, those that make sense here; a mistake ends in one line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.terminal.arguments import Parser

#: Flags of Hydra's that would look for settings elsewhere than a run does, and what to do instead.
_ELSEWHERE = {
    ("--config-path", "-cp"): "settings lie in conf/",
    ("--config-name", "-cn"): "conf/config.yaml is the root of every run",
    ("--config-dir", "-cd"): "put your files into conf/",
    ("--experimental-rerun",): "give the same overrides again",
}
_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


@dataclass(frozen=True)
class Flags:
    """The command line, apart: what Hydra is asked to do, and the overrides."""

    for_hydra: list[str]  # the flags, in an order that Hydra understands
    overrides: list[str]
    multirun: bool
    help: bool
    shows_settings: bool  # --cfg job
    package: str  # the part of them that is shown; "" for all
    runs: bool  # whether something is to be run, and not only shown


def parse(arguments: Sequence[str]) -> Flags:
    """Read the command line; flags may stand anywhere. Ends the program for a mistake: one line, exit code 2."""
    parser = _parser()
    chosen = parser.parse_intermixed_args(list(arguments))
    for names, fix_hint in _ELSEWHERE.items():
        if getattr(chosen, _destination(names[0])) is not None:
            parser.error(f"{names[0]}: {fix_hint}")
    commands = [chosen.run, chosen.multirun, chosen.shell_completion, chosen.cfg is not None, chosen.info is not None]
    shows_help = chosen.help or chosen.hydra_help
    if sum(commands) > 1:
        parser.error("give one of --run, --multirun, --cfg, --info and --shell-completion")
    if chosen.resolve and not (chosen.cfg or chosen.help):
        parser.error("--resolve: goes with --cfg job, as in --cfg job --resolve")
    if chosen.package is not None and not chosen.cfg:
        parser.error("--package: goes with --cfg job, as in --cfg job --package task")
    return Flags(
        for_hydra=_in_order(chosen),
        overrides=chosen.overrides,
        multirun=chosen.multirun,
        help=chosen.help,
        shows_settings=chosen.cfg == "job",
        package=(chosen.package or "") if chosen.cfg == "job" else "",
        runs=not (shows_help or chosen.cfg or chosen.info or chosen.shell_completion),
    )


def _in_order(chosen: argparse.Namespace) -> list[str]:
    switches = ("help", "hydra_help", "resolve", "run", "multirun", "shell_completion")
    flags = [f"--{name.replace('_', '-')}" for name in switches if getattr(chosen, name)]
    return flags + [f"--{name}={value}" for name in ("cfg", "package", "info") if (value := getattr(chosen, name))]


def _destination(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _parser() -> Parser:
    parser = Parser(prog="python -m benchmarks.run", add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--cfg", "-c", choices=("job", "hydra", "all"))
    parser.add_argument("--package", "-p")
    parser.add_argument("--info", "-i", nargs="?", const="all", choices=_INFO)
    for names in (
        *(("--help", "-h"), ("--hydra-help",), ("--resolve",), ("--run", "-r"), ("--multirun", "-m")),
        *(("--shell-completion", "-sc"),),
    ):
        parser.add_argument(*names, action="store_true")
    for elsewhere in _ELSEWHERE:
        parser.add_argument(*elsewhere)
    parser.add_argument("--version", action="version", version=_version())
    return parser


def _version() -> str:
    from hydra import __version__

    return f"Hydra {__version__}"
