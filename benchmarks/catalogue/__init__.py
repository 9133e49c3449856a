"""The entries of the suite: domains, architectures, methods, metrics, tables and published numbers, as data.

A domain is a package of `benchmarks.tasks` with a module `catalogue` that defines `DOMAIN`. Everything that a shared
module has to know of it stands there: nothing outside lists domains, architectures or titles. Reading a catalogue
imports neither PyTorch nor Hydra, since names of classes are texts until they are asked for.

domain.py     the entries: `Domain`, `Architecture`, `Task`, `TableSpec`
metric.py     `Metric`
discovery.py  `domains()` and `architectures()`: the entries of all packages
names.py      how names read in tables
methods.py    methods with their settings, titles, colours and order, as they register themselves
reference.py  the published numbers
"""
