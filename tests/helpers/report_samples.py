"""A small results folder for the tests of the report, and a reader of the page it becomes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.records.record import Record, write_record
from tests.helpers.results_samples import record, records, save

VOID = {"meta", "img", "br", "link", "path", "rect", "circle"}
BP, DFA, SHALLOW = [80.0, 81.0], [79.0, 79.5], [36.0, 37.0]
POINTS = {
    "points.10": {"mean": 0.2, "std": 0.1, "samples": 9, "quantiles": [0.0, 0.1, 0.2, 0.3, 0.4]},
    "points.2": {"mean": 0.6, "std": 0.2, "samples": 9, "quantiles": [0.2, 0.4, 0.6, 0.8, 0.9]},
}
HOSTILE = "<script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>"


def picture(path: Path, size: tuple[int, int] = (30, 20), shade: int = 90) -> Path:
    """A small PNG of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade, 20, 20)).save(path)
    return path


def noise(path: Path, side: int = 300) -> Path:
    """A large PNG: noise does not compress."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.RandomState(0).randint(256, size=(side, side, 3), dtype=np.uint8)).save(path)
    return path


def history(results: Path, one: Record, rows: list[tuple[float, ...]], columns: str) -> None:
    """The history of a record that is there."""
    text = "\n".join([columns, *(",".join(map(str, row)) for row in rows)]) + "\n"
    (results / "records" / f"{one.run_id}.csv").write_text(text)


def citation(**fields: object) -> list[Record]:
    """GCN on Cora, three methods, two seeds each; dfa with alignment at two points."""
    common = {"code": {"commit": "c0ffee", "dirty": False}, "hardware": {"cores": 2}, "versions": {"torch": "2.13"}}
    made = []
    for method, values in {"bp": BP, "dfa": DFA, "shallow": SHALLOW}.items():
        alignment = {"points": POINTS} if method == "dfa" else {}
        made += records(values, method=method, alignment=alignment, **common, **fields)
    return made


def standins() -> list[Record]:
    """DeepFM on a stand-in, profile quick: a gap of one half."""
    where = {"architecture": "deepfm", "dataset": "criteo", "domain": "recommendation", "metric": "auc"}
    values = {"bp": [0.8, 0.8, 0.8], "dfa": [0.7, 0.7, 0.7], "shallow": [0.6, 0.6, 0.6]}
    made = [records(found, method=name, source="stand-in", profile="quick", **where) for name, found in values.items()]
    return [one for group in made for one in group]


def filled(results: Path) -> Path:
    """All kinds of content: records, a failure, histories, a contact sheet, text, figures."""
    made = [*citation(), *standins()]
    save(results, made)
    save(results, [record(None, 2, status="failed", reason=HOSTILE)])
    columns = "step,epoch,train_loss,lr,valid_accuracy,train_seconds"
    for one in made[:4]:
        history(results, one, [(10, 1, 2.0, 0.1, 60.0, 1.0), (20, 2, 1.0, 0.1, 75.0, 2.0)], columns)
    scene = record(20.0, architecture="nerf", dataset="nerf_synthetic/lego", domain="view_synthesis",
                   metric="psnr", artefacts=["sheet.png", "weights.pt"])  # fmt: skip
    text = record(60.0, architecture="transformer", dataset="wikitext2", domain="language", metric="valid_perplexity",
                  artefacts=["samples.txt"])  # fmt: skip
    sheet = picture(write_record(scene, results / "records").with_suffix(".sheet.png"))
    write_record(text, results / "records").with_suffix(".samples.txt").write_text(f"prompt: once {HOSTILE}")
    figures = results / "figures" / "paper"
    (figures / "nerf_synthetic").mkdir(parents=True)
    (figures / "nerf_synthetic" / "lego_bp.png").write_bytes(sheet.read_bytes())
    picture(figures / "citation" / "gcn_cora_embedding.png", shade=10)
    return results


@dataclass
class Element:
    """An element of the page, with its text (of all elements within) and its children."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def within(self) -> Iterator[Element]:
        """All elements within, in order."""
        for child in self.children:
            yield child
            yield from child.within()

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """All elements within, in order, that have these attributes (class_ for class)."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return [one for one in self.within() if one.tag == tag and wanted.items() <= one.attributes.items()]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("page")]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attributes})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, {name: value or "" for name, value in attributes}))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop().tag == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


def read(path: Path) -> Element:
    """The page as a tree; an element that is not closed in its place is an error."""
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert len(reader.open) == 1
    return reader.open[0]


def table(page: Element, anchor: str) -> list[dict[str, Element]]:
    """The rows of a table by heading; a column "paper" is called as it is spoken: "paper, bp"."""
    (found,) = page.all("table", aria_labelledby=anchor)
    names = [button.attributes.get("aria-label", button.text) for button in found.all("thead")[0].all("button")]
    rows = [[*row.all("th"), *row.all("td")] for row in found.all("tbody")[0].all("tr")]
    return [dict(zip(names, row, strict=True)) for row in rows]
