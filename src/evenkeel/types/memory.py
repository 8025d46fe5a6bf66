"""The nouns of what is held and remembered between slots."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np

from evenkeel.lean import kept, lean
from evenkeel.types.arrays import Array, IntArray, frozen, places
from evenkeel.types.orders import Intent, Slot, SlotOutcome, TradingState


@lean
@dataclass(frozen=True, slots=True)
class Holdings:
    """The venue's truth: cash USD, units per asset (no zero rows), ids of open orders.

    newest  highest order number of the account, -1 = it has none; None where the venue keeps our ids
    cut     there may be up to so much more cash (USD, this amount not included): the venue shows it cut; 0 = exact
    locked  of the cash, USD that open orders hold back: no purchase can take it (O22)
    locked_units  the same of the units: no sale can take them; None = nothing
    """

    time: int
    cash: Decimal
    units: Mapping[str, Decimal]
    open_orders: tuple[str, ...] = ()
    newest: int | None = None
    cut: Decimal = Decimal(0)
    locked: Decimal = Decimal(0)
    locked_units: Mapping[str, Decimal] | None = None

    def free(self, asset: str) -> Decimal:
        """Units that a sale can take."""
        units = self.units.get(asset, Decimal(0))
        return max(units - self.locked_units.get(asset, Decimal(0)), Decimal(0)) if self.locked_units else units


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose state this is. A state of another identity is refused."""

    venue: str
    account: str
    clock: str
    window: str


@lean
@dataclass(frozen=True, slots=True)
class Position:
    """What the venue cannot tell about a holding.

    units  last confirmed by the ledger · basis  average price paid, USD, fees included; None = unknown
    opened UTC s · high  highest price seen since (raised only after triggers were tested), USD
    stop   ATR stop fixed at entry, USD; NaN = none
    """

    units: Decimal
    basis: Decimal | None
    opened: int
    high: float
    stop: float = float("nan")


@dataclass(frozen=True, slots=True)
class DayMark:
    """Highest and opening equity (USD) of a UTC day; `day` is its start in UTC s."""

    day: int
    open: float
    high: float


@dataclass(frozen=True, slots=True)
class Regime:
    """The label with dwell: `trend`, `chop` or `down`, since when, and the challenger's count of slots."""

    label: str = "chop"
    since: int = 0
    challenger: str = ""
    streak: int = 0


@lean
@dataclass(frozen=True, slots=True)
class OpenSlot:
    """A trading step that has durable intents and is not finished: resumed, never decided again.

    settled  ids of orders that are over and in the books already: their pairs are free while the others go on
    """

    slot: Slot
    as_of: int
    plan: Mapping[str, Any]
    intents: tuple[Intent, ...]
    settled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Memory:
    """Only what no venue can tell us. Authoritative; everything else in state.json is a view.

    trips       open circuit breakers of the account: code -> since, UTC s
    limit_only  asset -> until when (UTC s) its trades rest at a limit, as fills were far worse than modelled
    cold        when (UTC s) coins were taken over of which nothing was remembered; 0 = never, or a person resumed since
    """

    identity: Identity
    origin: int
    config_digest: str = ""
    sequence: int = 0
    records: int = 0
    watermarks: Mapping[str, int] = field(default_factory=dict)
    slots: tuple[SlotOutcome, ...] = ()
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    trading_state: TradingState = TradingState.ACTIVE
    state_reason: str = ""
    flatten: bool = False
    cash: Decimal | None = None
    positions: Mapping[str, Position] = field(default_factory=dict)
    cooldowns: Mapping[str, int] = field(default_factory=dict)
    regime: Regime = Regime()
    days: tuple[DayMark, ...] = ()
    drawdown_scale: float = 1.0
    flows: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    turnover: Decimal = Decimal(0)
    evidence: int = 0
    scored: int = 0
    loss_day: int = 0
    opinions_lost: int = 0
    quarantined: Mapping[str, str] = field(default_factory=dict)
    trips: Mapping[str, int] = field(default_factory=dict)
    limit_only: Mapping[str, int] = field(default_factory=dict)
    cold: int = 0
    open_slots: tuple[OpenSlot, ...] = ()
    audit_hash: str = ""
    outbox: Mapping[str, Any] | None = None

    def busy(self) -> tuple[str, ...]:
        """Assets with an order of an open slot that is not in the books yet: nobody else may trade or adopt them."""
        return tuple(i.order.asset for s in self.open_slots for i in s.intents if i.order.id not in s.settled)


@lean
@dataclass(frozen=True, slots=True)
class Book:
    """Holdings (the venue's truth) and Memory (ours), valued together."""

    holdings: Holdings
    memory: Memory

    def units(self, assets: tuple[str, ...]) -> Array:
        """Units held per asset, (N,); 0 = none."""
        out, (at, held) = np.zeros(len(assets)), _held(assets, self.holdings.units)
        out[at] = held
        return out

    def equity(self, assets: tuple[str, ...], price: Array) -> float:
        """Cash plus holdings at `price` (N,) in USD. Raises ValueError when a held asset has no price."""
        return self.valued(assets, price)[0]

    def weights(self, assets: tuple[str, ...], price: Array) -> Array:
        """Share of equity per asset, (N,), 0 where nothing is held."""
        return self.valued(assets, price)[1]

    def valued(self, assets: tuple[str, ...], price: Array) -> tuple[float, Array]:
        """Equity in USD and share of it per asset, (N,). Raises ValueError when a held asset has no price."""
        value = _value if price.flags.writeable else _valued
        return value(assets, price, self.holdings.units, self.holdings.cash)


def _value(assets: tuple[str, ...], price: Array, units: Mapping[str, Decimal], cash: Decimal) -> tuple[float, Array]:
    at, held = _held(assets, units)
    paid = price[at]
    equity = float(cash) + float(held @ paid)
    if not math.isfinite(equity) and not np.isfinite(paid).all():
        missing = [assets[i] for i, p in zip(at, paid, strict=True) if not np.isfinite(p)]
        raise ValueError(f"no price was ever seen for held {', '.join(missing)}: equity is unknown")
    weights = np.zeros(len(assets))
    weights[at] = held * paid / equity
    return equity, frozen(weights)


_valued = kept(_value)


@kept
def _held(assets: tuple[str, ...], units: Mapping[str, Decimal]) -> tuple[IntArray, Array]:
    """Positions of the assets that are held, ascending, and the units of each."""
    place = places(assets)
    rows = sorted([(place[a], float(quantity)) for a, quantity in units.items() if quantity and a in place])
    return np.array([i for i, _ in rows], dtype=np.int64), np.array([quantity for _, quantity in rows])
