"""The entries of the domain: one architecture, one dataset, one metric, one table, one task."""

from benchmarks.catalogue.domain import Architecture, Domain, TableSpec, Task
from benchmarks.catalogue.metric import Metric

_HERE = "benchmarks.tasks.spirals"
DOMAIN = Domain(
    name="spirals",
    title="spirals",
    task=f"{_HERE}.config:SpiralsConfig",
    builder=f"{_HERE}.task:Spirals",
    architectures=(Architecture("spiral_mlp", "MLP", f"{_HERE}.config:MLPConfig"),),
    datasets={"two_spirals": "Two spirals"},
    own_datasets=(f"{_HERE}.data:DATASET",),
    measures=("told_apart", "valid_told_apart"),
    metrics=(Metric("told_apart", "points told apart", decimals=1, unit="%", min_effect=0.5, rerun_tolerance=2.0),),
    tasks=(Task("spirals/spiral_mlp_two_spirals", "spiral_mlp", "two_spirals"),),
    tables=(TableSpec("table_spirals", "Two spirals: test points told apart (%)", ("told_apart",)),),
)
