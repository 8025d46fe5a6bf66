"""How does Kalshi speak? Its REST API, version 2: signatures, tokens, pages, refusals and the shape of answers.

A refusal is wrapped in `error`, the 429 is a text, writes to the retired order endpoints are 410. Public data need no
key. Codes that nobody has published are our own: no client may rely on them. Source: specs/kalshi.md section 12.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson
from fastapi import APIRouter, Request, Response, WebSocket

from evenkeel.sandbox import kalshi_keys as keys
from evenkeel.sandbox import kalshi_objects as objects
from evenkeel.sandbox import kalshi_portfolio as portfolio
from evenkeel.sandbox import kalshi_push
from evenkeel.sandbox.clock import Clock
from evenkeel.sandbox.faults import Faults, shift, struck
from evenkeel.sandbox.kalshi_boards import Listing
from evenkeel.sandbox.kalshi_call import Answering, Call, Json, page
from evenkeel.sandbox.kalshi_orders import Refusal
from evenkeel.sandbox.kalshi_venue import Venue
from evenkeel.units import HOUR_S, iso

PREFIX: Final = "/trade-api/v2"
STREAM: Final = "/trade-api/ws/v2"
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_LEGACY: Final = ("/portfolio/orders", "/portfolio/orders/{rest:path}")
_STATES: Final = {
    "unopened": {"initialized"}, "open": {"active"}, "paused": {"inactive"}, "closed": {"closed"},
    "settled": {"determined", "finalized"},
}  # fmt: skip


class Desk:
    """Lets requests in: key, signature, tokens."""

    def __init__(self, venue: Venue, clock: Clock, seed: int, *, wall: Callable[[], float] = time.monotonic) -> None:
        """`seed` makes the key; tokens come in by `wall` time (s), whatever the sandbox's clock does."""
        self.venue, self.clock, self.seed, self._wall = venue, clock, seed, wall
        self._tokens = {"reads": (float(venue.rules.reads), wall()), "writes": (float(venue.rules.writes), wall())}

    async def let_in(self, request: Request, *, signed: bool, cost: int, write: bool) -> Call:
        """The call in a request. Raises Refusal."""
        self._pay("writes" if write else "reads", cost)
        known = "kalshi-access-key" in request.headers
        if (signed or known) and not self.trusted(request.headers, request.method, request.url.path):
            code = "INCORRECT_API_KEY_SIGNATURE" if known else "token_authentication_failure"
            raise Refusal(401, code, "the headers of the key are missing or wrong")
        now = self.clock.now() + shift(request.scope)
        return Call(now, request.query_params.multi_items(), request.path_params, await _body(request), request.scope)

    def trusted(self, headers: Mapping[str, str], method: str, path: str) -> bool:
        """Whether the headers are those of the key's owner, and of now where that is checked."""
        stamp, window = headers.get("kalshi-access-timestamp", ""), self.venue.rules.window_ms
        if not stamp.isdecimal() or (window and abs(self.clock.now() * 1000 - int(stamp)) > window):
            return False
        return keys.verified(self.seed, headers, method, path)

    def _pay(self, name: str, cost: int) -> None:
        rate = self.venue.rules.reads if name == "reads" else self.venue.rules.writes
        if not rate:
            return
        held, at = self._tokens[name]
        now = self._wall()
        held = min(rate, held + (now - at) * rate)
        if held < cost:
            raise Refusal(429, "too many requests")
        self._tokens[name] = held - cost, now


async def _body(request: Request) -> Mapping[str, Any]:
    raw = await request.body()
    try:
        found = orjson.loads(raw) if raw else {}
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise Refusal(400, "invalid_json", "the body is no JSON object")
    return found


def routes(desk: Desk, faults: Faults) -> APIRouter:
    """Every endpoint under `PREFIX`, and the WebSocket."""
    router = APIRouter()

    def add(method: str, path: str, answer: Answering, *, signed: bool = True, cost: int = 10, ok: int = 200) -> None:
        point = _endpoint(desk, answer, signed=signed, cost=cost, status=ok)
        router.add_api_route(PREFIX + path, point, methods=[method])

    for path, answer in _PUBLIC.items():
        open_ = desk.venue.rules.public_books or "orderbook" not in path
        add("GET", path, answer, signed=not open_)
    for path, answer in portfolio.ACCOUNT.items():
        add("GET", path, answer, cost=2 if path.endswith("{order}") else 10)
    add("POST", "/portfolio/events/orders", portfolio.create, ok=201)
    add("DELETE", "/portfolio/events/orders/{order}", portfolio.cancel, cost=2)
    add("POST", "/portfolio/events/orders/{order}/amend", portfolio.amend)
    add("POST", "/portfolio/events/orders/{order}/decrease", portfolio.decrease)
    add("POST", "/portfolio/intra_exchange_instance_transfer", portfolio.transfer)
    for path in _LEGACY:
        add("POST", path, _retired)
        add("DELETE", path, _retired)

    async def stream(socket: WebSocket) -> None:
        await kalshi_push.push(socket, desk.venue, desk.clock, faults, desk.trusted)

    router.add_api_websocket_route(STREAM, stream)
    return router


