"""Base classes of the families of methods, and what their members share."""
