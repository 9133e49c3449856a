"""A whole domain: two spirals that an MLP tells apart. Copy the folder to benchmarks/tasks/spirals."""
