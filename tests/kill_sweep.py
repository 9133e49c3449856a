"""Kill a smoke sweep at random moments, restart it each time, and compare with a sweep left alone.

    python -m tests.kill_sweep [--kills 10] [--seed 0] [--folder DIR] [sweep arguments, default profile=smoke]

Says what it found and ends with exit code 1 if a record was lost, repeated or differs.
"""

from __future__ import annotations

import argparse
import logging
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.helpers import sweeps as sweeps

log = logging.getLogger("kill_sweep")


def finish(results: Path, arguments: list[str]) -> tuple[float, float]:
    """Let a sweep run to its end; returns the seconds until its first record and until its end."""
    started = time.monotonic()
    first = 0.0
    sweep = sweeps.start(results, *arguments)
    while True:
        try:
            out, err = sweep.communicate(timeout=0.1)
            break
        except subprocess.TimeoutExpired:
            if not first and sweeps.done(results):
                first = time.monotonic() - started
    if sweep.returncode != 0:
        raise SystemExit(f"the sweep ended with exit code {sweep.returncode}:\n{out}\n{err}")
    return first, time.monotonic() - started


def killed(results: Path, arguments: list[str], after: float) -> dict[str, str]:
    """Start a sweep, kill it and its workers after so many seconds; returns the records there are then."""
    sweep = sweeps.start(results, *arguments)
    time.sleep(after)
    was_running = sweep.poll() is None
    sweeps.kill_group(sweep)
    there = sweeps.done(results)
    log.info("killed after %.1f s%s: %d records", after, "" if was_running else " (had ended)", len(there))
    return there


def main() -> int:
    """Reference, kills, last sweep, comparison."""
    parser = argparse.ArgumentParser(prog="python -m tests.kill_sweep", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=Path, help="where both sweeps go (default: a temporary folder)")
    chosen, arguments = parser.parse_known_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments = arguments or ["profile=smoke"]
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="kill_sweep_"))
    reference, victim = folder / "reference", folder / "victim"
    first, seconds = finish(reference, arguments)
    log.info("reference: %d records in %.1f s, in %s", len(sweeps.done(reference)), seconds, folder)

    moments = random.Random(chosen.seed)
    seen: dict[str, str] = {}
    share = (seconds - first) / chosen.kills  # what a try may get done, so that all kills hit a running sweep
    for _ in range(chosen.kills):
        seen |= killed(victim, arguments, moments.uniform(0.5 * first, first + 2 * share))
    finish(victim, arguments)

    final = sweeps.done(victim)
    problems = [f"{name}: done before a kill, and lost or run again" for name in seen if final.get(name) != seen[name]]
    problems += sweeps.differences(reference, victim)
    for problem in problems:
        log.error("%s", problem)
    log.info("%d kills, %d records, %d problems", chosen.kills, len(final), len(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
