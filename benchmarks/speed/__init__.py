"""The cost of a training step: ``python -m benchmarks.speed`` (``make speed``)."""
