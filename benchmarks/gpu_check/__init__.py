"""The suite on a GPU, checked: ``python -m benchmarks.gpu_check``."""
