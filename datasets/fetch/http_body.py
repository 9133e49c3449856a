"""The body of an HTTP response, read piece by piece as it arrives, and given up when it hardly does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import requests
from requests.exceptions import ConnectionError as RequestsConnectionError
from urllib3.exceptions import HTTPError

_TIMEOUT = 30  # seconds without an answer, or between two pieces of one
_PATIENCE = 60.0  # seconds over which the rate is looked at
_LEAST = 60 * 1024  # bytes in that time


class Body:
    """Reads a response's content. raw: what urllib3 gives. decode: undo the encoding that the server says it used.

    The timeout of a socket bounds the time between two pieces, so a server that sends a byte now and then would be
    waited for without an end; here, it is given up.
    """

    def __init__(self, raw: Any, decode: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._raw = raw
        self._decode = decode
        self._clock = clock
        self._since = clock()
        self._received = 0

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, as soon as there are any; none at the end.

        Raises requests' ConnectionError if the connection breaks, or brings less than a kilobyte per second.
        """
        try:
            piece: bytes = self._raw.read1(size, decode_content=self._decode)
        except HTTPError as error:
            raise RequestsConnectionError(str(error)) from error
        self._received += len(piece)
        now = self._clock()
        if piece and now - self._since > _PATIENCE:
            if self._received < _LEAST:
                raise RequestsConnectionError(f"{self._received} bytes in {now - self._since:.0f} seconds")
            self._since, self._received = now, 0
        return piece


@contextmanager
def opened(url: str, decode: bool) -> Iterator[Body]:
    """The body of what lies at an address. Raises requests' RequestException if it cannot be had."""
    with requests.get(url, stream=True, timeout=_TIMEOUT) as response:
        response.raise_for_status()
        yield Body(response.raw, decode)


def reason_of(error: BaseException) -> str:
    """The text of what went wrong in the first place, as one line of bearable length."""
    while isinstance(inner := getattr(error, "reason", None) or next(iter(error.args), None), BaseException):
        error = inner
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}…"
