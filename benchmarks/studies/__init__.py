"""The companion studies: when and why Direct Feedback Alignment works, as runs with a verdict for each claim.

    python -m benchmarks.studies bottleneck profile=quick
    make studies

A study plans ordinary runs, and computations of its own where there is no network to train. From their records it
concludes: a table, figures, and claims (`benchmarks.tables.claims`). A module here that defines ``STUDY`` is one.
"""
