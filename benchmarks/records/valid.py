"""The schema of files from outside: the types of their fields, and the check of a JSON text against them.

The fields themselves are declared where they are used: of a record in `benchmarks.records.record`, of a baseline's cell
in `benchmarks.records.baseline_file`, of a snapshot in `benchmarks.history.baseline_snapshot`. pydantic compares; what
it finds becomes one line: the field, what was expected, what was found. Numbers are finite, texts are one line, nothing
is converted ("80" is no number), and a field that is not known is an error: a newer version's, or a misspelt one.
Reading it as if it were not there would lose it.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, TypeVar

import pydantic_core
from pydantic import AfterValidator, ConfigDict, Field, Strict, TypeAdapter, ValidationError

from benchmarks.catalogue.discovery import current_domain
from benchmarks.catalogue.metric import MOST_COSINE, MOST_SPREAD
from benchmarks.records.inputs import problem_of_encoding
from benchmarks.records.moments import checked as checked_moment
from benchmarks.terminal.names import problem_of_hash, problem_of_name, problem_of_seed, shown

T = TypeVar("T")

#: Of every class with fields.
CLOSED = ConfigDict(extra="forbid", allow_inf_nan=False)

_DEEPEST = 20  # levels of lists and objects within each other; configurations have four
_LONGEST_TEXT = 100_000
_CONTAINERS = (dict, list)
_KEY = re.compile(rb'"[ \t\r\n]*:')  # the end of every key, and of nothing else outside of texts
_LARGEST = 1e15  # of seconds, bytes, rows: squares and sums of such numbers are finite


def _rule(check: Callable[[Any], str | None]) -> AfterValidator:
    """A validator from a function that says what is wrong."""

    @cache  # the same few names stand in thousands of records
    def problem(value: Any) -> str | None:
        return check(value)

    def checked(value: Any) -> Any:
        if found := problem(value):
            raise ValueError(found)
        return value

    return AfterValidator(checked)


def _name(kind: str) -> Any:
    return Annotated[str, Strict(), _rule(lambda value: problem_of_name(kind, value))]


def _problem_of_line(text: str) -> str | None:
    """Why ``text`` is too long, or would break a line, or move a terminal's cursor; None if it does not."""
    if len(text) > _LONGEST_TEXT:
        return f"{len(text)} characters, and {_LONGEST_TEXT} are the most"
    return None if text.isprintable() else f"{shown(text)} is not one line of plain text"


def _one_line(text: str) -> str:
    if problem := _problem_of_line(text):
        raise ValueError(problem)
    return text


def _plain(value: Any) -> Any:
    """``value`` itself, if it is JSON that every reader takes: not too deep, no number beyond a float's or 64 bits."""
    if problem := _problem_of_json(value, _DEEPEST):
        raise ValueError(problem)
    return value


def _problem_of_json(value: Any, levels: int) -> str | None:
    if isinstance(value, str):  # as most are
        return None
    if isinstance(value, dict | list):
        if not levels:
            return f"more than {_DEEPEST} levels of lists and objects"
        for part in value.values() if isinstance(value, dict) else value:
            if problem := _problem_of_json(part, levels - 1):
                return problem
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else "a number that is not finite"
    return f"{shown(value)}" if isinstance(value, int) and value.bit_length() > 63 else None


Profile, Task, Method, Architecture, Dataset, DataSource, Artefact = map(
    _name, ("profile", "task", "method", "architecture", "dataset", "data source", "artefact")
)
#: Records of earlier versions have other words for some.
Domain = Annotated[str, Strict(), _rule(lambda value: problem_of_name("domain", value)), AfterValidator(current_domain)]
Hash = Annotated[str, Strict(), _rule(problem_of_hash)]
Seed = Annotated[int, Strict(), _rule(problem_of_seed)]
#: A seed where it is the key of an object.
SeedText = Annotated[
    str, Field(strict=True, pattern=r"^(0|[1-9][0-9]{0,9})$"), _rule(lambda text: problem_of_seed(int(text)))
]
#: One line.
Text = Annotated[str, Strict(), AfterValidator(_one_line)]
Flag = Annotated[bool, Strict()]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Cosine = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-MOST_COSINE, le=MOST_COSINE)]
Spread = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=MOST_SPREAD)]
#: Seconds, samples a second, megabytes.
Amount = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=_LARGEST)]
Count = Annotated[int, Field(strict=True, ge=0, le=int(_LARGEST))]
#: The length of a gradient or an activation: a training that diverges makes it as large as floats are.
Magnitude = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0)]
#: A metric, or a metric at a feedback point; which there are says `benchmarks.records.metrics`.
MetricName = Annotated[
    str, Field(strict=True, pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,79}(/[^\s/]{1,200})?$"), _rule(_problem_of_line)
]
#: A date with or without a time, or nothing.
Moment = Annotated[str, Strict(), AfterValidator(checked_moment)]
#: Anything in JSON, within bounds.
Json = Annotated[Any, AfterValidator(_plain)]


