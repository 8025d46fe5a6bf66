"""The plain rule through evenkeel's own step, ledger and paper venue: plain.py FOLDER.

Every 12 bars the ten assets with the highest 24 h return are held, by inverse 24 h volatility, none above 15 %, 10 %
stays cash; orders fill at the close they were decided on, at 10 bps, without precision. Everything but the rule and the
market is the product: reconcile, intents, fills in decimals, positions with their cost basis, the slot ledger.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import numpy as np

from bars import BAR_S, names
from evenkeel.decide import Rules
from evenkeel.market.quality import QualitySettings
from evenkeel.portfolio.allocate import AllocateSettings
from evenkeel.portfolio.costs import BpsByTier, CostSettings
from evenkeel.portfolio.orders import OrderSettings
from evenkeel.portfolio.overlay import OverlaySettings
from evenkeel.research.backtest import backtest
from evenkeel.signals.blend import OpinionSettings
from evenkeel.signals.regime import RegimeSettings
from evenkeel.types import (
    Array,
    Book,
    Brain,
    Carry,
    Holdings,
    Identity,
    Memory,
    Order,
    Pair,
    Plan,
    Slot,
    SlotKind,
    View,
)
from evenkeel.venues.sim import PaperVenue

EVERY, LOOKBACK, TOP, CAP, CASH = 12, 48, 10, 0.15, 0.10
CAPITAL = 1_000_000
NAN = float("nan")
NOTHING = Memory(Identity("paper", "bench", "virtual", "plain"), 0)
COSTS = CostSettings(taker=10.0, half_spread=BpsByTier(0, 0, 0), impact=BpsByTier(0, 0, 0))


@dataclass(slots=True)
class Market:
    """The panel's closes as a feed and as a tape on which an order fills at the close it was decided on.

    now, shown  time of the last price asked for, and the closes of that bar
    """

    assets: tuple[str, ...]
    time: Array
    close: Array
    unknown: Array = field(init=False)
    calm: Array = field(init=False)
    ready: Array = field(init=False)
    now: int = 0
    shown: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.unknown, self.calm = np.full(len(self.assets), np.nan), np.zeros(len(self.assets), dtype=np.int8)
        self.ready = self.calm == 0

    def row(self, at: int) -> int:
        """The bar that closes at `at`."""
        return (at - int(self.time[0])) // BAR_S

    def refresh(self, at: int) -> None:
        """Nothing to bring in."""

    def price(self, asset: str, at: int) -> tuple[float, float]:
        """The close of this very bar; nobody knows a volume."""
        if at != self.now:
            self.now, self.shown = at, dict(zip(self.assets, self.close[self.row(at)].tolist(), strict=True))
        return self.shown[asset], NAN

    def view(self, at: int, since: int) -> View:
        """Closes only: the rule reads nothing else."""
        empty = self.unknown
        return View(
            time=at, as_of=at, origin=0, since=since, seen=at, assets=self.assets, price=self.close[self.row(at)],
            age=self.calm, fault=self.calm, low=empty, high=empty, vol=empty, atr=empty, liquidity=empty,
            ready=self.ready, regime=empty, opinions=(), expected=empty, score=empty, heard=False, moves=empty,
            variance=empty, feature_names=(),
            features=empty, market_names=(), market=empty, wanted=empty,
        )  # fmt: skip


def rule(first: Array, last: Array, moves: Array) -> Array:
    """Wanted weights (N,) from the closes (N,) at both ends of 24 h and the log returns (48, N) between them."""
    best = np.argpartition(1.0 - last / first, TOP)[:TOP]
    away = moves - moves.sum(axis=0) / LOOKBACK
    inverse = 1.0 / np.sqrt((away * away).sum(axis=0)[best] / (LOOKBACK - 1))
    weights = np.zeros(len(last))
    weights[best] = np.minimum(inverse / inverse.sum() * (1.0 - CASH), CAP)
    return weights


@dataclass(slots=True)
class Decider:
    """What `decide` is in the product: a view and a book in, a plan out. Asked for one slot after the other.

    logs         (49, N) logarithms of the closes of the last 24 h, of which each slot computes what is new
    cash, units  what the venue held before each slot, USD and (N,)
    """

    market: Market
    logs: Array = field(init=False)
    cash: list[float] = field(default_factory=list)
    units: list[Array] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.logs = np.log(self.market.close[: LOOKBACK - EVERY + 1])

    def __call__(self, view: View, book: Book, _brain: Brain, _rules: Rules, slot: Slot) -> Plan:
        """Weights of the rule and the orders that lead there, sells first."""
        row, market, memory = self.market.row(slot.time), self.market, book.memory
        equity, held = book.valued(view.assets, view.price)
        new = np.log(market.close[row - EVERY + 1 : row + 1])
        self.logs = np.concatenate([self.logs[EVERY - LOOKBACK - 1 :], new])
        target = rule(market.close[row - LOOKBACK], view.price, self.logs[1:] - self.logs[:-1])
        return Plan(
            slot=slot, as_of=view.as_of, assets=view.assets, price=view.price, equity=equity, drawdown=0.0, held=held,
            raw=target, base=target, target=target, expected=target, score=target, opinions=(), reasons=(),
            orders=_orders(slot, view, self.seen(book.holdings), book.holdings.units, target * equity), dropped=(),
            carry=Carry(view.origin, view.seen, view.as_of, memory.regime, memory.days, 1.0, 0, 0, {}, {}, {}),
        )  # fmt: skip

    def seen(self, holdings: Holdings) -> Array:
        """Units (N,) of what the venue holds now; noted."""
        self.cash.append(float(holdings.cash))
        self.units.append(Book(holdings, NOTHING).units(self.market.assets))
        return self.units[-1]


def _orders(slot: Slot, view: View, units: Array, held: Mapping[str, Decimal], usd: Array) -> tuple[Order, ...]:
    """What is not wanted is sold to the last unit; sells come first. `usd` (N,) wanted of each, `units` (N,) held."""
    change = usd / view.price - units
    legs = np.flatnonzero(change)
    legs = legs[np.argsort(change[legs] > 0, kind="stable")]
    wanted, moves = usd.tolist(), change.tolist()
    name, prefix = slot.id, f"{slot.time:x}-"
    orders = []
    for leg, i in enumerate(legs.tolist()):
        asset = view.assets[i]
        quantity = Decimal(repr(moves[i])) if wanted[i] else -held[asset]
        orders.append(Order(prefix + asset, name, leg, asset, quantity, "TARGET"))
    return tuple(orders)


def equity_at_every_bar(market: Market, cash: Sequence[float], units: Sequence[Array]) -> Array:
    """(T,) cash and holdings at every close.

    cash, units  USD and (N,) units that the venue said it held before the first slot, and after each
    """
    bars = len(market.close)
    seen = np.maximum(np.arange(0, bars, EVERY) - LOOKBACK + EVERY, 0) // EVERY
    worth = [market.close[i : i + EVERY] @ units[k] for i, k in zip(range(0, bars, EVERY), seen.tolist(), strict=True)]
    value: Array = np.repeat(np.array(cash)[seen], EVERY)[:bars] + np.concatenate(worth)
    return value


def main() -> None:
    """Print one JSON line."""
    started, began = time.process_time(), time.perf_counter()
    folder = Path(sys.argv[1])
    close = np.load(folder / "close.npy")
    market = Market(names(close.shape[1]), np.load(folder / "time.npy"), close)
    pairs = tuple(Pair(a, f"{a}/USD", 1, 8, 8, Decimal(0)) for a in market.assets)
    rules = Rules(
        pairs, "BTC", AllocateSettings(), OverlaySettings(), OrderSettings(), COSTS, RegimeSettings(),
        OpinionSettings(), QualitySettings(),
    )  # fmt: skip
    venue = PaperVenue(None, market, {p.asset: p for p in pairs}, COSTS, Decimal(CAPITAL), exact=True)
    slots = [Slot(SlotKind.REBALANCE, int(market.time[row])) for row in range(LOOKBACK, len(close), EVERY)]
    loaded = time.perf_counter()
    decider = Decider(market)
    backtest(slots, market, venue, NOTHING, Brain(), rules, decider=decider)
    decided = time.perf_counter()
    decider.seen(venue.holdings(int(market.time[-1])))
    equity = equity_at_every_bar(market, decider.cash, decider.units)
    split = {"start": started + loaded - began, "decide": decided - loaded, "value": time.perf_counter() - decided}
    print(json.dumps({"final": float(equity[-1]), "orders": len(venue.fills(0)), "split": split}))


if __name__ == "__main__":
    main()
