"""WikiText-103 in a data root of the test's own: loading, the cache, a process that loads."""

from __future__ import annotations

import subprocess
import sys

from datasets.registry import resolve
from datasets.wikitext.cache import cache_folder
from datasets.wikitext.load import Tokenization, load_wikitext
from tests import REPOSITORY
from tests.helpers.wikitext_samples import (
    random_text,
)

TRAIN = random_text(300)
SETTINGS = Tokenization(290)


def load(settings: Tokenization = SETTINGS):
    return load_wikitext(resolve("wikitext103"), settings)


def cached() -> list[str]:
    """Names in the cache, without lock files."""
    folder = cache_folder(resolve("wikitext103"), SETTINGS).parent
    return sorted(path.name for path in folder.glob("*") if path.is_dir())


def in_a_process(before: str, **options: object) -> subprocess.Popen[str]:
    """Load in a process of its own, after some lines of Python."""
    program = (
        "from datasets.wikitext import cache as wikitext_cache, encode as wikitext_encode; "
        "from datasets.core import sole_writer\nfrom datasets.wikitext.load import *\n"
        f"from datasets.registry import resolve\n{before}\n"
        "load_wikitext(resolve('wikitext103'), Tokenization(290))\n"
    )
    return subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY, text=True, **options)
