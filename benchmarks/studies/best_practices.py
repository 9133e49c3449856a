"""Best practices for DFA: the fourteen cells of arXiv:1906.04554 (sections 3 and 4), and backprop, which they lack.

Nine fully connected networks and five convolutional ones, which differ in activation, batch norm, dropout and in
whether the feedback is scaled. The source reports accuracy over ten seeds, and alignment of the best of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.studies.study import Conclusion, Done, Findings, Sheet, Study
from benchmarks.studies.verdicts import above, differences, text
from benchmarks.tables.claims import Claim
from benchmarks.workers.plan import Selection


@dataclass(frozen=True)
class Cell:
    """One cell of the source's table. dropout: of the input, and of the layers."""

    number: int
    network: str
    activation: str = "tanh"
    slope: float = 0.01
    batch_norm: bool = False
    scaled: bool = True
    dropout: tuple[float, float] = (0.0, 0.0)

    @property
    def title(self) -> str:
        parts = [f"{self.activation} {self.slope:g}" if self.activation == "leaky_relu" else self.activation]
        parts += ["batch norm"] * self.batch_norm + ["feedback not scaled"] * (not self.scaled)
        parts += [f"dropout {self.dropout[0]:g}, {self.dropout[1]:g}"] * any(self.dropout)
        return ", ".join(parts)

    @property
    def model(self) -> list[str]:
        """The overrides of the network."""
        return [
            f"task.model.activation={self.activation}",
            f"task.model.slope={self.slope}",
            f"task.model.batch_norm={str(self.batch_norm).lower()}",
            f"task.model.input_dropout={self.dropout[0]}",
            f"task.model.dropout={self.dropout[1]}",
        ]

    @property
    def feedback(self) -> list[str]:
        scaling = "width_error" if self.scaled else "none"
        return ["method.feedback=shared_gaussian", f"method.scaling={scaling}"]


CELLS = (
    Cell(1, "mlp", batch_norm=True),
    Cell(2, "cnn", batch_norm=True),
    Cell(3, "mlp"),
    Cell(4, "mlp", activation="relu"),
    Cell(5, "mlp", activation="leaky_relu", slope=0.5),
    Cell(6, "mlp", activation="leaky_relu", slope=0.1),
    Cell(7, "mlp", activation="leaky_relu", slope=0.01),
    Cell(8, "mlp", scaled=False),
    Cell(9, "cnn", scaled=False),
    Cell(10, "mlp", dropout=(0.1, 0.5)),
    Cell(11, "mlp", dropout=(0.1, 0.1)),
    Cell(12, "cnn", dropout=(0.1, 0.5)),
    Cell(13, "cnn", dropout=(0.1, 0.1)),
    Cell(14, "cnn"),
)
_BASE = {"mlp": 3, "cnn": 14}  # the cell that the others differ from
_TITLES = {"mlp": "fully connected", "cnn": "convolutional"}


@dataclass(frozen=True)
class Size:
    """The size at a profile; convolutional runs are many times as long. Epochs and seeds of both kinds of network."""

    rows: dict[str, str]
    epochs: dict[str, int]
    seeds: dict[str, int]
    model: dict[str, list[str]]


_SMALL = {"mlp": ["task.model.width=64"], "cnn": ["task.model.channels=[4,8]", "task.model.hidden=16"]}
_MIDDLE = {"mlp": ["task.model.width=256"], "cnn": ["task.model.channels=[8,16,16]", "task.model.hidden=64"]}
_WHOLE = {"mlp": ["task.model.width=800"], "cnn": ["task.model.channels=[32,64,64]", "task.model.hidden=128"]}
_SIZES = {
    "smoke": Size({"mlp": "500", "cnn": "500"}, {"mlp": 1, "cnn": 1}, {"mlp": 1, "cnn": 1}, _SMALL),
    "quick": Size({"mlp": "10000", "cnn": "2000"}, {"mlp": 8, "cnn": 4}, {"mlp": 1, "cnn": 1}, _MIDDLE),
    "long": Size({"mlp": "null", "cnn": "10000"}, {"mlp": 20, "cnn": 10}, {"mlp": 3, "cnn": 2}, _WHOLE),
    "paper": Size({"mlp": "null", "cnn": "null"}, {"mlp": 50, "cnn": 50}, {"mlp": 10, "cnn": 10}, _WHOLE),
}


def _common(size: Size, network: str) -> list[str]:
    return [
        *size.model[network],
        "task.optim.kind=sgd",
        "task.optim.lr=5e-4",
        "task.hidden_loss=sum",
        "task.valid_share=0.0",
        "task.batch_size=128",
        "task.alignment_samples=128",
        "task.full_batches=true",
        "task.standardise=published",
        f"task.rows={size.rows[network]}",
        f"task.epochs={size.epochs[network]}",
        f"task.eval_every={size.epochs[network]}",
    ]


