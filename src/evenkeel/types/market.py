"""The nouns of the market: bars, quotes, event contracts and what was read in them, a venue's rules of a pair."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from evenkeel.lean import lean
from evenkeel.types.arrays import Array, IntArray


@dataclass(frozen=True, slots=True)
class Panel:
    """Closed bars of N assets on one constant grid.

    time    (T,)    int64 UTC s of the bar's *close*, constant step `bar_s`
    assets  N names (coins: `BTC`), unique, in universe order
    open, high, low, close  (T, N)  USD per unit; NaN = no bar known
    volume  (T, N)  units traded in the bar; NaN = no bar known, 0 = none
    """

    time: IntArray
    assets: tuple[str, ...]
    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    bar_s: int


@dataclass(frozen=True, slots=True)
class Quotes:
    """What a risk check sees of the present.

    bid, ask   (N,) USD; NaN = unknown
    low, high  (N,) USD, the range since the previous check; NaN = empty range
    age        (N,) s since the price was true; inf = never seen
    time       UTC s of the check
    """

    time: int
    bid: Array
    ask: Array
    low: Array
    high: Array
    age: Array


@dataclass(frozen=True, slots=True)
class Contract:
    """One event contract as quoted: a row of a `Board`. Prices in USD per 1 USD pay-off; None = no quote, never 0 or 1.

    kind            the venue's strike type: `greater`, `greater_or_equal`, `less`, `less_or_equal`, `between`; another
                    word (`structured`) has no strikes, and so no price model
    floor, cap      strikes, USD · expiry  UTC s of the close; without strikes, of when the result is expected
    yes_bid, yes_ask  best prices of YES; those of NO are 1 - the other one · bid_size, ask_size  contracts there
    ticks           price grid: (from, to, step), ascending; empty = unknown, no order can be written
    fee_type, fee_multiplier  of the series; "" and None = unknown, no stake can be computed
    status          of the venue; only `active` trades · seen  UTC s when the quote was true, None = the board's time
    exclusive       exactly one contract of the event pays · fractional  counts of 0.01 are allowed, else whole ones
    """

    ticker: str
    event: str
    asset: str
    kind: str
    floor: float | None
    cap: float | None
    expiry: int
    yes_bid: Decimal | None
    yes_ask: Decimal | None
    bid_size: Decimal
    ask_size: Decimal
    ticks: tuple[tuple[Decimal, Decimal, Decimal], ...] = ()
    fee_type: str = ""
    fee_multiplier: Decimal | None = None
    status: str = ""
    seen: int | None = None
    exclusive: bool = False
    fractional: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """Event contracts quoted at one time (Kalshi's shape, before any opinion)."""

    time: int
    contracts: tuple[Contract, ...]


@lean
@dataclass(frozen=True, slots=True)
class Reading:
    """What the ladder of one coin implies at one board. Numbers are NaN where `reason` says why.

    time    UTC s of the board · event, close  its ladder, and UTC s of that one's close; `` and 0 = it has none
    mu      drift of the log price until the close · mean  of mu over 7 days before · past  readings in that mean
    sd      our own std of that log price · drift  (mu - mean) / sd · error  standard error of mu / sd
    vol     implied volatility, annualised · contracts  (ticker, bid, ask) that were fitted, USD of YES
    """

    asset: str
    time: int
    event: str = ""
    close: int = 0
    mu: float = math.nan
    mean: float = math.nan
    past: int = 0
    sd: float = math.nan
    drift: float = math.nan
    error: float = math.nan
    vol: float = math.nan
    reason: str = ""
    contracts: tuple[tuple[str, float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """One tradable pair of the universe: a coin against USD, and what the venue allows.

    symbols  venue name -> (symbol, price factor): `binance_perp: (1000PEPEUSDT, 1000)` quotes 1000 coins
    """

    asset: str
    pair: str
    tier: int
    price_decimals: int
    amount_decimals: int
    min_notional: Decimal
    kind: str = "crypto"
    symbols: Mapping[str, tuple[str, int]] = field(default_factory=dict)
