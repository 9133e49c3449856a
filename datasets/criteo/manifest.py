"""Criteo's display-advertising data as published, their first 10,000 rows, and 137,139 rows of all seven days."""

from __future__ import annotations

from datasets.core.content import Content
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
# About 0.3% of the rows, drawn uniformly, in the order of the full file.
_SAMPLE = RemoteFile(
    path=f"criteo_137k/{GZIP_FILE}",
    url=None,
    sha256="e086ffb634321d4ca6030a40ccfcaf1d59087e17a25ab7f4ac925b9bf1503c90",
    size=12_070_027,
    alternatives=(f"criteo_137k/{FILE}",),
    content=Content(33_340_442, "9e95900eb5be9d32b7d68b5dbfcae80364243a7243d109333ec039e40bf33383"),
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
    "criteo_137k": Manifest(
        "criteo_137k",
        "criteo_137k",
        _LICENCE,
        "Criteo AI Lab",
        (_SAMPLE,),
        instruction="put the sample whose checksum stands in datasets/criteo/manifest.py there; rows of your own go to "
        "criteo/train.txt and are the dataset criteo",
    ),
}
