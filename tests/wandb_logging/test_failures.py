"""Whatever goes wrong with Weights & Biases, the run is trained and recorded; one warning says what was lost."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from benchmarks import run as run_command
from benchmarks import sweep
from benchmarks.training import execute as execute_module
from benchmarks.training.execute import execute
from benchmarks.training.interrupt import Interrupted
from benchmarks.training.run import Run
from benchmarks.wandb_logging import connection
from benchmarks.workers.workload import Tally
from tests.helpers.fake_wandb import HANG, ROWS, install, make_logger
from tests.helpers.results_samples import record

GCN = ("task=citation/gcn_cora", "profile=smoke", "task.epochs=4", "method=dfa", "results=out")


def warnings(caplog):
    return [entry.getMessage() for entry in caplog.records if entry.levelno >= logging.WARNING]


def send_everything(tmp_path):
    """A run's life as the logger sees it."""
    it = make_logger(tmp_path)
    it.start(record(), [])
    for row in ROWS:
        it.log(row)
    it.finish(record())


@pytest.mark.parametrize(
    ("where", "rows_sent"), [(("init", 1), 0), (("log", 3), 2), (("summary", 1), 3), (("finish", 1), 3)]
)
@pytest.mark.parametrize("trouble", [OSError("disk full"), ConnectionResetError(), RuntimeError("first\nsecond")])
def test_the_first_error_ends_it_with_one_warning(where, rows_sent, trouble, tmp_path, caplog, monkeypatch):
    """wandb raises what its sockets, files and servers raise; any of it would otherwise end hours of training."""
    fake = install(monkeypatch, {where: trouble})
    send_everything(tmp_path)
    (warning,) = warnings(caplog)
    reason = f"{type(trouble).__name__}: {trouble}".splitlines()[0].rstrip(": ")
    assert f"wandb receives nothing more ({reason})" in warning and record().run_id in warning
    assert "\n" not in warning
    assert sum(len(run.rows) for run in fake.runs) == rows_sent
    assert fake.calls[where[0]] == where[1]  # what has failed is not asked again
    assert fake.calls["teardown"] == 1


@pytest.mark.parametrize("where", [("log", 2), ("finish", 1), ("teardown", 1)])
def test_wandb_does_not_end_the_process(where, tmp_path, caplog, monkeypatch):
    """Its teardown calls sys.exit when its service was killed: the run would end without a record."""
    earlier = {("log", 1): OSError("disk full")} if where[0] == "teardown" else {}
    install(monkeypatch, {**earlier, where: SystemExit(-9)})
    send_everything(tmp_path)
    (warning,) = warnings(caplog)
    assert "wandb receives nothing more" in warning


@pytest.mark.parametrize("where", [("log", 2), ("finish", 1)])
def test_a_call_that_does_not_return_is_left_behind(where, tmp_path, caplog, monkeypatch):
    """A network that swallows packets raises nothing: a sweep would stand still for good."""
    fake = install(monkeypatch, {where: HANG})
    for name in ("SEND_SECONDS", "UPLOAD_SECONDS", "TEARDOWN_SECONDS"):
        monkeypatch.setattr(connection, name, 0.2)
    try:
        send_everything(tmp_path)
        assert fake.calls[where[0]] == where[1]  # that of a hanging call is over, though the call is not
    finally:
        fake.released.set()
    (warning,) = warnings(caplog)
    assert "TimeoutError: no answer in" in warning


def test_a_teardown_that_fails_or_hangs_as_well_is_not_reported_twice(tmp_path, caplog, monkeypatch):
    """A dead service cannot be taken down properly; that is no news."""
    monkeypatch.setattr(connection, "TEARDOWN_SECONDS", 0.2)
    for trouble in (OSError("gone"), HANG):
        caplog.clear()
        fake = install(monkeypatch, {("log", 1): OSError("broken pipe"), ("teardown", 1): trouble})
        send_everything(tmp_path)
        fake.released.set()
        assert len(warnings(caplog)) == 1 and "broken pipe" in warnings(caplog)[0]


