"""The lowest versions that pyproject.toml states for the benchmarks, as arguments of pip.

python -m tests.packaging.lowest | xargs python -m pip install
"""

from __future__ import annotations

import re
import sys
import tomllib

from tests import REPOSITORY


def lowest(extra: str = "bench") -> list[str]:
    """``name==version`` for each requirement of an extra that has a floor."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    found = (re.match(r"([\w.-]+)>=([\w.]+)", text) for text in project["optional-dependencies"][extra])
    return [f"{one[1]}=={one[2]}" for one in found if one]


if __name__ == "__main__":
    sys.stdout.write("\n".join(lowest()) + "\n")
