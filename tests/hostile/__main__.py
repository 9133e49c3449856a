"""Hostile inputs, made from a seed: does any of them end in a traceback, or in a file outside the results folder?

    python -m tests.hostile --count 1000                   all suites, 1,000 examples each
    python -m tests.hostile --count 1000 --suite records   one suite; --seed N draws others

A suite makes examples with hypothesis and tries each (`Suite`); `make test` runs a few examples of every suite
(`tests/hostile/test_hostile.py`). Ends with exit code 1 if an example fails, and prints the smallest one that does.
"""

from __future__ import annotations

import argparse
import logging
import resource
import sys

from tests.hostile.suite import SUITES, Report, prepared, run

#: Bytes of address space: an example that asks for more than a machine has fails, and takes nobody else's memory.
MOST_MEMORY = 16_000_000_000


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="examples of each suite (default: 1000)")
    parser.add_argument("--suite", choices=SUITES, action="append", help="only this one (default: all)")
    parser.add_argument("--seed", type=int, help="draw other examples (default: the same at each call)")
    chosen = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    log = logging.getLogger("hostile")

    def progress(report: Report) -> None:
        if report.tried % 100 == 0:
            log.info("  %d tried, %.0f s", report.tried, report.seconds)

    for name in chosen.suite or SUITES:
        log.info("%s: %d examples", name, chosen.count)
        try:
            with prepared(name) as suite:
                report = run(suite, chosen.count, chosen.seed, progress)
        except BaseException:  # whatever ended it, how to see it again
            again = "" if chosen.seed is None else f" --seed {chosen.seed}"
            log.error("%s FAILED: python -m tests.hostile --suite %s --count %d%s", name, name, chosen.count, again)
            raise
        kinds = ", ".join(f"{kind} {number}" for kind, number in sorted(report.kinds.items()))
        log.info("%s: %d examples, none failed, %.0f s: %s", name, report.tried, report.seconds, kinds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