def _settings_of_a_run(value: dict[str, Any]) -> dict[str, Any]:
    """``value`` itself, if the parts of a run's settings that readers go into are of the kind that they expect."""
    task = value.get("task", {})
    if not isinstance(task, dict):
        raise ValueError(f"task must be an object, found {shown(task)}")
    for name in ("epochs", "steps"):
        length = task.get(name)
        if length is not None and (not isinstance(length, int) or isinstance(length, bool)):
            raise ValueError(f"task.{name} must be a whole number, found {shown(length)}")
    return value


#: The configuration of a run, by part; records of other versions, and of plugins, have other settings in it.
Settings = Annotated[dict[str, Json], AfterValidator(_settings_of_a_run)]


def parse_json(content: bytes) -> Any:
    """The value of a JSON text; NaN and Infinity, which JSON does not have, are errors, and so is bottomless nesting.

    Raises:
        ValueError: not JSON in UTF-8, or an object has a key twice.
    """
    try:
        value = pydantic_core.from_json(content, allow_inf_nan=False)
    except ValueError as error:
        raise ValueError(problem_of_encoding(content) or str(error)) from error
    # Of a key that is there twice the parser keeps the last. A slower parser, which sees both, reads the few texts that
    # seem to have more keys than arrived: a text within quotes may look like one.
    if len(_KEY.findall(content)) > _keys([value]):
        json.loads(content, object_pairs_hook=_distinct)
    return value


def _keys(value: dict[str, Any] | list[Any]) -> int:
    """The number of keys of all objects in ``value``."""
    own, parts = (len(value), value.values()) if isinstance(value, dict) else (0, value)
    return own + sum([_keys(part) for part in parts if isinstance(part, _CONTAINERS)])


def _distinct(pairs: list[tuple[str, Any]]) -> None:
    key, count = Counter(key for key, _ in pairs).most_common(1)[0] if pairs else ("", 0)
    if count > 1:
        raise ValueError(f"the key {shown(key)} is there {count} times in one object")


def parse_object(content: bytes) -> dict[str, Any]:
    """The same of a text that must be an object.

    Raises:
        ValueError: it is not.
    """
    value = parse_json(content)
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, found {shown(value)}")
    return value


def validated(adapter: TypeAdapter[T], value: Any) -> T:
    """``value`` as what ``adapter`` describes.

    Raises:
        ValueError: it is not; half a line with the first field that is wrong.
    """
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise ValueError(_in_words(error)) from None


def check_schema(values: Mapping[str, Any], known: int) -> None:
    """Raise ValueError unless the file says that it is of the schema ``known``."""
    if values.get("schema") != known or isinstance(values.get("schema"), bool):
        raise ValueError(f"schema: {shown(values.get('schema'))}, and this version reads {known}")


def _in_words(error: ValidationError) -> str:
    first, *others = error.errors(include_url=False)
    field = ".".join(shown(part).strip("'") for part in first["loc"]) or "the whole"
    more = f" (and {len(others)} more)" if others else ""
    return f"{field}: {_problem(first)}{more}"


def _problem(error: Any) -> str:
    match error["type"]:
        case "missing":
            return "missing"
        case "extra_forbidden" | "unexpected_keyword_argument":
            return "unknown field: a newer version's, or misspelt"
        case "value_error":
            return str(error["ctx"]["error"])
    return f"{error['msg'].replace('Input should', 'must')}, found {shown(error['input'])}"
