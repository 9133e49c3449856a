"""Tests by oracle, in folders that mirror the tree; what they share is in `tests.helpers`."""

from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
