"""The history of the baseline: a line for each that landed, and the trend over them.

    python -m benchmarks.history               make trend: the table, and results/published/figures/history/smoke.svg

The gate compares with the last baseline only, so a change that stays within the noise passes every time. Ten of
them in one direction are a loss that no gate ever sees; the trend shows it. (``benchmarks.records.run_history``, by
contrast, holds the evaluations of single runs.)
"""
