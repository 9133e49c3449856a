"""WikiText is encoded once per content and settings, and kept in the cache; every later load maps the ids.

A folder `<cache>/wikitext/<key>` is complete or does not exist (`core.sole_writer`); one that is damaged is made anew.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from datasets.core.errors import DataError
from datasets.core.manifest import RemoteFile, check_file
from datasets.core.roots import cache_root, data_root
from datasets.core.sole_writer import sole_writer
from datasets.core.source import Source, hint_for, prepare
from datasets.wikitext.corpus import WikiText
from datasets.wikitext.encode import ENCODER, encode, open_encoded
from datasets.wikitext.format import SPLITS, file_name
from datasets.wikitext.manifest import WikiTextManifest
from datasets.wikitext.standin import read_floors
from datasets.wikitext.text import TextFile
from datasets.wikitext.tokenizer import Tokenization

log = logging.getLogger(__name__)


def load_wikitext(source: Source, tokenization: Tokenization) -> WikiText:
    """The ids of a source; a stand-in is generated, and text encoded, if that was not done before.

    Raises DataError if a split is missing, altered, empty or not UTF-8 (naming the line), if the vocabulary is larger
    than the training split supports, or if the cache cannot be written.
    """
    folder = cache_folder(source, tokenization)
    prepare(source)
    floors = _floors(source, tokenization)
    with contextlib.suppress(ValueError):
        return open_encoded(folder, tokenization, floors)
    try:
        _make(source, tokenization, folder)
        return open_encoded(folder, tokenization, floors)
    except DataError:
        raise
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot keep the encoded text in {folder} ({error}); "
            "set DFA_CACHE_DIR to a folder that can be written and has room (half the size of the text)"
        ) from error


def cache_folder(source: Source, tokenization: Tokenization) -> Path:
    """Where the ids lie: the name has all that determines them."""
    case = "lower" if tokenization.lowercase else "case"
    settings = f"{tokenization.vocabulary}-{case}-eol_{tokenization.end_of_line}-unk_{tokenization.unknown}"
    return cache_root() / "wikitext" / f"{source.name}-{source.fingerprint}-{settings}-v{ENCODER}"


def _make(source: Source, tokenization: Tokenization, folder: Path) -> None:
    with sole_writer(folder) as new_draft:
        if folder.is_dir():
            try:
                open_encoded(folder, tokenization, None)
                return  # another process was faster
            except ValueError as error:
                log.warning("%s is damaged (%s) and is made anew", folder, error)
        texts = _checked_texts(source)
        draft = new_draft()
        draft.mkdir()
        log.info("encoding %s into %s, once", source.folder, folder)
        about = {"source": source.kind, "dataset": source.name, "fingerprint": source.fingerprint}
        encode(texts, draft, tokenization, about)
        if folder.exists():  # damaged; what another process has mapped of it stays mapped
            folder.rename(new_draft())
        draft.rename(folder)


def _checked_texts(source: Source) -> dict[str, TextFile]:
    """The text of each split, whose files agree with their checksums if they have one."""
    hint = hint_for(source)
    if source.kind == "real":
        hint = source.dataset.manifest.advice_in(data_root())
        for path, expected in _published(source):
            if expected.sha256 is not None:  # else all there is to check is the text, which will be read to its end
                check_file(path, expected, hint)
    if source.folder.is_file():
        folder = source.dataset.manifest.folder
        return {split: TextFile(source.folder, hint, f"{folder}/{file_name(split)}") for split in SPLITS}
    return {split: TextFile(source.folder / file_name(split), hint) for split in SPLITS}


def _published(source: Source) -> list[tuple[Path, RemoteFile]]:
    manifest = source.dataset.manifest
    if source.folder.is_file() and isinstance(manifest, WikiTextManifest):
        return [(source.folder, manifest.archive)]
    return [(source.folder / file_name(split), manifest.find(file_name(split))) for split in SPLITS]


def _floors(source: Source, tokenization: Tokenization) -> dict[str, float] | None:
    if source.kind != "stand-in" or tokenization.end_of_line == "drop":
        return None
    return read_floors(source.folder, hint_for(source))
