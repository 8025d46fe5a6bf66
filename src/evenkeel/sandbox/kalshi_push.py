"""What does Kalshi push? Books, trades, our fills, the lives of markets; every message numbered.

Every subscription has a number (sid) and counts its own messages. Each message counts as a call of the method `WS`, so
a plan of faults strikes a chosen one: `gap` leaves it out, its number too; `stale` sends it twice; `reset` cuts the
connection; `maintenance` closes it; `html` sends a page; `status` says error 25, which ends a subscription.
Source: specs/kalshi.md section 8.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from fastapi import Response, WebSocket, WebSocketDisconnect

from evenkeel.sandbox import kalshi_objects as objects
from evenkeel.sandbox.clock import Clock
from evenkeel.sandbox.faults import Faults
from evenkeel.sandbox.kalshi_boards import Levels, Listing
from evenkeel.sandbox.kalshi_venue import Venue, step_of
from evenkeel.units import HOUR_S

METHOD: Final = "WS"
CHANNELS: Final = ("orderbook_delta", "trade", "fill", "market_lifecycle_v2")
_LOOK_S: Final = 0.005
_TURNS: Final = {"active": "activated", "closed": "deactivated", "determined": "determined", "finalized": "settled"}
Json = dict[str, Any]
Trusted = Callable[[Mapping[str, str], str, str], bool]


@dataclass(slots=True)
class Subscription:
    """One channel of one connection, and where it stands. step  UTC s up to which it has told everything."""

    sid: int
    channel: str
    tickers: list[str]
    step: int
    seq: int = 0
    fills: int = 0
    seen: tuple[int, int] = (0, -1)
    books: dict[str, tuple[Levels, Levels]] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)


class _CutError(Exception):
    """A fault ended the connection."""


async def push(socket: WebSocket, venue: Venue, clock: Clock, faults: Faults, trusted: Trusted) -> None:
    """Serve one connection until it ends. Without a right signature there is none."""
    if not trusted(socket.headers, "GET", socket.url.path):
        await socket.send_denial_response(Response("unauthorized", 401))
        return
    await socket.accept()
    subscriptions: dict[int, Subscription] = {}
    heard: asyncio.Queue[str | None] = asyncio.Queue()
    listener = asyncio.create_task(_listen(socket, heard))
    try:
        while True:
            now = clock.now()
            venue.advance(now)
            while not heard.empty():
                text = heard.get_nowait()
                if text is None:
                    return
                for reply in commanded(text, subscriptions, venue, now):
                    await socket.send_bytes(orjson.dumps(reply))
            for one in list(subscriptions.values()):
                for kind, told in news(one, venue, now):
                    await _send(socket, faults, one, kind, told)
            await asyncio.sleep(_LOOK_S)
    except (WebSocketDisconnect, RuntimeError, _CutError):
        return
    finally:
        listener.cancel()


def commanded(text: str, subscriptions: dict[int, Subscription], venue: Venue, now: float) -> Iterator[Json]:
    """What a command of the client is answered with; it changes the subscriptions."""
    try:
        command = orjson.loads(text)
        name, params, number = command["cmd"], command.get("params", {}), command.get("id", 0)
    except (ValueError, KeyError, TypeError, AttributeError):
        yield _error(0, 5)
        return
    tickers = [*params.get("market_tickers", []), *([params["market_ticker"]] if "market_ticker" in params else [])]
    if name == "subscribe":
        for channel in params.get("channels", []):
            if channel not in CHANNELS:
                yield _error(number, 8)
            elif channel == "orderbook_delta" and not tickers:
                yield _error(number, 14)
            else:
                sid = max(subscriptions, default=0) + 1
                subscriptions[sid] = Subscription(sid, channel, tickers, step_of(now), fills=len(venue.fills))
                yield {"id": number, "type": "subscribed", "msg": {"channel": channel, "sid": sid}}
    elif name in {"unsubscribe", "update_subscription"}:
        for sid in [*params.get("sids", []), *([params["sid"]] if "sid" in params else [])]:
            if sid not in subscriptions:
                yield _error(number, 7)
            else:
                yield _updated(number, name, params.get("action", ""), tickers, subscriptions, sid)
    else:
        yield _error(number, 5)


def _updated(
    number: int, name: str, action: str, tickers: list[str], subscriptions: dict[int, Subscription], sid: int
) -> Json:
    one = subscriptions[sid]
    if name == "unsubscribe":
        del subscriptions[sid]
        return {"id": number, "type": "unsubscribed", "sid": sid, "seq": one.seq + 1}
    if action == "add_markets":
        one.tickers += [ticker for ticker in tickers if ticker not in one.tickers]
    if action == "delete_markets":
        one.tickers = [ticker for ticker in one.tickers if ticker not in tickers]
    for ticker in tickers:
        one.books.pop(ticker, None)  # the next look sends it whole
    one.seq += 1
    return {"id": number, "type": "ok", "sid": sid, "seq": one.seq, "msg": {"market_tickers": one.tickers}}


def news(one: Subscription, venue: Venue, now: float) -> Iterator[tuple[str, Json]]:
    """What a subscription has to say since it was looked at: types and messages."""
    before, one.step = one.step, max(one.step, step_of(now))
    match one.channel:
        case "orderbook_delta" if one.seen != (one.step, venue.changes) or len(one.books) < len(one.tickers):
            one.seen = one.step, venue.changes
            for ticker in one.tickers:
                listing = venue.world.listing(ticker)
                if listing is not None:
                    yield from _book_news(one, listing, venue, now)
        case "trade" if one.step > before:
            for listing in _listings(one, venue, before, now):
                for row in reversed(objects.trades(venue, listing, before + 1, one.step)):
                    yield "trade", _traded(row, now)
        case "fill":
            new, one.fills = venue.fills[one.fills :], len(venue.fills)
            for fill in new:
                told = {**objects.fill(fill), "client_order_id": fill.order.client, "ts_ms": int(fill.time * 1000)}
                yield "fill", {**told, "post_position_fp": objects.contracts(fill.after)}
        case "market_lifecycle_v2" if one.step > before or not one.states:
            yield from _turns(one, venue, now)


def _book_news(one: Subscription, listing: Listing, venue: Venue, now: float) -> Iterator[tuple[str, Json]]:
    """The whole book at first, then its changes: what went before what came, so that it never crosses."""
    book = venue.book(listing, now)
    known = one.books.get(listing.ticker)
    one.books[listing.ticker] = book
    named = {"market_ticker": listing.ticker, "market_id": listing.ticker}
    if known is None:
        sides = {f"{side}_dollars_fp": objects.levels(levels) for side, levels in zip(("yes", "no"), book, strict=True)}
        yield "orderbook_snapshot", {**named, **{name: levels for name, levels in sides.items() if levels}}
        return
    changes = []
    for side, old, new in zip(("yes", "no"), known, book, strict=True):
        for price in sorted(old.keys() | new.keys()):
            delta = new.get(price, 0) - old.get(price, 0)
            if delta:
                changes.append((delta > 0, side, price, delta))
    for _, side, price, delta in sorted(changes, key=lambda change: change[0]):
        told = {"price_dollars": objects.usd(price), "delta_fp": f"{delta:.2f}", "side": side}
        yield "orderbook_delta", {**named, **told, "ts": int(now), "ts_ms": int(now * 1000)}


def _traded(row: Json, now: float) -> Json:
    told = {name: value for name, value in row.items() if name not in {"ticker", "created_time"}}
    return {**told, "market_ticker": row["ticker"], "ts": int(now), "ts_ms": int(now * 1000)}


def _turns(one: Subscription, venue: Venue, now: float) -> Iterator[tuple[str, Json]]:
    """Markets whose life went on since they were last looked at; at first nothing is told."""
    first = not one.states
    for listing in venue.world.listings(now - HOUR_S, now):
        state = venue.status(listing, now)
        if one.states.get(listing.ticker) != state:
            one.states[listing.ticker] = state
            if not first:
                yield "market_lifecycle_v2", {"market_ticker": listing.ticker, "event_type": _TURNS.get(state, state)}


def _listings(one: Subscription, venue: Venue, since: float, now: float) -> list[Listing]:
    if not one.tickers:
        return list(venue.world.listings(since, now))
    return [found for ticker in one.tickers if (found := venue.world.listing(ticker)) is not None]


async def _send(socket: WebSocket, faults: Faults, one: Subscription, kind: str, told: Json) -> None:
    """One numbered message, or what a fault makes of it."""
    kinds = {fault.kind for fault in faults.draw(METHOD, socket.url.path)}
    one.seq += 1
    message = orjson.dumps({"type": kind, "sid": one.sid, "seq": one.seq, "msg": told}).decode()
    if "reset" in kinds:
        transport = socket.scope.get("state", {}).get("transport")
        await socket.close(1011) if transport is None else transport.abort()
        raise _CutError
    if "maintenance" in kinds:
        await socket.close(1001)
        raise _CutError
    if "gap" in kinds:
        return
    if "status" in kinds:
        message = orjson.dumps(_error(0, 25)).decode()
    if "html" in kinds:
        message = "<html>busy</html>"
    for _ in range(2 if "stale" in kinds else 1):
        await socket.send_text(message)


def _error(number: int, code: int) -> Json:
    return {"id": number, "type": "error", "msg": {"code": code, "msg": f"error {code}"}}


async def _listen(socket: WebSocket, heard: asyncio.Queue[str | None]) -> None:
    """Take what the client sends; None when it leaves."""
    try:
        while True:
            heard.put_nowait(await socket.receive_text())
    except (WebSocketDisconnect, RuntimeError, KeyError):
        heard.put_nowait(None)