def test_training_record_and_history_are_complete_without_wandb(folder, caplog, monkeypatch):
    """The same numbers as with logger=none, though wandb broke off at the third row."""
    fake = install(monkeypatch, {("log", 3): OSError("broken pipe")})
    run = Run.plan([*GCN, "logger=wandb"])
    broken = execute(run)
    sound = execute(Run.plan([*GCN[:-1], "results=other"]))
    assert len(fake.runs[0].rows) == 2 and len(warnings(caplog)) == 1
    assert broken.status == "ok" and broken.metrics == sound.metrics and broken.alignment == sound.alignment
    assert run.finished_record() == broken
    assert (run.records / f"{run.id}.csv").read_text().count("\n") == 5


def test_a_failing_logger_does_not_hide_why_a_run_stopped(folder, caplog, monkeypatch):
    """An interrupt that came out as wandb's error would count as a failed run, and lose its checkpoint's purpose."""
    install(monkeypatch, {("finish", 1): OSError("broken pipe")})
    with pytest.raises(Interrupted):
        execute(Run.plan([*GCN, "logger=wandb"]), lambda: True)
    assert "broken pipe" in warnings(caplog)[0]


def test_no_account_is_one_line_before_anything_is_trained(command, monkeypatch):
    """In a run and in a sweep: after hours it is too late to hear that nothing was sent."""
    fake = install(monkeypatch)
    fake.trouble[("login", 1)] = fake.Error("No API key configured.")
    monkeypatch.setattr(execute_module, "execute", pytest.fail)
    monkeypatch.setattr(sweep, "sweep", pytest.fail)
    for done in (
        command(run_command.main)(*GCN, "logger=wandb", "logger.mode=online"),
        command(sweep.main)("profile=smoke", "tasks=citation/gcn_cora", "logger=wandb", "logger.mode=online"),
    ):
        assert done.code == 2 and done.err.count("\n") == 1
        assert "logger=wandb: No API key configured. (logger.mode=offline needs no account)" in done.err
    assert fake.calls["init"] == 0


def test_offline_needs_no_account(command, monkeypatch):
    """The default must not ask for a key."""
    fake = install(monkeypatch, {("login", 1): OSError("asked for an account")})
    monkeypatch.setattr(execute_module, "execute", lambda run, *a, **k: execute_module._blank_record(run))
    assert command(run_command.main)(*GCN, "logger=wandb").code == 0 and fake.calls["login"] == 0


def test_not_installed_is_one_line(command, monkeypatch):
    """The fix_hint is named, before anything is trained."""
    monkeypatch.setitem(sys.modules, "wandb", None)
    done = command(run_command.main)(*GCN, "logger=wandb")
    assert done.code == 2 and done.err.count("\n") == 1
    assert "wandb is not installed; pip install wandb, or use logger=none" in done.err


def test_nothing_else_needs_wandb_and_sweeps_do_without_pytorch():
    """An import at the top of a module would make wandb a requirement of every command, and slow each down."""
    code = (
        "import sys; sys.modules['wandb'] = None\n"
        "import benchmarks.run, benchmarks.sweep, benchmarks.tables.wandb\n"
        "assert 'torch' not in sys.modules\n"
        "import benchmarks.training.execute, benchmarks.workers.worker, benchmarks.wandb_logging.logger"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_sweep_ends_with_its_tables_only_if_asked(command, monkeypatch):
    """Without the hook the tables would be missing in wandb, silently."""
    from benchmarks.tables import wandb

    sent = []
    monkeypatch.setattr(sweep, "sweep", lambda *arguments: Tally())
    monkeypatch.setattr(sweep, "_show_tables", lambda *arguments: None)
    monkeypatch.setattr(wandb, "send_tables", lambda results, profile, logger: sent.append((profile, logger.mode)))
    for extra in ("logger=none", "logger=wandb"):
        assert command(sweep.main)("profile=smoke", "tasks=citation/gcn_cora", "seeds=1", extra).code == 0
    assert sent == [("smoke", "offline")]
