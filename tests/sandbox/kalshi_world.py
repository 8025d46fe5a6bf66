"""A served sandbox with two days of two coins, and evenkeel's own Kalshi client on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from evenkeel.sandbox import kalshi_keys
from evenkeel.sandbox.app import Sandbox, build
from evenkeel.sandbox.clock import Clock
from evenkeel.sandbox.faults import Fault, Faults
from evenkeel.sandbox.kalshi_orders import Rules
from evenkeel.sandbox.market import Market
from evenkeel.types import Order
from evenkeel.venues.kalshi import Kalshi
from evenkeel.venues.kalshi_account import KalshiAccount
from evenkeel.venues.kalshi_rows import Market as Row
from evenkeel.venues.kalshi_tokens import Tokens
from evenkeel.venues.kalshi_wire import Credentials, Wire
from venues.exchanges import PAIRS, START, panel

NOW = START + 86_400 + 1_230
SEED = 7
D = Decimal


@dataclass(frozen=True)
class Desk:
    """The client's side of one served sandbox."""

    url: str
    box: Sandbox

    @property
    def credentials(self) -> Credentials:
        """The account's key."""
        return Credentials(kalshi_keys.key_id(SEED), kalshi_keys.pem(SEED))

    @property
    def stream(self) -> str:
        """Address of the WebSocket."""
        return self.url.replace("http", "ws", 1) + "/kalshi/trade-api/ws/v2"

    def wire(self, *, signed: bool = True, **more: Any) -> Wire:
        """A wire that never really waits."""
        account = self.credentials if signed else None
        given = {"clock": self.box.clock.now, "sleep": lambda _: None, "reads": plenty(), "writes": plenty()}
        return Wire(f"{self.url}/kalshi/trade-api/v2", account, **given | more)

    @property
    def public(self) -> Kalshi:
        """Without any key."""
        return Kalshi(self.wire(signed=False))

    @property
    def account(self) -> KalshiAccount:
        """With the key."""
        return KalshiAccount(self.wire())

    def market(self, series: str = "KXBTCD", low: str = "0.3", high: str = "0.7") -> Row:
        """An open market with quotes on both sides, well inside."""
        found = self.public.markets(series=series, status="open").rows
        return next(m for m in found if m.yes_bid and m.yes_ask and m.yes_bid > D(low) and m.yes_ask < D(high))

    def faults(self, *rules: Fault) -> None:
        """Another plan."""
        self.box.faults.replace(rules)


def plenty() -> Tokens:
    """A bucket that never runs dry, on a clock that runs away."""
    ticks = defaultdict(int)

    def clock() -> float:
        ticks["now"] += 100
        return float(ticks["now"])

    return Tokens(1000, 1000, clock=clock)


def order(market: Row, quantity: int, name: str = "ours-1") -> Order:
    """An order of ours for YES (+) or NO (-)."""
    return Order(name, "kalshi", 0, market.ticker, Decimal(quantity), "EDGE", style="limit")


@contextmanager
def desk(*faults: Fault, capital: str = "100", now: float = NOW, speed: float = 0.0, **rules: Any) -> Iterator[Desk]:
    """Serve it; time stands still unless `speed` says otherwise."""
    chosen = Rules(**{"reads": 0, "writes": 0, **rules})
    ticks = [0.0]

    def wall() -> float:
        ticks[0] += 0.001
        return ticks[0]

    clock = Clock(wall, start=now, speed=speed)
    market = Market(panel(), PAIRS)
    box = build(market, clock, Faults(faults), seed=SEED, capital=Decimal(capital), kalshi_rules=chosen)
    with box.serve() as url:
        yield Desk(url, box)
