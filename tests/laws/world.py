"""A small world for the laws: ten pairs of the embedded market, rules, and runs through back-test and service."""

import logging
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from functools import cache

import numpy as np
import structlog

from evenkeel.decide import Rules, decide
from evenkeel.engine import slots
from evenkeel.engine.replay import Replay
from evenkeel.engine.slots import Cadence
from evenkeel.journal import Journal, recent
from evenkeel.market import synthetic
from evenkeel.market.quality import QualitySettings
from evenkeel.portfolio.allocate import AllocateSettings, CountByRegime
from evenkeel.portfolio.costs import CostSettings
from evenkeel.portfolio.orders import OrderSettings
from evenkeel.portfolio.overlay import Facts, OverlaySettings
from evenkeel.research.backtest import backtest
from evenkeel.service.runner import Runner
from evenkeel.signals.blend import OpinionSettings
from evenkeel.signals.compute import compute
from evenkeel.signals.regime import RegimeSettings
from evenkeel.signals.view import SignalSettings
from evenkeel.store import RealDisk, Store
from evenkeel.types import Brain, DayMark, Identity, Memory, Pair, SlotKind, TradingState
from evenkeel.venues.sim import PaperVenue

DAY = 86_400
START = 1_751_328_000
"""2025-07-01T00:00:00Z."""
HISTORY_DAYS = 42
CADENCE = Cadence()

PAIRS = tuple(
    Pair(asset, f"{asset}/USD", tier, price_decimals, amount_decimals, Decimal(1))
    for asset, tier, price_decimals, amount_decimals in (
        ("BTC", 1, 2, 5),
        ("ETH", 1, 2, 4),
        ("SOL", 1, 2, 3),
        ("XRP", 1, 4, 1),
        ("BNB", 1, 2, 3),
        ("DOGE", 2, 5, 0),
        ("LINK", 2, 4, 2),
        ("UNI", 2, 4, 2),
        ("PAXG", 2, 2, 4),
        ("PEPE", 3, 8, 0),
        ("WIF", 3, 6, 1),
        ("ONDO", 3, 6, 1),
    )
)
ASSETS = tuple(pair.asset for pair in PAIRS)

RULES = Rules(
    pairs=PAIRS,
    benchmark="BTC",
    allocate=AllocateSettings(k=CountByRegime(8, 7, 5), margin=2),
    overlay=OverlaySettings(atr_multiple=4.0, trailing=0.05),
    orders=OrderSettings(),
    costs=CostSettings(),
    regime=RegimeSettings(dwell=3),
    opinions=OpinionSettings(min_history_days=10.0),
    quality=QualitySettings(),
)
SIGNALS = SignalSettings(RULES.opinions, RULES.regime, RULES.quality, "BTC")


@cache
def panel(seed=7, days=3, bar_s=1800, vol_scale=1.8, pairs=PAIRS):
    """Bars from `HISTORY_DAYS` before START to one bar after the window."""
    settings = synthetic.SyntheticSettings(
        seed=seed, epoch=START - 60 * DAY, vol_scale=vol_scale, late_asset="", gone_asset="", gap_rate=0.3
    )
    return synthetic.market(pairs, START - HISTORY_DAYS * DAY, START + days * DAY + bar_s, bar_s, settings)


def first_row(market):
    """The row that closes a day before START: planted feeds may look back."""
    return int(np.searchsorted(market.time, START - DAY))


@cache
def signals(seed=7, days=3, bar_s=1800, vol_scale=1.8):
    """Signals kept from a day before START on."""
    return judged(Brain(), seed, days, bar_s, vol_scale)


def judged(brain, seed=7, days=3, bar_s=1800, vol_scale=1.8, settings=SIGNALS):
    """The same under a fitted brain."""
    market = panel(seed, days, bar_s, vol_scale)
    return compute(market, brain, settings, first_row(market))


def feed(seed=7, days=3, **other):
    """The replayed world: feed and tape."""
    return Replay(signals(seed, days, **other))


def memory(**changes):
    """Memory of a new run."""
    return replace(Memory(identity=Identity("paper", "paper", "virtual", "laws"), origin=0), **changes)


def venue(tape, path=None, capital=100_000, costs=RULES.costs, kind=PaperVenue, pairs=PAIRS):
    """The paper venue."""
    return kind(path, tape, {pair.asset: pair for pair in pairs}, costs, Decimal(capital))


def window(days):
    """All slots of the first `days` days."""
    return list(slots.between(START, START + round(days * DAY), CADENCE))


def backtested(days=3, seed=7, *, shown=None, broker=None, decider=decide, rules=RULES, on_plan=None, capital=100_000):
    """Back-test of the small world."""
    market = feed(seed, max(3, days))
    broker = broker or venue(market, capital=capital)
    on_plan = on_plan or (lambda _: None)
    return backtest(window(days), shown or market, broker, memory(), Brain(), rules, decider=decider, on_plan=on_plan)


@contextmanager
def service(home, shown, make_broker, *, rules=RULES, decider=decide):
    """A runner on real files in `home`: store, journal, paper account, log; no fsync, for speed."""
    (home / "state").mkdir(parents=True, exist_ok=True)
    store = Store.open(home, memory().identity, now=lambda: START, disk=RealDisk(durable=False))
    if store.load().memory is None:
        store.begin(memory())
    journal = Journal.open(home / "state" / "journal.db", durable=False)
    broker = make_broker(home / "state" / "paper.db")
    try:
        yield Runner(home, store, journal, shown, broker, Brain(), rules, quiet(), lambda: 0.0, decider)
    finally:
        journal.close()
        if hasattr(broker, "close"):
            broker.close()


def quiet():
    """A logger that says nothing."""
    logger = logging.getLogger("evenkeel.test.quiet")
    logger.addHandler(logging.NullHandler())
    logger.propagate, logger.disabled = False, True
    return structlog.wrap_logger(logger, wrapper_class=structlog.stdlib.BoundLogger)


def same_bits(left, right):
    """Whether two arrays have equal bits; one NaN is as good as another."""
    if left.dtype != np.float64:
        return left.shape == right.shape and bool((left == right).all())
    bits = [np.where(np.isnan(x), np.nan, x).view(np.int64) for x in (left, right)]
    return left.shape == right.shape and bool((bits[0] == bits[1]).all())


def facts(**changes):
    """Three calm assets: tier 1, 2, 3; nothing touched, nothing known to be wrong."""
    n = 3
    calm = Facts(
        kind=SlotKind.REBALANCE, time=START, assets=("BTC", "UNI", "ONDO"), tier=np.array([1, 2, 3]),
        held=np.array([0.10, 0.08, 0.04]), price=np.full(n, 100.0), low=np.full(n, np.nan), vol=np.full(n, 0.5),
        liquidity=np.full(n, 1e9), moves=np.zeros((1, n)), variance=np.zeros(n), equity=1e5, basis=np.full(n, 100.0),
        opened=np.full(n, START - DAY), high=np.full(n, 100.0), stop=np.full(n, np.nan),
        cooling=np.zeros(n, dtype=bool), frozen=np.zeros(n, dtype=bool), drawdown_scale=1.0, drawdown_applied=1.0,
        daily_hit=False, daily_new=False, no_purchases=False, state=TradingState.ACTIVE, flatten=False,
    )  # fmt: skip
    return replace(calm, **changes)


def view(at=START, **changes):
    """The view of the small world at a moment, with some fields replaced."""
    shown = signals().at(at, at - 1800)
    return replace(shown, **changes)


__all__ = ["DayMark", "Decimal", "recent"]