def _endpoint(desk: Desk, answer: Answering, *, signed: bool, cost: int, status: int) -> Any:
    async def endpoint(request: Request) -> Response:
        try:
            call = await desk.let_in(request, signed=signed, cost=cost, write=request.method != "GET")
            desk.venue.advance(call.now)
            return _reply(answer(desk.venue, call), status)
        except Refusal as refused:
            return _refusal(refused)

    return endpoint


def _reply(document: Json, status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, media_type="application/json")


def _refusal(refused: Refusal) -> Response:
    if refused.status == 429:
        return _reply({"error": "too many requests"}, 429)
    told = {"code": refused.code, "message": refused.message, "details": "", "service": "sandbox"}
    return _reply({"error": told}, refused.status)


def _retired(_: Venue, call: Call) -> Json:  # noqa: ARG001 - whatever was asked
    raise Refusal(410, "deprecated_v1_order_endpoint", "use /portfolio/events/orders")


# ---------------------------------------------------------------- market data


def _found(venue: Venue, call: Call, *, old: bool = False) -> list[Listing]:
    """The listings that a call asks for. What was settled before the sandbox began is `old`."""
    wanted = call.get("status")
    if wanted and wanted not in _STATES:
        raise Refusal(400, "invalid_parameters", f"status is one of {', '.join(_STATES)}")
    tickers = [name for name in call.get("tickers").split(",") if name]
    if tickers:
        named = [venue.world.listing(ticker) for ticker in tickers]
        rows = [listing for listing in named if listing is not None and listing.opens <= call.now]
    elif old:
        rows = [one for one in venue.world.listings(0, venue.begun) if one.closes <= cutoff_s(venue)]
    else:
        since = call.now if wanted == "open" else call.now - HOUR_S if wanted == "closed" else cutoff_s(venue)
        rows = list(venue.world.listings(since, call.now))
    first, last = call.time("min_close_ts", 0), call.time("max_close_ts", 1e12)
    return [
        one for one in rows
        if call.get("series_ticker") in ("", one.series) and call.get("event_ticker") in ("", one.event)
        and (not wanted or venue.status(one, call.now) in _STATES[wanted]) and first <= one.closes <= last
    ]  # fmt: skip


def cutoff_s(venue: Venue) -> int:
    """Markets that closed before are only under /historical, UTC s."""
    return int(venue.begun) - 2 * HOUR_S


def status(_: Venue, call: Call) -> Json:
    """Up, unless a fault suspends everything."""
    up = struck(call.scope, "suspend") is None
    shards = [{"exchange_index": index, "exchange_active": True, "trading_active": up} for index in (0, 1, 2, 3)]
    return {"exchange_active": True, "trading_active": up, "exchange_index_statuses": shards}


def schedule(_: Venue, call: Call) -> Json:  # noqa: ARG001 - the same at all times
    """Every day from midnight to midnight."""
    week = {day: [{"open_time": "00:00", "close_time": "00:00"}] for day in _DAYS}
    hours = {"start_time": "2020-01-01T00:00:00Z", "end_time": "2100-01-01T00:00:00Z", **week}
    return {"schedule": {"standard_hours": [hours], "maintenance_windows": []}}


def series_list(venue: Venue, call: Call) -> Json:
    """Series that have markets now."""
    names = sorted({one.series for one in venue.world.listings(call.now - HOUR_S, call.now)})
    return {"series": [objects.series(name) for name in names]}


def events(venue: Venue, call: Call) -> Json:
    """Events by close, with their markets where that is asked for."""
    grouped: dict[str, list[Listing]] = {}
    for one in _found(venue, call):
        grouped.setdefault(one.event, []).append(one)
    nested = call.get("with_nested_markets") == "true"

    def write(rows: list[Listing]) -> Json:
        return _event(venue, rows, call.now) if nested else objects.event(venue, rows[0])

    return page(call, "events", grouped.values(), 200, write)


