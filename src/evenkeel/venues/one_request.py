"""What does one HTTP request bring? An `Answer`, or VenueUnknownError: never a second request, never an endless wait.

The request goes to the adapter itself, so no redirect, cookie, hook or stored login adds to it. Every request has a
session and so a connection of its own: a kept one may be closed by the other side at the moment of sending, and then
nobody knows whether an order arrived. (Asking for `Connection: close` is not enough: where the answer does not repeat
it, the pool keeps the connection although the server has closed it.) The law: after the time limit no byte of a body
leaves any more.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException

import requests
from requests.adapters import HTTPAdapter

from evenkeel.errors import VenueUnknownError

Connect = Callable[[], requests.Session]
"""Makes a session for one request; its adapters must not repeat requests."""
LARGEST = 5 * 1024 * 1024
"""Bytes of a body that are read at most."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: HTTP status, whole body, and the wait that the server asked for (s; None = it named none)."""

    status: int
    body: bytes
    retry_after_s: float | None


@dataclass(frozen=True, slots=True)
class Request:
    """What goes out. form None = no body (GET). Not shown: headers carry keys."""

    method: str
    url: str
    headers: Mapping[str, str]
    form: bytes | None = None

    def __repr__(self) -> str:
        return f"Request({self.method})"


class _GivenUpError(OSError):
    """The sender no longer waits."""


class _TooLargeError(OSError):
    """The body is larger than `LARGEST`."""


class _Body(io.BytesIO):
    """A request body that cannot be read once its sender has given up."""

    def __init__(self, data: bytes, given_up: threading.Event) -> None:
        super().__init__(data)
        self._given_up = given_up

    def read(self, size: int | None = -1, /) -> bytes:
        if self._given_up.is_set():
            raise _GivenUpError
        return super().read(size)


def sends_once(session: requests.Session, url: str) -> bool:
    """Whether the session's adapter for this address never repeats a request on its own."""
    adapter = session.get_adapter(url)
    return isinstance(adapter, HTTPAdapter) and adapter.max_retries.total == 0


def exchange(connect: Connect, request: Request, limit_s: float) -> Answer:
    """Send a request once and read the answer, all within `limit_s`.

    Raises VenueUnknownError with the kind of failure and nothing of the request: no answer in time, lost connection,
    cut or oversized body. ValueError if the session would repeat requests.
    """
    session = connect()
    if not sends_once(session, request.url):
        raise ValueError("the HTTP session repeats requests on its own: mount adapters with max_retries=0")
    given_up, box = threading.Event(), list[Answer | str]()
    silence = f"no answer within {limit_s:g} s"

    def work() -> None:
        try:
            with session:
                box.append(_send(session, request, limit_s, given_up))
        except requests.Timeout:
            box.append(silence)
        except (OSError, ValueError, HTTPException) as error:
            box.append(type(error).__name__.removeprefix("_"))

    # A thread of its own: timeouts of sockets bound one read, not a server that sends a byte now and then.
    thread = threading.Thread(target=work, name="one-request", daemon=True)
    thread.start()
    thread.join(limit_s)
    given_up.set()
    answer = box[0] if box else silence
    if isinstance(answer, str):
        raise VenueUnknownError(answer)
    return answer


def _send(session: requests.Session, request: Request, limit_s: float, given_up: threading.Event) -> Answer:
    data = None if request.form is None else _Body(request.form, given_up)
    headers = {**request.headers, "Connection": "close"}
    prepared = requests.Request(request.method, request.url, headers=headers, data=data).prepare()
    settings = session.merge_environment_settings(request.url, {}, True, None, None)
    # The stubs' settings are looser than what the adapter takes.
    response = session.get_adapter(request.url).send(prepared, timeout=limit_s, **settings)  # type: ignore[arg-type]
    try:
        body = _read(response, given_up.is_set)
    finally:
        response.close()
    return Answer(response.status_code, body, _seconds(response.headers.get("Retry-After")))


def _read(response: requests.Response, stop: Callable[[], bool]) -> bytes:
    body = bytearray()
    for part in response.iter_content(65_536):
        body += part
        if len(body) > LARGEST:
            raise _TooLargeError
        if stop():
            raise _GivenUpError
    return bytes(body)


def _seconds(text: str | None) -> float | None:
    """Seconds of a Retry-After header; None for a date or nonsense."""
    return float(text) if text is not None and text.isascii() and text.isdigit() else None
