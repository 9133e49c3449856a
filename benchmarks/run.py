"""Run one task: ``python -m benchmarks.run task=citation/gcn_cora method=dfa seed=3``."""

from __future__ import annotations

import sys
from typing import Any

import hydra
from omegaconf import DictConfig

from benchmarks.compose import UsageError, check_overrides, compose, fail, load_plugins, plugins_named_in
from benchmarks.config import register_schema


def main() -> None:
    """Check the command line, then hand over to Hydra (which knows --help, --cfg, --multirun)."""
    overrides = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    register_schema()
    try:
        load_plugins(plugins_named_in(overrides))
        check_overrides(overrides)
        if not {"-m", "--multirun"} & set(sys.argv):
            compose(overrides)
    except ValueError as error:
        fail(error)
    _hydra_main()


@hydra.main(version_base="1.3", config_path="../conf", config_name="config")
def _hydra_main(config: DictConfig) -> Any:
    from hydra.core.hydra_config import HydraConfig

    _run(list(HydraConfig.get().overrides.task))


def _run(overrides: list[str]) -> None:
    """Execute one run and say what came of it."""
    from benchmarks.checkpoint import stop_signal
    from benchmarks.execute import Busy, Run, claimed, execute
    from benchmarks.loop import Interrupted
    from datasets.errors import DataError
    from dfa_core import FeedbackError

    try:
        run = Run.plan(overrides)
        if (record := run.finished_record()) is not None:
            shown = "  ".join(f"{key} {value:.4g}" for key, value in record.metrics.items())
            sys.stdout.write(f"{run.id}: recorded before ({record.status})  {shown}\n")
            return
        with claimed(run), stop_signal() as stop:
            execute(run, lambda: stop.requested, console=True)
    except (Busy, DataError, FeedbackError, UsageError, ValueError) as error:
        fail(error)
    except Interrupted:
        sys.stderr.write("interrupted; the same command continues where it stopped\n")
        raise SystemExit(130) from None
    sys.stdout.write(f"  record: {run.records / run.id}.json\n")


if __name__ == "__main__":
    main()
