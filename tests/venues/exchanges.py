"""A loopback exchange for tests: the sandbox's market, clock, faults and Binance or Coinbase on a real port."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

import numpy as np
from fastapi import FastAPI

from evenkeel.market.synthetic import SyntheticSettings, market
from evenkeel.sandbox import binance, coinbase
from evenkeel.sandbox.clock import Clock
from evenkeel.sandbox.faults import Faults
from evenkeel.sandbox.market import Market
from evenkeel.sandbox.wire import Faulty, serving
from evenkeel.types import Pair, Panel

START = 1_735_689_600
DAY = 86_400
SYMBOLS = {
    "BTC": {"binance": ("BTCUSDT", 1), "coinbase": ("BTC-USD", 1)},
    "ETH": {"binance": ("ETHUSDT", 1), "coinbase": ("ETH-USD", 1)},
}
BTC = Pair("BTC", "BTC/USD", 1, 2, 5, Decimal(5), symbols=SYMBOLS["BTC"])
ETH = Pair("ETH", "ETH/USD", 1, 2, 4, Decimal(5), symbols=SYMBOLS["ETH"])
PAIRS = {"BTC": BTC, "ETH": ETH}


@dataclass(frozen=True)
class Exchange:
    """A running sandbox: address, market, clock and plan of faults."""

    url: str
    market: Market
    clock: Clock
    faults: Faults

    @property
    def binance(self) -> str:
        """In the place of `https://api.binance.com/api/v3`."""
        return f"{self.url}/api/v3"

    @property
    def stream(self) -> str:
        """In the place of `wss://stream.binance.com:9443`."""
        return self.url.replace("http", "ws", 1)


@lru_cache
def panel(begin: int = START, bar: int = 900, gaps: tuple[int, ...] = ()) -> Panel:
    """Synthetic bars of two days; the rows in `gaps` are unknown."""
    made = market(tuple(PAIRS.values()), begin, begin + 2 * DAY, bar, SyntheticSettings(seed=7))
    fields = [np.array(getattr(made, name)) for name in ("open", "high", "low", "close", "volume")]
    for field in fields:
        field[list(gaps)] = np.nan
    return Panel(made.time, made.assets, *fields, bar)


@contextmanager
def running(
    *,
    start: float | None = START + DAY,
    speed: float = 0.0,
    gaps: tuple[int, ...] = (),
    begin: int = START,
    gate: Callable[[Any], Any] = lambda app: app,
) -> Iterator[Exchange]:
    """Serve Binance and Coinbase on a free port; time stands still unless `speed` says otherwise; None = now.

    gate  puts something of a test's own around the ASGI application
    """
    traded = Market(panel(begin, gaps=gaps), PAIRS)
    clock, faults = Clock(time.time, start=start, speed=speed), Faults()
    app = FastAPI()
    app.include_router(binance.routes(traded, clock, faults))
    app.include_router(coinbase.routes(traded, clock, faults))
    with serving(gate(Faulty(app, faults))) as url:
        yield Exchange(url, traded, clock, faults)
