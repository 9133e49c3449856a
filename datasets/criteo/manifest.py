"""Criteo's display-advertising data as published, and their first 10,000 rows."""

from __future__ import annotations

from datasets.core.manifest import Manifest, RemoteFile
from datasets.criteo.format import FILE, GZIP_FILE
from datasets.criteo.text import check_beginning

_ADDRESS = "https://go.criteo.net/criteo-research-kaggle-display-advertising-challenge-dataset.tar.gz"
_LICENCE = "Criteo's terms"

# The published archive has no checksum. 45,840,617 rows.
_FULL = RemoteFile(
    path=f"criteo/{FILE}",
    url=_ADDRESS,
    sha256=None,
    size=11_100_000_000,
    member=FILE,
    alternatives=(f"criteo/{GZIP_FILE}",),
    check=check_beginning,
)
_FIRST_ROWS = RemoteFile(
    path=f"criteo_10k/{FILE}",
    url=None,
    sha256="f665bb8823fd742ea1b8602d70918f235ccc08eba3224f1621c11022721c21a3",
    size=2_422_799,
)

MANIFESTS = {
    "criteo": Manifest("criteo", "criteo", _LICENCE, "Criteo AI Lab", (_FULL,)),
    "criteo_10k": Manifest(
        "criteo_10k",
        "criteo_10k",
        _LICENCE,
        "Criteo AI Lab",
        (_FIRST_ROWS,),
        instruction="make it from Criteo's full file: head -10000 criteo/train.txt > criteo_10k/train.txt",
    ),
}
