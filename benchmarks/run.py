"""Run one task: ``python -m benchmarks.run task=citation/gcn_cora method=dfa seed=3``."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmarks.settings import flags
from benchmarks.settings.choices import GROUPS, options
from benchmarks.settings.compose import check_overrides, combinations, compose, load_plugins
from benchmarks.settings.conf_files import CONF
from benchmarks.settings.overrides import Overrides, expanded, plugins_named_in
from benchmarks.settings.plugins import located
from benchmarks.settings.quoting import with_list_of_plugins
from benchmarks.terminal import guard
from benchmarks.terminal.errors import UsageError
from benchmarks.terminal.torchrun import follows, started_by_torchrun
from benchmarks.training.interrupt import CONTINUES, Interrupted, stop_signal

if TYPE_CHECKING:
    from benchmarks.records.record import Record
    from benchmarks.training.run import Run


@guard.command
def main() -> None:
    """Check the command line, then hand over to Hydra (which knows --cfg, --info, --multirun)."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # its errors come out here; else it prints them in its own way
    given = flags.parse([with_list_of_plugins(argument) for argument in sys.argv[1:]])
    try:
        overrides = _checked(given)
        settings = _settings(given) if given.help or given.shows_settings else ""
    except UsageError as error:
        if not (given.help and not given.overrides):
            _fail(error)
        settings = f"  (those of the task that runs unasked cannot be shown: {error})\n"
    except ValueError as error:
        _fail(error)
    if given.help:
        sys.stdout.write(_HELP.format(choices=_choices(), settings=settings))
        return
    if given.shows_settings:  # Hydra would show them without those that a search has found
        sys.stdout.write(settings)
        return
    sys.argv[1:] = [*given.for_hydra, *overrides]
    try:
        _hydra_main()
    except (HydraException, OmegaConfBaseException) as error:
        guard.fail(str(error).partition("\n")[0])


#: Hydra has a --help of its own, which takes six seconds to list sixty tasks.
_HELP = """Trains one architecture on one dataset with one method, and records the result.

  python -m benchmarks.run task=citation/gcn_cora method=dfa profile=paper seed=3
  python -m benchmarks.run -m seed=0,1,2 method=bp,dfa       several runs, one after another
  python -m benchmarks.run task=citation/gat_cora --cfg job --resolve      what would run

Choose one of each (group=option):
  {choices}

Override any setting (key=value). Those of the current choice:

{settings}
See also: python -m benchmarks.sweep --help (many runs), benchmarks.tables, benchmarks.compare, benchmarks.data
"""


def _settings(given: flags.Flags) -> str:
    """The settings that the run would have, or those of a part (``--package task.model``), as YAML."""
    config = compose(given.overrides)
    if not given.package:
        return OmegaConf.to_yaml(config)
    part = OmegaConf.select(config, given.package)
    if not OmegaConf.is_config(part):
        raise UsageError(f"--package {given.package}: no part of the settings; choose one such as task or task.model")
    return OmegaConf.to_yaml(part)


def _checked(given: flags.Flags) -> Overrides:
    """Find everything that can be known to be wrong before PyTorch is imported, in every run that is asked for.

    Returns the overrides as Hydra is to see them.
    """
    asked = Overrides.of(given.overrides)
    if plugins := plugins_named_in(asked):
        load_plugins(plugins)
    check_overrides(asked)
    overrides = expanded(asked, options) if given.multirun else asked
    for wanted in combinations(overrides) if given.multirun else [overrides]:
        compose(wanted)
    return overrides


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def _hydra_main(config: DictConfig) -> Any:
    from hydra.core.hydra_config import HydraConfig

    _run(list(HydraConfig.get().overrides.task))


@guard.command  # inside Hydra as well, which has a line of its own for what leaves a job
def _run(overrides: Sequence[str]) -> None:
    """Execute one run and say what came of it."""
    from benchmarks.records import paths
    from benchmarks.training.run import Busy, Run, claimed
    from benchmarks.wandb_logging.connection import check_account

    try:
        run = Run.plan(overrides)
        paths.make(Path(run.config.results))
        with nullcontext() if follows() else claimed(run), stop_signal() as stop:
            record = None if follows() else run.reuse()
            if record is not None:
                shown = "  ".join(f"{key} {value:.4g}" for key, value in record.metrics.items())
                sys.stdout.write(f"{run.id}: recorded before ({record.status})  {shown or record.reason}\n")
            if _leader_has(record, run) if started_by_torchrun() else record is not None:
                return
            check_account(run.config.logger)
            from benchmarks.training.execute import execute  # imports PyTorch, which takes seconds
            from benchmarks.training.processes import joined

            try:
                processes = joined(run.config.hardware.device)
                record = execute(run, lambda: stop.requested, console=True, processes=processes)
            except SystemExit as error:  # a method of the user's own; its exit code would pass for ours
                guard.fail(f"{run.id}: {run.config.method.name} ended the program (sys.exit({error.code}))")
    except (Busy, ValueError) as error:  # settings, data, marks: the user's to put right
        _fail(located(error))
    except Interrupted:
        _say(sys.stderr, CONTINUES)
        raise SystemExit(stop.exit_code) from None
    if record.status == "skipped":
        _say(sys.stdout, f"  skipped: {record.reason}")
    _say(sys.stdout, f"  record: {run.records / run.id}.json")
    if stop.requested:  # during the last evaluation: this run is recorded, a multirun does not go on
        _say(sys.stderr, "interrupted")
        raise SystemExit(stop.exit_code)


def _leader_has(record: Record | None, run: Run) -> bool:
    """Whether the first of several processes found the run recorded."""
    from benchmarks.training.processes import joined

    return joined(run.config.hardware.device).from_leader(lambda: record is not None)


def _say(stream: TextIO, line: str) -> None:
    """One line, by one of several processes."""
    if not follows():
        stream.write(f"{line}\n")


def _fail(error: Exception | str) -> NoReturn:
    """End for a fault that is the user's, and that all of several processes have found: one says so."""
    if follows():
        raise SystemExit(2)
    guard.fail(error)


def _choices() -> str:
    """The options of every group; the first line is indented by the text of --help."""
    texts = [f"{group:<10}{', '.join(options(group))}" for group in GROUPS]
    return "\n  ".join(textwrap.fill(text, 110, subsequent_indent=" " * 12) for text in texts)


if __name__ == "__main__":
    main()
