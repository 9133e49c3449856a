"""The file ``….embedding.npz`` beside a record: hidden vectors of some test nodes, before and after training."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

SUFFIX = "embedding.npz"


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


def read(path: Path) -> Embedding:
    """The file at ``path``, vectors as float32.

    Raises:
        ValueError: there is none, or it is not what `packed` wrote; one line.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            parts = [file[name] for name in ("nodes", "labels", "trained", "initial")]
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file; move the record away and run the task again") from None
    except (OSError, KeyError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path}: not an embedding ({reason}); move the record away and run the task again") from error
    nodes, labels, trained, initial = parts
    whole = nodes.ndim == 1 and trained.ndim == 2 and nodes.shape == labels.shape == trained.shape[:1]
    if not whole or trained.shape != initial.shape or not len(nodes):
        shapes = ", ".join(str(part.shape) for part in parts)
        raise ValueError(f"{path}: not an embedding (shapes {shapes}); move the record away and run the task again")
    return Embedding(nodes, labels, trained.astype(np.float32), initial.astype(np.float32))


def _halved(vectors: np.ndarray) -> np.ndarray:
    largest = float(np.finfo(np.float16).max)
    return vectors.clip(-largest, largest).astype(np.float16)
