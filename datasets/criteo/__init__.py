"""Criteo's display advertising data; `load` reads and `batches` delivers them."""
