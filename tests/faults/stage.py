"""The simulated market: six coins on a random walk, and a feed that shows it with weights that a seed wants.

Prices and wishes are functions of (seed, asset, time), so whoever asks in whatever order sees the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from typing import Any

import numpy as np

from evenkeel.decide import Rules
from evenkeel.engine.ports import Touch
from evenkeel.engine.slots import Cadence
from evenkeel.errors import FeedError
from evenkeel.market.quality import QualitySettings
from evenkeel.portfolio.allocate import AllocateSettings
from evenkeel.portfolio.costs import CostSettings
from evenkeel.portfolio.orders import OrderSettings
from evenkeel.portfolio.overlay import OverlaySettings
from evenkeel.sandbox.market import Day
from evenkeel.signals.blend import OpinionSettings
from evenkeel.signals.regime import RegimeSettings
from evenkeel.types import Array, Pair, View, frozen

START = 1_751_328_000
"""2025-07-01T00:00:00Z."""
STEP = 900
ROWS = 400
PAIRS = (
    Pair("BTC", "BTC/USD", 1, 2, 5, Decimal(1)),
    Pair("ETH", "ETH/USD", 1, 2, 4, Decimal(1)),
    Pair("SOL", "SOL/USD", 1, 2, 3, Decimal(1)),
    Pair("LINK", "LINK/USD", 2, 4, 2, Decimal(1)),
    Pair("UNI", "UNI/USD", 2, 4, 2, Decimal(1)),
    Pair("PEPE", "PEPE/USD", 3, 8, 0, Decimal(1)),
)
ASSETS = tuple(pair.asset for pair in PAIRS)
_FIRST = np.array([60_000.0, 2_500.0, 150.0, 14.0, 8.0, 0.00001234])
RULES = Rules(
    pairs=PAIRS,
    benchmark="BTC",
    allocate=AllocateSettings(method="direct"),
    overlay=OverlaySettings(trailing=0.04),
    orders=OrderSettings(),
    costs=CostSettings(),
    regime=RegimeSettings(),
    opinions=OpinionSettings(),
    quality=QualitySettings(),
)


class Market:
    """What `sandbox.Exchange` asks of a market. A price stands for a quarter of an hour.

    leaps  share of quarters of an hour in which a coin leaps, mostly by more than a stop stands
    """

    def __init__(self, seed: int, leaps: float = 0.0) -> None:
        rng, other = np.random.default_rng(seed), np.random.default_rng((seed, 1))
        moves, leap = rng.normal(0, 0.006, (ROWS, len(ASSETS))), other.normal(0, 0.06, (ROWS, len(ASSETS)))
        moves += np.where(other.random(moves.shape) < leaps, leap, 0.0)
        self.path = _FIRST * np.exp(np.cumsum(moves, axis=0))
        self.wishes = rng.dirichlet(np.full(len(ASSETS), 0.7), ROWS) * rng.uniform(0.3, 1.0, (ROWS, 1))
        self._pairs = {pair.asset: pair for pair in PAIRS}

    def row(self, now: float) -> int:
        """Which quarter of an hour a time is in."""
        return min(max(int((now - START) // STEP), 0), ROWS - 1)

    def symbols(self) -> tuple[str, ...]:
        """All coins."""
        return ASSETS

    def pair(self, asset: str) -> Pair:
        """What the venue said of it at the start."""
        return self._pairs[asset]

    def last(self, asset: str, now: float) -> float:
        """Last price, USD, on the pair's grid."""
        return round(float(self.path[self.row(now), ASSETS.index(asset)]), self._pairs[asset].price_decimals)

    def quote(self, asset: str, now: float) -> tuple[float, float]:
        """Bid and ask, a tick and two basis points apart."""
        price, decimals = float(self.path[self.row(now), ASSETS.index(asset)]), self._pairs[asset].price_decimals
        tick = 10.0**-decimals
        bid = max(math.floor(price * (1 - 1e-4) / tick), 1)
        ask = max(math.ceil(price * (1 + 1e-4) / tick), bid + 1)
        return round(bid * tick, decimals), round(ask * tick, decimals)

    def turns(self, _asset: str, since: float, until: float) -> list[float]:
        """When the price steps, within (since, until]."""
        first = int((since - START) // STEP) + 1
        steps = [START + row * STEP for row in range(first, int((until - START) // STEP) + 1)]
        return [*(at for at in steps if since < at < until), until]

    def day(self, _asset: str, _now: float) -> Day:
        """Nobody here asks for it."""
        return Day(0.0, 0.0, 0.0)


class Touches:
    """What one asks who sends an order over time: the present touch, and a volume that grows through the day."""

    def __init__(self, market: Market, now: Callable[[], float]) -> None:
        self._market, self._now = market, now

    def touch(self, asset: str) -> Touch:
        """Best bid and ask."""
        return Touch(*self._market.quote(asset, self._now()), 1e9)

    def profile(self, _asset: str) -> Array:
        """(48,) shares of the day's volume."""
        return np.arange(1.0, 49.0) / np.arange(1.0, 49.0).sum()


class Feed:
    """The engine's feed over this market. `dark` = the exchange of the candles is down."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self.dark = False

    def refresh(self, time: int) -> None:
        """Bring in bars, or fail."""
        if self.dark:
            raise FeedError("the candles' exchange does not answer")

    def view(self, time: int, since: int) -> View:
        """Prices and wishes of now."""
        row = self._market.row(time)
        at = START + row * STEP
        price = frozen(self._market.path[row].copy())
        return replace(_calm(), time=time, as_of=at, since=since, seen=at, price=price, low=price, high=price,
                       wanted=frozen(self._market.wishes[row].copy()))  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """Where a life takes place: what the sandbox's exchange and the service see of one market, and when it begins."""

    market: Any
    feed: Any
    rules: Rules
    start: int = START
    cadence: Cadence = Cadence(rebalance=3_600)


def small(seed: int, leaps: float = 0.0) -> Stage:
    """Six coins, a rebalance every hour."""
    market = Market(seed, leaps)
    return Stage(market, Feed(market), RULES)


@lru_cache(maxsize=1)
def _calm() -> View:
    n = len(ASSETS)
    full = frozen(np.full(n, 0.5))
    return View(
        time=START, as_of=START, origin=START - 86_400, since=0, seen=START, assets=ASSETS,
        price=full, age=frozen(np.zeros(n)), fault=frozen(np.zeros(n, dtype=np.int8)), low=full, high=full,
        vol=full, atr=frozen(np.full(n, 0.01)), liquidity=frozen(np.full(n, 1e9)),
        ready=frozen(np.ones(n, dtype=bool)), regime=frozen(np.array([0.8, 0.1, 0.1, 0.8, 0.1, 0.1])), opinions=(),
        expected=frozen(np.zeros(n)), score=frozen(np.zeros(n)), heard=True, wanted=full,
        moves=frozen(np.zeros((24, n))), variance=frozen(np.full(n, 0.05)), feature_names=(),
        features=frozen(np.zeros((n, 0))), market_names=(), market=frozen(np.zeros(0)),
    )  # fmt: skip
