"""What does Binance push? Kline events of the bar that is open, one last event of each bar that closes, and the end.

A connection begins with the bar that is open when it is made: what closed before must be asked for by REST. Each event
counts as a call of the method `WS`, so a plan of faults cuts a connection at a chosen event: `reset` resets it,
`maintenance` announces it with `serverShutdown` and closes. Pings are the server's own.
Source: Binance spot WebSocket streams (`specs/market_data.md` section 2).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect

from evenkeel.sandbox.binance_account import Product
from evenkeel.sandbox.clock import Clock
from evenkeel.sandbox.faults import Faults
from evenkeel.sandbox.market import Bar, Market
from evenkeel.units import seconds

METHOD = "WS"
PUSH_S = 2.0
"""Sandbox seconds between two events of an open bar."""
_LOOK_S = 0.005
_NAME = re.compile(r"^([a-z0-9]+)@kline_(1m|3m|5m|15m|30m|1h|2h|4h|6h|8h|12h|1d)$")


@dataclass(slots=True)
class Followed:
    """One stream: where it stands. Times UTC s."""

    name: str
    product: Product
    interval: str
    open: int
    pushed: float = float("-inf")


async def push(
    socket: WebSocket,
    names: Sequence[str],
    products: Mapping[str, Product],
    market: Market,
    clock: Clock,
    faults: Faults,
    *,
    bare: bool = False,
) -> None:
    """Serve one connection until it ends; `bare` leaves out the name of the stream around each event.

    Names that no stream has are accepted and stay silent, as there.
    """
    await socket.accept()
    followed = [one for name in names if (one := _followed(name, products, clock.now())) is not None]
    listener = asyncio.create_task(_listen(socket))
    try:
        while not listener.done():
            now = clock.now()
            for name, event in (pair for one in followed for pair in events(one, market, now)):
                if await _cut(socket, faults, now):
                    return
                await socket.send_json(event if bare else {"stream": name, "data": event})
            await asyncio.sleep(_LOOK_S)
    except (WebSocketDisconnect, RuntimeError):
        return
    finally:
        listener.cancel()


def events(one: Followed, market: Market, now: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a stream says at `now`: every bar that has closed since, then the open one if it is time."""
    step = seconds(one.interval)
    for bar in market.bars(one.product.asset, step, one.open, now + 1e-3, now):
        if bar.closed:
            one.open, one.pushed = bar.time + step, float("-inf")
            yield one.name, event_of(one, bar, now)
        elif now - one.pushed >= PUSH_S:
            one.pushed = now
            yield one.name, event_of(one, bar, now)


def event_of(one: Followed, bar: Bar, now: float) -> dict[str, Any]:
    """A kline event."""
    product, factor = one.product, one.product.factor
    opened, high, low, close = (f"{price * factor:.8f}" for price in (bar.open, bar.high, bar.low, bar.close))
    value = f"{bar.volume * bar.close:.8f}"
    return {
        "e": "kline", "E": int(now * 1000), "s": product.symbol,
        "k": {
            "t": bar.time * 1000, "T": (bar.time + seconds(one.interval)) * 1000 - 1, "s": product.symbol,
            "i": one.interval, "f": -1, "L": -1, "o": opened, "c": close, "h": high, "l": low,
            "v": f"{bar.volume / factor:.8f}", "n": 1, "x": bar.closed, "q": value, "V": "0", "Q": "0", "B": "0",
        },
    }  # fmt: skip


async def _cut(socket: WebSocket, faults: Faults, now: float) -> bool:
    """Whether a fault ended the connection."""
    kinds = {fault.kind for fault in faults.draw(METHOD, socket.url.path)}
    if "maintenance" in kinds:
        await socket.send_json({"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": int(now * 1000)}})
        await socket.close(1001)
        return True
    if "reset" not in kinds:
        return False
    transport = socket.scope.get("state", {}).get("transport")
    if transport is None:
        await socket.close(1011)
    else:
        transport.abort()
    return True


async def _listen(socket: WebSocket) -> None:
    """Take what the client sends; ends when it leaves."""
    try:
        while True:
            await socket.receive_text()
    except (WebSocketDisconnect, RuntimeError, KeyError):
        return


def _followed(name: str, products: Mapping[str, Product], now: float) -> Followed | None:
    match = _NAME.match(name)
    product = None if match is None else products.get(match[1].upper())
    if match is None or product is None:
        return None
    step = seconds(match[2])
    return Followed(name, product, match[2], int(now // step) * step)
