"""The file ``….embedding.npz`` beside a record: hidden vectors of some test nodes, before and after training."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from benchmarks.records.inputs import MOST_BYTES, BadInput, read_bytes

SUFFIX = "embedding.npz"
_FIX_HINT = "move the record away and run the task again"


@dataclass(frozen=True, eq=False)
class Embedding:
    """Hidden vectors of one run."""

    nodes: np.ndarray  # (nodes,) places in the graph
    labels: np.ndarray  # (nodes,)
    trained: np.ndarray  # (nodes, width), of the weights that were tested
    initial: np.ndarray  # (nodes, width), of the weights that training started from

    @classmethod
    def of(cls, nodes: Tensor, labels: Tensor, trained: Tensor, initial: Tensor) -> Embedding:
        """From tensors on any device."""
        return cls(*(part.detach().cpu().numpy() for part in (nodes, labels, trained, initial)))


def packed(embedding: Embedding) -> bytes:
    """The file's content. Half precision: a picture shows three digits at most."""
    file = io.BytesIO()
    np.savez_compressed(
        file,
        nodes=embedding.nodes.astype(np.int32),
        labels=embedding.labels.astype(np.int16),
        trained=_halved(embedding.trained),
        initial=_halved(embedding.initial),
    )
    return file.getvalue()


#: What damaged archives and arrays raise, encrypted or unknown compression included.
_DAMAGE = (
    *(OSError, KeyError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error),
    *(NotImplementedError, RuntimeError),
)


def read(path: Path) -> Embedding:
    """The file at ``path``, vectors as float32.

    Raises:
        BadInput: there is none, or it is not what `packed` wrote; one line.
    """
    content = read_bytes(path, _FIX_HINT)
    try:
        return _embedding(content)
    except _DAMAGE as error:
        reason = str(error) or type(error).__name__
        raise BadInput(path, f"not an embedding ({reason})", _FIX_HINT) from error


def _embedding(content: bytes) -> Embedding:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(member.file_size for member in archive.infolist()) > MOST_BYTES:
            raise ValueError(f"it unpacks to more than {MOST_BYTES:,} bytes")
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        nodes, labels, trained, initial = (file[name] for name in ("nodes", "labels", "trained", "initial"))
    if nodes.ndim != 1 or trained.ndim != 2 or nodes.shape != labels.shape or nodes.shape != trained.shape[:1]:
        raise ValueError(f"shapes {nodes.shape}, {labels.shape}, {trained.shape}")
    if trained.shape != initial.shape or not len(nodes):
        raise ValueError(f"shapes {trained.shape}, {initial.shape}")
    if any(part.dtype.kind not in "iu" for part in (nodes, labels)):
        raise ValueError("nodes or labels that are no whole numbers")
    trained, initial = trained.astype(np.float32), initial.astype(np.float32)
    if not (np.isfinite(trained).all() and np.isfinite(initial).all()):
        raise ValueError("a vector that is not finite")
    return Embedding(nodes, labels, trained, initial)


def _halved(vectors: np.ndarray) -> np.ndarray:
    largest = float(np.finfo(np.float16).max)
    return vectors.clip(-largest, largest).astype(np.float16)