def _event(venue: Venue, rows: Sequence[Listing], now: float) -> Json:
    return {**objects.event(venue, rows[0]), "markets": [objects.market(venue, one, now) for one in rows]}


def event(venue: Venue, call: Call) -> Json:
    """One event with its markets."""
    rows = [one for one in venue.world.listings(cutoff_s(venue), call.now) if one.event == call.place["event"]]
    if not rows:
        raise Refusal(404, "not_found", "event not found")
    found = _event(venue, rows, call.now)
    return {"event": found, "markets": found["markets"]}


def markets(venue: Venue, call: Call) -> Json:
    """Markets by close and ticker."""
    return page(call, "markets", _found(venue, call), 1000, lambda one: objects.market(venue, one, call.now))


def old_markets(venue: Venue, call: Call) -> Json:
    """Markets from before the cutoff."""
    return page(call, "markets", _found(venue, call, old=True), 1000, lambda one: objects.market(venue, one, call.now))


def market(venue: Venue, call: Call) -> Json:
    """One market; before the cutoff only under /historical."""
    found = venue.listing(call.place["ticker"], call.now)
    if (found.closes <= cutoff_s(venue)) != ("/historical/" in str(call.scope["path"])):
        raise Refusal(404, "not_found", "market not found")
    return {"market": objects.market(venue, found, call.now)}


def orderbook(venue: Venue, call: Call) -> Json:
    """Bids of both outcomes, best last."""
    yes, no = venue.book(venue.listing(call.place["ticker"], call.now), call.now)
    return {"orderbook_fp": {"yes_dollars": objects.levels(yes), "no_dollars": objects.levels(no)}}


def orderbooks(venue: Venue, call: Call) -> Json:
    """Books of the named tickers; a name that is none is left out, a csv of names is none."""
    names = [value for name, value in call.params if name == "tickers" and venue.world.listing(value) is not None]
    place = [Call(call.now, (), {"ticker": name}, {}, call.scope) for name in names]
    return {"orderbooks": [{"ticker": name, **orderbook(venue, one)} for name, one in zip(names, place, strict=True)]}


def trades(venue: Venue, call: Call) -> Json:
    """Trades, newest first."""
    since, until = call.time("min_ts", call.now - HOUR_S), min(call.time("max_ts", call.now), call.now)
    name = call.get("ticker")
    chosen = [venue.listing(name, call.now)] if name else list(venue.world.listings(since, until))
    rows = [row for one in chosen for row in objects.trades(venue, one, since, until)]
    return page(call, "trades", sorted(rows, key=lambda row: row["created_time"], reverse=True), 1000, dict)


def candlesticks(venue: Venue, call: Call) -> Json:
    """Candles whose period has ended."""
    one, minutes = venue.listing(call.place["ticker"], call.now), call.get("period_interval")
    if minutes not in {"1", "60", "1440"}:
        raise Refusal(400, "invalid_parameters", "period_interval is 1, 60 or 1440")
    step = int(minutes) * 60
    first = max(int(call.time("start_ts", 0)), one.opens + 1)
    last = min(call.time("end_ts", 0), call.now, one.closes + step - 1)
    ends = range(-(-first // step) * step, int(last) + 1, step)
    if len(ends) > 10_000:
        raise Refusal(400, "too_many_candles", "ask for at most 10000")
    return {"ticker": one.ticker, "candlesticks": [objects.candle(venue, one, end, step) for end in ends]}


def cutoff(venue: Venue, call: Call) -> Json:  # noqa: ARG001 - the same at all times
    """Where history begins."""
    at = iso(cutoff_s(venue) + venue.rules.finalized_s)
    return {"market_settled_ts": at, "trades_created_ts": at, "orders_updated_ts": at}


_PUBLIC: Final[Mapping[str, Answering]] = {
    "/exchange/status": status,
    "/exchange/schedule": schedule,
    "/exchange/announcements": lambda *_: {"announcements": []},
    "/series": series_list,
    "/series/{series}": lambda _, call: {"series": objects.series(call.place["series"])},
    "/series/{series}/markets/{ticker}/candlesticks": candlesticks,
    "/events": events,
    "/events/{event}": event,
    "/markets": markets,
    "/markets/orderbooks": orderbooks,
    "/markets/trades": trades,
    "/markets/{ticker}": market,
    "/markets/{ticker}/orderbook": orderbook,
    "/historical/cutoff": cutoff,
    "/historical/markets": old_markets,
    "/historical/markets/{ticker}": market,
    "/historical/trades": trades,
}
