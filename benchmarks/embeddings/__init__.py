"""The hidden layer under each method: measured in every run, and drawn (arXiv:2006.12878, figure 2).

    python -m benchmarks.embeddings                                     rewrite results/figures/…/gcn_*_embedding.png
    python -m benchmarks.embeddings --tasks 'citation/*_cora' --profile quick --seed 1

A run's test measures how well the classes lie apart in its hidden layer, and keeps the vectors of before and after
training beside its record (`benchmarks.tasks.hidden_layer`). The command shows them side by side, as t-SNE and PCA
place them.
"""

from __future__ import annotations

from benchmarks.tables.data_source import suffix_of


def figure_name(profile: str, task: str, source: str) -> str:
    """The file of a task's figure below the folder of figures, without suffix."""
    return f"{profile}/{task}{suffix_of(source)}_embedding"
