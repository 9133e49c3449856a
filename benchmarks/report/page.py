"""The page: sections filled into one HTML file that needs nothing else and asks nobody for anything."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from benchmarks.report.gather import Material
from benchmarks.report.pictures import Picture, fit
from benchmarks.report.sections import Section
from benchmarks.report.templates import environment, text_of

#: A report goes by mail and onto phones.
MAX_BYTES = 8_000_000
_MARGIN = 1000  # per picture: its markup


def html(material: Material, sections: Sequence[Section]) -> str:
    """The HTML. Pictures that would make it larger than `MAX_BYTES` are left out, each with a line that says so.

    Raises:
        ValueError: it is larger without any picture; one line.
    """
    whole = _render(material, sections)
    if len(whole.encode()) <= MAX_BYTES:
        return whole
    pictures = [
        block for section in sections for group in section.groups for block in group.blocks if _is_picture(block)
    ]
    bare = len(_render(material, _without(sections, set())).encode())
    if bare > MAX_BYTES:
        raise ValueError(f"the report has {bare} bytes without pictures, more than {MAX_BYTES}; choose a --profile")
    return _render(material, _without(sections, fit(pictures, MAX_BYTES - bare - _MARGIN * len(pictures))))


def _is_picture(block: Any) -> bool:
    return isinstance(block, Picture)


def _without(sections: Sequence[Section], kept: set[int]) -> list[Section]:
    """``sections`` in which the pictures that are not ``kept`` have no content."""
    return [
        dataclasses.replace(
            section,
            groups=tuple(
                dataclasses.replace(
                    group,
                    blocks=tuple(
                        block.left_out() if _is_picture(block) and id(block) not in kept else block
                        for block in group.blocks
                    ),
                )
                for group in section.groups
            ),
        )
        for section in sections
    ]


def _render(material: Material, sections: Sequence[Section]) -> str:
    script = text_of("report.js")
    moments = [record.moment for record in material.results.records if record.finished]
    return (
        environment()
        .get_template("report.html")
        .render(
            sections=sections,
            profiles=material.profiles,
            records_count=len(material.results.runs),
            last=max(moments).date().isoformat() if moments else "",
            provenance=material.provenance,
            entries={entry.anchor: entry for entry in material.provenance.entries},
            stale=[str(one) for one in material.results.found.stale],
            style=Markup(text_of("report.css")),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )
