"""How do faults reach the client? An ASGI layer around the venues, and the server that can reset a connection.

Requests below `/sandbox/` are never struck. The law: a fault before acceptance never asks the venue, a fault after
acceptance asks it exactly once.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from evenkeel.errors import UsageError
from evenkeel.sandbox.faults import Fault, Faults

CONTROL: Final = "/sandbox/"
_PIECE: Final = 65_536
_START_S: Final = 10.0
_PAGE: Final = b"<!DOCTYPE html><html><body><h1>Just a moment...</h1></body></html>"
_CLOSED: Final = b"<!DOCTYPE html><html><body><h1>Down for maintenance</h1></body></html>"

Scope = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response: headers as ASGI has them."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class Faulty:
    """ASGI application: `app` with everything between it and the client that a plan lets go wrong."""

    def __init__(self, app: Any, faults: Faults) -> None:
        """`app` sees the faults that it has to answer with itself in `scope["state"]["struck"]`."""
        self._app = app
        self._faults = faults
        self._previous: dict[tuple[str, str], Answer] = {}

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"].startswith(CONTROL):
            await self._app(scope, receive, send)
            return
        hits = self._faults.draw(scope["method"], scope["path"])
        scope.setdefault("state", {})["struck"] = hits
        spoiler = next((fault for fault in hits if fault.spoils), None)
        heard = await _heard(receive)
        await asyncio.sleep(_latency(hits, accepted=False))
        answer = await _asked(self._app, scope, heard) if spoiler is None or spoiler.accepted else None
        await asyncio.sleep(_latency(hits, accepted=True))
        if spoiler is not None and spoiler.kind == "reset":
            await _reset(scope)
            return
        await _give(await self._spoilt(spoiler, answer, scope, heard), send)

    async def _spoilt(self, spoiler: Fault | None, answer: Answer | None, scope: Scope, receive: Any) -> Answer:
        """What the client gets: the answer itself where nothing spoils it."""
        place = (scope["method"], scope["path"])
        if spoiler is not None and spoiler.kind == "stale" and place in self._previous:
            return self._previous[place]
        if spoiler is not None and spoiler.kind != "stale":
            return _instead(spoiler)
        self._previous[place] = answer if answer is not None else await _asked(self._app, scope, receive)
        return self._previous[place]


def _latency(hits: tuple[Fault, ...], *, accepted: bool) -> float:
    return sum(fault.seconds for fault in hits if fault.kind == "latency" and fault.accepted == accepted)


def _instead(fault: Fault) -> Answer:
    """The answer that a fault gives in place of the venue's."""
    match fault.kind:
        case "rate_limit":
            wait = ((b"retry-after", f"{fault.seconds:g}".encode()),) if fault.seconds > 0 else ()
            return _page(429, b"Too Many Requests", b"text/plain", *wait)
        case "maintenance":
            return _page(503, _CLOSED, b"text/html")
        case "html":
            return _page(200, _PAGE, b"text/html")
        case "huge":
            return _page(200, b'{"junk":"' + b"x" * max(fault.size - 11, 0) + b'"}', b"application/json")
        case _:
            return _page(fault.status, b"upstream trouble", b"text/plain")


def _page(status: int, body: bytes, kind: bytes, *more: tuple[bytes, bytes]) -> Answer:
    return Answer(status, ((b"content-type", kind), (b"content-length", str(len(body)).encode()), *more), body)


async def _heard(receive: Any) -> Any:
    """The whole request, to be received again: it was sent even if the client gives up while the venue is slow."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)

    async def again() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _asked(app: Any, scope: Scope, receive: Any) -> Answer:
    """The venue's whole answer."""
    started: list[Any] = []
    pieces: list[bytes] = []

    async def keep(message: Any) -> None:
        if message["type"] == "http.response.start":
            started.append(message)
        else:
            pieces.append(message.get("body", b""))

    await app(scope, receive, keep)
    return Answer(started[0]["status"], tuple(started[0]["headers"]), b"".join(pieces))


async def _give(answer: Answer, send: Any) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": list(answer.headers)})
    for at in range(0, max(len(answer.body), 1), _PIECE):
        more = at + _PIECE < len(answer.body)
        await send({"type": "http.response.body", "body": answer.body[at : at + _PIECE], "more_body": more})


# ---------------------------------------------------------------- the server


class Resettable(H11Protocol):
    """uvicorn's HTTP/1.1, which shows its transport to the application, so that a fault can reset the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


async def _reset(scope: Scope) -> None:
    """Send RST instead of an answer."""
    transport = scope["state"]["transport"]
    linger = struct.pack("ii", 1, 0)  # on, 0 s: close() sends RST and no FIN
    with suppress(OSError):  # the client may be gone already
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()
    await asyncio.sleep(0.01)  # until the server knows that nobody waits for an answer any more


@contextmanager
def serving(app: Any, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve an ASGI application from a thread while the block runs; gives its address. Port 0 = any that is free.

    Raises UsageError for an address that cannot be bound.
    """
    listener = _bound(host, port)
    server = uvicorn.Server(
        uvicorn.Config(
            app, http=Resettable, ws="auto", loop="asyncio", lifespan="off", log_config=None, access_log=False,
            timeout_graceful_shutdown=1,
        )
    )  # fmt: skip
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="sandbox", daemon=True)
    thread.start()
    try:
        _await_start(server, thread)
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True  # nobody waits for clients that keep their connection
        thread.join()
        listener.close()


def _bound(host: str, port: int) -> socket.socket:
    # the protocol is named so that asyncio sends small answers at once
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise UsageError(f"port {port} of {host} cannot be bound ({error}): choose another with --port") from error
    return listener


def _await_start(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + _START_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise UsageError("the sandbox did not start: another program may use its port; choose one with --port")
        time.sleep(0.005)
