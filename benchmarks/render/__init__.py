"""Moving pictures of scenes that a run has learned: ``python -m benchmarks.render RECORD``."""
