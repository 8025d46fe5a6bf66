"""Which servers stand on one port? `/roostoo`, `/binance`, `/coinbase`, `/kalshi`; the controls under `/sandbox/`.

All share one market, one clock and one fault plan. `GET /sandbox/state` has the accounts at Roostoo and Kalshi, to the
last decimal; `GET` and `PUT` of `/sandbox/clock` and `/sandbox/faults` show and change the time and the plan while it
runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI, Request, Response

from evenkeel.errors import EvenkeelError, UsageError
from evenkeel.sandbox import binance, coinbase, kalshi, kalshi_keys, roostoo
from evenkeel.sandbox import faults as plans
from evenkeel.sandbox.clock import Clock
from evenkeel.sandbox.exchange import Exchange, Rules
from evenkeel.sandbox.faults import Faults
from evenkeel.sandbox.kalshi_boards import Synthetic, World
from evenkeel.sandbox.kalshi_orders import Rules as KalshiRules
from evenkeel.sandbox.kalshi_venue import Venue
from evenkeel.sandbox.market import Market
from evenkeel.sandbox.wire import Faulty, serving
from evenkeel.units import utc

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A built sandbox. `account` has the keys of the one account at Roostoo and of the one at Binance.

    Kalshi's key follows from `seed`: see `kalshi_keys`.
    """

    market: Market
    clock: Clock
    faults: Faults
    exchange: Exchange
    account: roostoo.Account
    kalshi: Venue
    seed: int
    application: Faulty

    def serve(self, *, host: str = "127.0.0.1", port: int = 0) -> AbstractContextManager[str]:
        """Serve from a thread while a `with` block runs; gives the address. Port 0 = any that is free."""
        return serving(self.application, host=host, port=port)


def build(
    market: Market,
    clock: Clock,
    faults: Faults,
    *,
    seed: int,
    capital: Decimal,
    rules: Rules | None = None,
    boards: World | None = None,
    kalshi_rules: KalshiRules | None = None,
) -> Sandbox:
    """All venues over one market. `seed` makes the keys; each account starts with `capital` USD (USDT at Binance).

    boards  what Kalshi lists; None = ladders over the market, as `seed` has them
    """
    exchange, account = Exchange(market, rules), roostoo.account("sandbox", seed)
    exchange.open(account.name, capital)
    app = FastAPI(title="evenkeel sandbox", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(roostoo.routes(roostoo.Desk(exchange, {account.key: account}, clock)), prefix="/roostoo")
    app.include_router(
        binance.routes(market, clock, faults, cash=capital, key=account.key, secret=account.secret), prefix="/binance"
    )
    app.include_router(coinbase.routes(market, clock, faults), prefix="/coinbase")
    venue = Venue(Synthetic(market, seed) if boards is None else boards, capital, clock.now(), kalshi_rules)
    app.include_router(kalshi.routes(kalshi.Desk(venue, clock, seed), faults), prefix="/kalshi")
    states = {"roostoo": exchange.state, "kalshi": venue.state}
    app.include_router(_controls(clock, faults, states), prefix="/sandbox")
    app.add_api_route("/sandbox/kalshi.pem", _key(seed), methods=["GET"])
    return Sandbox(market, clock, faults, exchange, account, venue, seed, Faulty(app, faults))


def _key(seed: int) -> Callable[[], Response]:
    """The private key of the account at Kalshi as a file."""

    def show() -> Response:
        return Response(kalshi_keys.pem(seed), media_type="text/plain")

    return show


def _controls(clock: Clock, faults: Faults, states: Mapping[str, Callable[[float], Json]]) -> APIRouter:
    router = APIRouter()

    def show_state(_: Any) -> Json:
        now = clock.now()
        return {"time": now, "venues": {name: state(now) for name, state in states.items()}}

    def show_clock(_: Any) -> Json:
        return {"now": clock.now(), "speed": clock.speed}

    def set_clock(document: Any) -> Json:
        move(clock, document)
        return show_clock(None)

    def show_faults(_: Any) -> Json:
        return {"faults": faults.to_json()}

    def set_faults(document: Any) -> Json:
        faults.replace(plans.parse(document.get("faults") if isinstance(document, Mapping) else document))
        return show_faults(None)

    router.add_api_route("/state", _control(show_state), methods=["GET"])
    router.add_api_route("/clock", _control(show_clock), methods=["GET"])
    router.add_api_route("/clock", _control(set_clock), methods=["PUT"])
    router.add_api_route("/faults", _control(show_faults), methods=["GET"])
    router.add_api_route("/faults", _control(set_faults), methods=["PUT"])
    return router


def move(clock: Clock, document: Any) -> None:
    """Apply `{speed: x, now: time}` or `{speed: x, advance: seconds}`. Raises UsageError and changes nothing then."""
    known = {"now", "advance", "speed"}
    if (
        not isinstance(document, Mapping)
        or not document
        or not set(document) <= known
        or {"now", "advance"} <= {*document}
    ):
        raise UsageError("a clock is set by speed and one of now (UTC s or ISO time) and advance (s)")
    speed, step = _number(document, "speed", least=0.0), _number(document, "advance")
    now = utc(document["now"]) if isinstance(document.get("now"), str) else _number(document, "now")
    if speed is not None:
        clock.run(speed)
    if step is not None:
        clock.advance(step)
    if now is not None:
        clock.set(now)


def _number(document: Mapping[str, Any], key: str, *, least: float = -math.inf) -> float | None:
    value = document.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= least or math.isinf(value):
        raise UsageError(f"{key} is {value!r}: give a number{f' of {least:g} or more' if least == 0 else ''}")
    return float(value)


def _control(answer: Callable[[Any], Json]) -> Any:
    async def control(request: Request) -> Response:
        try:
            document = orjson.loads(await request.body()) if request.method == "PUT" else None
            return Response(orjson.dumps(answer(document)), media_type="application/json")
        except (EvenkeelError, ValueError) as error:
            return Response(orjson.dumps({"error": str(error)}), 400, media_type="application/json")

    return control
