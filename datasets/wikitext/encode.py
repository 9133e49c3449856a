"""WikiText's splits → a folder of ids, and back from there; in bounded memory.

The training split is read twice (merges, then ids), the others once. The folder holds `<split>.ids` (bare little-endian
integers), tokenizer.json, and about.json, which has the checksums of the others and of its own content: damage of any
kind is seen when the folder is opened.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets.core.files import flush, read_json, reading
from datasets.wikitext.corpus import WikiText
from datasets.wikitext.format import LINE_END, SPLITS
from datasets.wikitext.text import TextFile, read_words
from datasets.wikitext.tokenizer import Tokenization, WordTokenizer

log = logging.getLogger(__name__)

ENCODER = 1  # raised whenever the same text and settings give other ids
TOKENIZER, ABOUT = "tokenizer.json", "about.json"

_REMEMBERED = 1_000_000  # words whose ids are kept at hand, about 200 bytes each


def ids_name(split: str) -> str:
    """The file of a split's ids."""
    return f"{split}.ids"


def encode(texts: Mapping[str, TextFile], folder: Path, settings: Tokenization, about: dict[str, Any]) -> None:
    """Encode the splits into `folder`, which exists and is empty; it is complete only when this returns.

    about: further entries of about.json. Raises DataError for bad text, or for a vocabulary that the training split
    does not support; OSError if the folder cannot be written.
    """
    train = texts["train"]
    tokenizer = WordTokenizer.train(read_words(train, settings.lowercase), settings, where=str(train.path))
    log.info("%s: trained a tokenizer of %d ids", train.path, tokenizer.size)
    _write(folder / TOKENIZER, tokenizer.to_json().encode())
    ids_by_word: dict[str, bytes] = {}
    counts = {
        split: _encode_split(texts[split], folder / ids_name(split), tokenizer, settings, ids_by_word)
        for split in SPLITS
    }
    content = {
        **about,
        "encoder": ENCODER,
        "tokenization": asdict(settings),
        "tokens": {split: n_tokens for split, (n_tokens, _) in counts.items()},
        "words": {split: n_words for split, (_, n_words) in counts.items()},
        "sha256": {name: _digest(folder / name) for name in _file_names()},
    }
    _write(folder / ABOUT, json.dumps({"content": content, "sha256": _digest_of(content)}, indent=1).encode())


def open_encoded(folder: Path, settings: Tokenization, floors: dict[str, float] | None) -> WikiText:
    """Map the ids and load the tokenizer. The maps are private: nothing written to a tensor reaches the files.

    Raises ValueError if anything in the folder is missing, altered or not of these settings.
    """
    try:
        about = read_json(folder / ABOUT, "it is made anew")
        content = about["content"]
        if about["sha256"] != _digest_of(content) or content["tokenization"] != asdict(settings):
            raise ValueError(f"{ABOUT} is altered")
        for name in _file_names():
            with reading(folder / name, "it is made anew"):
                digest = _digest(folder / name)
            if digest != content["sha256"][name]:
                raise ValueError(f"{name} is altered")
        tokenizer = WordTokenizer.from_json((folder / TOKENIZER).read_text(encoding="utf-8"), settings)
        ids = {split: np.memmap(folder / ids_name(split), _dtype(tokenizer.size), mode="c") for split in SPLITS}
        if content["tokens"] != {split: len(array) for split, array in ids.items()}:
            raise ValueError(f"{ABOUT} has other numbers of tokens")
    except (OSError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(str(error) or type(error).__name__) from error
    return WikiText(
        **{split: torch.from_numpy(ids[split]) for split in SPLITS},
        vocabulary=tokenizer.size,
        tokens=content["tokens"],
        words=content["words"],
        floors=floors,
        tokenizer=tokenizer,
    )


def _encode_split(
    text: TextFile, path: Path, tokenizer: WordTokenizer, settings: Tokenization, ids_by_word: dict[str, bytes]
) -> tuple[int, int]:
    """Write the ids of a split; returns the numbers of tokens and of words.

    ids_by_word: as they are written; filled here.
    """
    dtype = _dtype(tokenizer.size)
    n_words = 0
    with path.open("wb") as stream:
        for words in read_words(text, settings.lowercase):
            if len(ids_by_word) > _REMEMBERED:
                ids_by_word.clear()
            new = sorted(set(words) - ids_by_word.keys())
            for word, ids in zip(new, tokenizer.encode(new), strict=True):
                ids_by_word[word] = np.array(ids, dtype).tobytes()
            stream.write(b"".join(map(ids_by_word.__getitem__, words)))
            n_words += len(words) - (0 if LINE_END in tokenizer.special else words.count(LINE_END))
        n_tokens = stream.tell() // dtype.itemsize
        flush(stream)
    log.info("%s: %d words are %d tokens", text.path, n_words, n_tokens)
    return n_tokens, n_words


def _dtype(size: int) -> np.dtype:
    return np.dtype("<u2" if size <= 1 << 16 else "<u4")


def _file_names() -> list[str]:
    return [TOKENIZER, *map(ids_name, SPLITS)]


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _digest_of(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        flush(stream)
