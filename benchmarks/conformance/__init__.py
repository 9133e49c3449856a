"""Conformance: whether a method trains every architecture, and can be stopped, resumed and compared."""
