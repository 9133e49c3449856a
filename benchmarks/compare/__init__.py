"""Compare two sets of results, cell by cell.

    python -m benchmarks.compare results/published/baselines/smoke.json results
    python -m benchmarks.compare before/results after/results --profile paper --markdown summary.md

A and B are each a results folder, a records folder, an evidence pack or a baseline JSON. Exit status: 0 fine,
1 if B is worse than A beyond noise and tolerance, or runs are missing or newly failed, 2 for bad input, be it
some record of a folder. Speed only ever warns. How noise is judged: see ``benchmarks.statistics.noise``.
"""
