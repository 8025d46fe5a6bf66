"""The nouns of a decision: opinions, what it sees, what it wants, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evenkeel.lean import lean
from evenkeel.types.arrays import Array, BoolArray
from evenkeel.types.market import Reading
from evenkeel.types.memory import DayMark, Regime
from evenkeel.types.orders import Dropped, Health, Order, Slot


@lean
@dataclass(frozen=True, slots=True)
class Opinion:
    """What one source thinks of every asset.

    x         (N,) unit scale, clipped to [-3, 3]; NaN = no opinion
    strength  expected 24 h return per unit of x and per unit of 24 h volatility (design section 10, b_o)
    """

    name: str
    x: Array
    health: Health
    strength: float = 0.0
    version: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Brain:
    """Fitted artifacts, loaded and verified; what is absent is said out loud.

    alpha    models in the order of their training: at each time the newest speaks that had been trained by then
    edge     measured skill of what event contracts imply
    without  why an opinion has no model, by its name
    """

    alpha: tuple[Any, ...] = ()
    policy: Any | None = None
    edge: Any | None = None
    without: Mapping[str, str] = field(default_factory=dict)


@lean
@dataclass(frozen=True, slots=True)
class View:
    """Everything of the market that one decision may see: one row of `Signals`.

    time       UTC s of the slot · as_of  close of the newest bar seen, <= time
    origin     open time of the first bar that the signals were computed from, UTC s
    since      evidence that was known before · seen  time of the newest evidence: as_of, or a later quote
    price      (N,) last believed price USD; NaN = never seen · age (N,) s since it was true
    fault      (N,) int8 verdict of market.quality, 0 = fine
    low, high  (N,) range of believed prices after `since`; NaN = nothing new
    vol        (N,) annualised · atr (N,) fraction of price · liquidity (N,) USD a day; NaN = unknown
    ready      (N,) listed long enough to be opened · regime (6,) probabilities, see signals.regime
    expected, score  (N,) what the opinions come to, see signals.blend · heard  whether any of them says something
    wanted     (N,) weights that a strategy wants, for `allocate.method: direct`; NaN = no wish
    moves      (H, N) hourly log returns of 30 days, oldest first, 0 where unknown, for the portfolio's volatility
    variance   (N,) annualised mean square of those that are known; vol^2 where none is, 0 without either
    features   (N, F) and market (G,), named · readings  of event contracts, what the edge was made of
    """

    time: int
    as_of: int
    origin: int
    since: int
    seen: int
    assets: tuple[str, ...]
    price: Array
    age: Array
    fault: NDArray[np.int8]
    low: Array
    high: Array
    vol: Array
    atr: Array
    liquidity: Array
    ready: BoolArray
    regime: Array
    opinions: tuple[Opinion, ...]
    expected: Array
    score: Array
    heard: bool
    wanted: Array
    moves: Array
    variance: Array
    feature_names: tuple[str, ...]
    features: Array
    market_names: tuple[str, ...]
    market: Array
    readings: tuple[Reading, ...] = ()


@lean
@dataclass(frozen=True, slots=True)
class Reason:
    """One rule's mark on one asset: the factor by which it changed the wanted weight."""

    asset: str
    rule: str
    factor: float


@lean
@dataclass(frozen=True, slots=True)
class Carry:
    """What a decision changes in Memory whether or not its orders fill."""

    origin: int
    evidence: int
    scored: int
    regime: Regime
    days: tuple[DayMark, ...]
    drawdown_scale: float
    loss_day: int
    opinions_lost: int
    highs: Mapping[str, float]
    cooldowns: Mapping[str, int]
    entry_atr: Mapping[str, float]


@lean
@dataclass(frozen=True, slots=True)
class Plan:
    """Everything decided in one slot. Arrays are (N,) in the order of `assets`.

    held, raw, base, target  weights as share of equity: now; allocated; allocated without opinions; after the overlay
    expected                 blended 24 h return, fraction · score  expected / 24 h volatility
    """

    slot: Slot
    as_of: int
    assets: tuple[str, ...]
    price: Array
    equity: float
    drawdown: float
    held: Array
    raw: Array
    base: Array
    target: Array
    expected: Array
    score: Array
    opinions: tuple[Opinion, ...]
    reasons: tuple[Reason, ...]
    orders: tuple[Order, ...]
    dropped: tuple[Dropped, ...]
    carry: Carry


@dataclass(frozen=True, slots=True)
class Record:
    """Everything that came of one slot: rows per journal table, written under one sequence number."""

    sequence: int
    tables: Mapping[str, tuple[Mapping[str, Any], ...]]
