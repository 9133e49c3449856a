"""The benchmarks. They run from the checkout, beside this repository's package `datasets`."""

from importlib.util import find_spec
from pathlib import Path

_CHECKOUT = Path(__file__).parents[1]


def _check_datasets() -> None:
    """ImportError if `import datasets` means another package, such as Hugging Face's, or none.

    The error carries this package's name, so that `python -m benchmarks.run` ends with the line, not with a traceback.
    """
    found = find_spec("datasets")
    if found is None or found.origin is None or Path(found.origin).parent != _CHECKOUT / "datasets":
        other = found.origin if found else "nothing"
        raise ImportError(
            f"the benchmarks run from their checkout, but `import datasets` means {other}; change to {_CHECKOUT}, "
            "or put it first in PYTHONPATH",
            name=__name__,
        )


_check_datasets()
