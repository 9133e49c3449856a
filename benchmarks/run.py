"""Run one task: ``python -m benchmarks.run task=citation/gcn_cora method=dfa seed=3``."""

from __future__ import annotations

import sys
import textwrap
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from omegaconf import DictConfig, OmegaConf

from benchmarks.compose import (
    CONF,
    GROUPS,
    check_overrides,
    combinations,
    compose,
    fail,
    load_plugins,
    options,
    plugins_named_in,
    with_list_of_plugins,
)
from benchmarks.config import register_schema
from benchmarks.interrupt import Interrupted, stop_signal


def main() -> None:
    """Check the command line, then hand over to Hydra (which knows --help, --cfg, --multirun)."""
    sys.argv[1:] = map(with_list_of_plugins, sys.argv[1:])
    try:
        flags = get_args_parser().parse_args()
        _check(flags.overrides, flags.multirun)
        choices = _choices() if flags.help else ""
        OmegaConf.register_new_resolver("choices", lambda: choices, replace=True)
        _hydra_main()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        raise SystemExit(130) from None


def _check(overrides: list[str], multirun: bool) -> None:
    """Everything that can be known to be wrong before PyTorch is imported, of every run that is asked for."""
    register_schema()
    try:
        load_plugins(plugins_named_in(overrides))
        check_overrides(overrides)
        for wanted in combinations(overrides) if multirun else [overrides]:
            compose(wanted)
    except ValueError as error:
        fail(error)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def _hydra_main(config: DictConfig) -> Any:
    from hydra.core.hydra_config import HydraConfig

    _run(list(HydraConfig.get().overrides.task))


def _run(overrides: list[str]) -> None:
    """Execute one run and say what came of it."""
    from benchmarks.runs import Busy, Run, claimed
    from benchmarks.wandb_logging.connection import check_account

    try:
        run = Run.plan(overrides)
        with claimed(run), stop_signal() as stop:
            if (record := run.finished_record()) is not None:
                shown = "  ".join(f"{key} {value:.4g}" for key, value in record.metrics.items())
                sys.stdout.write(f"{run.id}: recorded before ({record.status})  {shown}\n")
                return
            check_account(run.config.logger)
            from benchmarks.execute import execute  # imports PyTorch, which takes seconds

            execute(run, lambda: stop.requested, console=True)
    except (Busy, ValueError, OSError) as error:  # settings, data, marks, a full disk: the user's to put right
        fail(error)
    except Interrupted:
        sys.stderr.write("interrupted; the same command continues where it stopped\n")
        raise SystemExit(130) from None
    sys.stdout.write(f"  record: {run.records / run.id}.json\n")
    if stop.requested:  # during the last evaluation: this run is recorded, a multirun does not go on
        raise KeyboardInterrupt


def _choices() -> str:
    """The options of every group, for --help; the first line is indented by the template."""
    texts = [f"{group:<10}{', '.join(options(group))}" for group in GROUPS]
    return "\n  ".join(textwrap.fill(text, 110, subsequent_indent=" " * 12) for text in texts)


if __name__ == "__main__":
    main()
