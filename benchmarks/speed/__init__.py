"""What a training step costs: ``python -m benchmarks.speed`` (``make speed``)."""
