"""A connection to Weights & Biases that may break at any moment without disturbing the run that uses it."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from benchmarks.records import paths

log = logging.getLogger(__name__)

#: Seconds that each call may take; training waits no longer than that.
INIT_SECONDS, SEND_SECONDS, UPLOAD_SECONDS, TEARDOWN_SECONDS = 60.0, 60.0, 300.0, 10.0


def check_account(logger: DictConfig) -> None:
    """Ask for an account before anything is trained, if ``logger`` (the configuration's group) needs one.

    Raises:
        ValueError: ``logger.mode=online`` without an account.
    """
    if logger.name != "wandb" or logger.mode != "online":
        return
    import wandb

    try:
        wandb.login(verify=False)  # a server that cannot be reached is no reason not to train
    except wandb.Error as error:
        raise ValueError(f"logger=wandb: {error} (logger.mode=offline needs no account)") from error


class Connection:
    """One wandb run. The first error ends it: one warning names it, and whatever is sent later goes nowhere.

    What wandb raises depends on where it broke: its own errors, those of sockets, files and pydantic. A call that
    takes too long counts as an error.

    Args:
        about: whose numbers these are, for the warning.
        logger: the configuration's group: project and mode.
        results: the results folder; wandb's own files go to ``work/wandb`` there.
        options: further arguments of ``wandb.init``.
    """

    def __init__(self, about: str, logger: DictConfig, results: Path, **options: Any) -> None:
        self._about = about
        self._run: Any = None
        try:
            self._run = _open(logger, results, options)
        except Exception as error:  # noqa: BLE001
            self._give_up(error)

    def send(self, call: Callable[[Any], object], seconds: float | None = None) -> None:
        """Let ``call`` do something with the ``wandb.Run``, unless the connection is broken."""
        if self._run is None:
            return
        run = self._run
        try:
            _within(SEND_SECONDS if seconds is None else seconds, lambda: call(run))
        except Exception as error:  # noqa: BLE001
            self._give_up(error)

    def close(self, ok: bool) -> None:
        """Nothing more will be sent; waits until what was sent is written or uploaded."""
        grace = 2 * TEARDOWN_SECONDS  # wandb knows the limit too, and is asked to keep it first
        self.send(lambda run: run.finish(exit_code=0 if ok else 1), UPLOAD_SECONDS + grace)
        self._run = None

    def _give_up(self, error: Exception) -> None:
        self._run = None
        reason = f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(": ")
        log.warning("%s: wandb receives nothing more (%s); the record is kept as always", self._about, reason)
        # Its service may be dead: taken down here, it cannot fail again when Python ends, and the next run of this
        # process starts another. That this fails as well is to be expected, and has been said.
        with contextlib.suppress(Exception):
            _within(TEARDOWN_SECONDS, _tear_down)


def _open(logger: DictConfig, results: Path, options: dict[str, Any]) -> Any:
    import wandb

    folder = paths.work(results).resolve()  # wandb's service has a current folder of its own
    folder.mkdir(parents=True, exist_ok=True)
    settings = wandb.Settings(
        silent=True,
        console="off",  # what is printed here must not pass through something that may break
        x_disable_stats=True,  # watching the machine would take time from the training that is being timed
        init_timeout=INIT_SECONDS,
        finish_timeout=UPLOAD_SECONDS,
        finish_timeout_raises=True,
    )
    return wandb.init(
        project=logger.project,
        mode=logger.mode,
        dir=str(folder),
        reinit="finish_previous",
        settings=settings,
        **options,
    )


def _tear_down() -> None:
    import wandb

    wandb.teardown(exit_code=1)


def _within(seconds: float, call: Callable[[], object]) -> None:
    """Call; raises what ``call`` raises, or TimeoutError after ``seconds``, leaving it to itself."""
    outcome: Future[None] = Future()

    def work() -> None:
        try:
            call()
        except SystemExit as error:  # its teardown does that when the service has died
            outcome.set_exception(RuntimeError(f"wandb wants to exit with {error.code}"))
        except BaseException as error:  # noqa: BLE001  (raised again by the thread that waits)
            outcome.set_exception(error)
        else:
            outcome.set_result(None)

    threading.Thread(target=work, daemon=True).start()
    try:
        outcome.result(seconds)
    except TimeoutError as error:
        if outcome.done():
            raise  # wandb's own
        raise TimeoutError(f"no answer in {seconds:g} s") from error
