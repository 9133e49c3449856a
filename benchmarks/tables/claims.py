"""Claims of the companion papers with our verdicts: what `benchmarks.studies` finds, and tables and report show."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from benchmarks.records.inputs import BadInput, read_bytes
from benchmarks.tables.table import NONE, Column, Role, Table, TableKind, labels
from benchmarks.tables.text import comma_separated, exact

#: Columns of ``studies.csv``; other tools read it, so they only ever grow at the end.
COLUMNS = ("study", "claim", "quantity", "ours", "low", "high", "reference", "verdict", "n", "profile", "data")
_FIX_HINT = "write it again: python -m benchmarks.studies"


class Verdict(Enum):
    """Whether our runs show a claim."""

    SHOWN = "shown"
    NOT_SHOWN = "not shown"
    NOT_TESTABLE = "not testable here"


@dataclass(frozen=True)
class Claim:
    """One claim, and what our runs say about it.

    Attributes:
        claim: what the source says, in one sentence.
        quantity: what was measured.
        ours, low, high: the mean and its 95% interval over seeds; NaN where there is none.
        reference: what it is held against: a published number, a bound, or another measurement.
        n: seeds, or whatever the interval is over.
        data: ``real`` or ``stand-in``; empty where there are none.
    """

    study: str
    claim: str
    quantity: str
    ours: float
    low: float
    high: float
    reference: str
    verdict: Verdict
    n: int
    profile: str
    data: str = ""


def claims_text(claims: Iterable[Claim]) -> str:
    """The file's text."""
    rows = [
        [
            *(one.study, one.claim, one.quantity),
            *map(exact, (one.ours, one.low, one.high)),
            *(one.reference, one.verdict.value, str(one.n), one.profile, one.data),
        ]
        for one in claims
    ]
    return comma_separated(COLUMNS, rows)


def read_claims(path: Path) -> list[Claim]:
    """The claims of a file; none where there is no file.

    Raises:
        BadInput: it is not such a file; one line.
    """
    if not path.exists():
        return []
    try:
        rows = list(csv.DictReader(read_bytes(path, _FIX_HINT).decode().splitlines()))
        return [_claim(row) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(path, f"not a readable file of claims ({error})", _FIX_HINT) from error


def claims_table(claims: Iterable[Claim]) -> Table | None:
    """The claims as a table for the report; None without any."""
    claims = list(claims)
    if not claims:
        return None
    return Table(
        kind=TableKind.CLAIMS,
        name="studies",
        title="Claims of the companion papers, and what our runs say",
        profile="",
        source="",
        about="mean and 95% interval over seeds where there are several; a claim of one seed is weak",
        columns=[*labels("study", "claim", "quantity"), *(Column(Role.VALUE, name) for name in ("ours", "n")),
                 *labels("held against", "verdict", "profile", "data")],
        rows=[_row(one) for one in claims],
        number_columns=[*labels(*COLUMNS)],
        numbers=[],
    )  # fmt: skip


def _row(one: Claim) -> list[str]:
    interval = "" if math.isnan(one.low) else f" [{one.low:.3g}, {one.high:.3g}]"
    ours = NONE if math.isnan(one.ours) else f"{one.ours:.4g}{interval}"
    return [
        one.study,
        one.claim,
        one.quantity,
        ours,
        str(one.n),
        one.reference,
        one.verdict.value,
        one.profile,
        one.data,
    ]


def _claim(row: dict[str, str]) -> Claim:
    ours, low, high = (float(row[name]) if row[name] else math.nan for name in ("ours", "low", "high"))
    study, claim, quantity, reference = (row[name] for name in ("study", "claim", "quantity", "reference"))
    verdict = Verdict(row["verdict"])
    return Claim(
        study, claim, quantity, ours, low, high, reference, verdict, int(row["n"]), row["profile"], row["data"]
    )
