"""Does evenkeel read Coinbase's candles rightly? The public REST of the Exchange API, with its ways that others lack.

Rows are time, low, high, open, close, volume, newest first; the end is included; a bar without a trade is missing; more
than 300 bars are refused; start and end count only together. Source: Coinbase Exchange API (`specs/market_data.md`
section 3).
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from evenkeel.sandbox.clock import Clock
from evenkeel.sandbox.faults import Faults, shift, struck
from evenkeel.sandbox.market import Bar, Market
from evenkeel.types import Pair
from evenkeel.units import iso, plain

GRANULARITIES_S = (60, 300, 900, 3600, 21_600, 86_400)
MOST = 300
"""Candles in one answer."""


def routes(market: Market, clock: Clock, faults: Faults) -> APIRouter:  # noqa: ARG001 - struck before it comes here
    """`/time`, `/products` and `/products/{id}/candles`."""
    listed = {_name(market.pair(asset)): asset for asset in market.symbols()}
    router = APIRouter()

    async def time(request: Request) -> JSONResponse:
        now = clock.now() + shift(request.scope)
        return JSONResponse({"iso": iso(int(now)), "epoch": round(now, 3)})

    async def products(request: Request) -> JSONResponse:
        rows = [_product(name, market.pair(asset)) for name, asset in listed.items()]
        halted = {name for name, asset in listed.items() if struck(request.scope, "suspend", asset)}
        return JSONResponse([row | {"status": "offline"} if row["id"] in halted else row for row in rows])

    async def candles(request: Request, name: str) -> JSONResponse:
        now = clock.now() + shift(request.scope)
        step = request.query_params.get("granularity", "60")
        if name not in listed:
            return _refused(404, "NotFound")
        if not step.isdecimal() or int(step) not in GRANULARITIES_S:
            return _refused(400, "Unsupported granularity")
        span = _span(request.query_params.get("start"), request.query_params.get("end"), int(step), now)
        if span is None:
            return _refused(400, "start and end must be valid times")
        if math.floor((span[1] - span[0]) / int(step)) + 1 > MOST:
            return _refused(400, f"granularity too small for the requested time range, over {MOST} candles")
        found = market.bars(listed[name], int(step), span[0], span[1] + 1e-3, now)
        return JSONResponse([_row(bar) for bar in reversed(found) if bar.volume > 0])

    router.add_api_route("/time", time)
    router.add_api_route("/products", products)
    router.add_api_route("/products/{name}/candles", candles)
    return router


def _span(start: str | None, end: str | None, step: int, now: float) -> tuple[float, float] | None:
    """First and last open time, UTC s; the newest 300 where one is not given; None = no times."""
    if not start or not end:
        newest = now // step * step
        return newest - (MOST - 1) * step, newest
    try:
        return _seconds(start), _seconds(end)
    except ValueError:
        return None


def _seconds(text: str) -> float:
    """UTC s of a number of seconds or an ISO time."""
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _row(bar: Bar) -> list[Any]:
    return [bar.time, bar.low, bar.high, bar.open, bar.close, bar.volume]


def _name(pair: Pair) -> str:
    return pair.symbols.get("coinbase", (f"{pair.asset}-USD", 1))[0]


def _product(name: str, pair: Pair) -> dict[str, Any]:
    base, _, quote = name.partition("-")
    return {
        "id": name, "base_currency": base, "quote_currency": quote, "display_name": name.replace("-", "/"),
        "quote_increment": f"{10.0**-pair.price_decimals:.{pair.price_decimals}f}",
        "base_increment": f"{10.0**-pair.amount_decimals:.{pair.amount_decimals}f}",
        "min_market_funds": plain(pair.min_notional), "status": "online", "trading_disabled": False,
        "post_only": False, "limit_only": False, "cancel_only": False, "margin_enabled": False,
    }  # fmt: skip


def _refused(status: int, text: str) -> JSONResponse:
    return JSONResponse({"message": text}, status_code=status)