def _runs(profile: str) -> Iterator[Selection]:
    size = _SIZES[profile]
    for cell in CELLS:
        task, seeds = [f"cifar10/{cell.network}"], range(size.seeds[cell.network])
        common = [*_common(size, cell.network), *cell.model]
        yield Selection(profile, task, ["dfa"], seeds, [*common, *cell.feedback])
        if cell.number == _BASE[cell.network]:
            yield Selection(profile, task, ["bp"], seeds, common)


def _accuracy(run: Done) -> float:
    return run.metric("accuracy")


def _of(findings: Findings, cell: Cell, method: str = "dfa") -> Findings:
    settings = {
        "task__model__activation": cell.activation,
        "task__model__slope": cell.slope,
        "task__model__batch_norm": cell.batch_norm,
        "task__model__input_dropout": cell.dropout[0],
        "task__model__dropout": cell.dropout[1],
        "method__name": method,
    }
    if method == "dfa":
        settings["method__scaling"] = "width_error" if cell.scaled else "none"
    return findings.of_task(f"cifar10/{cell.network}").where(**settings)


def _deepest(run: Done) -> float:
    return run.metric("alignment_cosine_mean")


def _conclude(findings: Findings) -> Conclusion:
    return Conclusion(list(_claims(findings)), [_sheet(findings)])


def _claims(findings: Findings) -> Iterator[Claim]:
    by_number = {cell.number: _of(findings, cell) for cell in CELLS}
    for network, base in _BASE.items():
        unscaled = by_number[8 if network == "mlp" else 9]
        gain = differences(by_number[base], unscaled, _accuracy)
        yield by_number[base].claim(
            f"{_TITLES[network]}: scaled feedback is better", "test accuracy, scaled − not", gain, "> 0", above(gain, 0)
        )
    relu = differences(by_number[3], by_number[4], _accuracy)
    yield by_number[3].claim(
        "fully connected: tanh is a good default", "test accuracy, tanh − ReLU", relu, "> 0", above(relu, 0)
    )
    dropped = differences(by_number[3], by_number[10], _deepest)
    yield by_number[3].claim(
        "dropout disturbs alignment", "deepest cosine, without − with dropout .5", dropped, "> 0", above(dropped, 0)
    )
    for network, base in _BASE.items():
        cell = next(one for one in CELLS if one.number == base)
        lost = differences(_of(findings, cell, "bp"), by_number[base], _accuracy)
        claim = f"{_TITLES[network]}: backprop is better than DFA"
        yield by_number[base].claim(claim, "test accuracy, bp − dfa", lost, "> 0", above(lost, 0))
    gap = differences(by_number[3], by_number[14], _deepest)
    yield findings.claim(
        "convolutional layers align less than fully connected ones", "deepest cosine, fully connected − convolutional",
        gap, "> 0", above(gap, 0) if _trained_alike(by_number[3], by_number[14]) else None,
    )  # fmt: skip


def _trained_alike(*groups: Findings) -> bool:
    """Whether all runs saw the same images as often: a cosine grows with training, whatever the network."""
    return len({(run.setting("task.rows"), run.setting("task.epochs")) for runs in groups for run in runs}) == 1


def _sheet(findings: Findings) -> Sheet:
    rows = []
    for cell in CELLS:
        methods = ("bp", "dfa") if cell.number == _BASE[cell.network] else ("dfa",)
        for method in methods:
            runs = _of(findings, cell, method)
            if len(runs):
                rows.append(_row(cell, method, runs))
    header = ("cell", "network", "setting", "training", "train %", "test %", "cosine by layer", "n")
    notes = ["cosine by layer: from the input upwards, mean over seeds and samples; the source has no backprop cell"]
    return Sheet("cells", "Best practices: the cells of the source, on CIFAR-10", header, rows, notes)


def _row(cell: Cell, method: str, runs: Findings) -> list[str]:
    points = runs.runs[0].record.alignment.get("order", [])
    cosines = [f"{runs.over_seeds(lambda run, point=point: run.alignment(point)).mean:.2f}" for point in points]  # type: ignore[misc]
    trained = runs.over_seeds(lambda run: run.metric("train_accuracy"))
    return [
        *(str(cell.number), cell.network, cell.title, method),
        *(text(trained, 1), text(runs.over_seeds(_accuracy), 1), " ".join(cosines) or "–", str(len(runs))),
    ]


STUDY = Study(
    "best_practices",
    "Best practices: activation, batch norm, dropout and the scale of the feedback",
    "arXiv:1906.04554, sections 3 and 4",
    _conclude,
    runs=lambda profile: tuple(_runs(profile)),
    order=10,
)
