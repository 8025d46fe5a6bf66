"""The nouns of trading: slots, orders, fills, intents, and the states they are in."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from evenkeel.lean import lean
from evenkeel.units import iso


class SlotKind(StrEnum):
    """The three cadences, in the order in which they run at one instant."""

    RISK = "risk"
    REBALANCE = "rebalance"
    SCORE = "score"


@lean
@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """A kind and its scheduled UTC time: the unit of work that ends exactly once."""

    kind: SlotKind
    time: int

    @property
    def id(self) -> str:
        """Readable and unique: `rebalance@2025-07-01T06:00:00Z`."""
        return f"{self.kind}@{iso(self.time)}"


@lean
@dataclass(frozen=True, slots=True)
class SlotOutcome:
    """How a slot ended: `done`, `skipped` or `failed`, with a reason code unless done."""

    slot: str
    kind: str
    time: int
    outcome: str
    reason: str = ""
    as_of: int = 0
    orders: int = 0


class IntentStatus(StrEnum):
    """Durable life of an order; UNKNOWN is never treated as rejected."""

    PREPARED = "PREPARED"
    SENT = "SENT"
    ACKED = "ACKED"
    UNKNOWN = "UNKNOWN"
    FILLED = "FILLED"
    REJECTED = "REJECTED"
    NOT_PLACED = "NOT_PLACED"
    CANCELED = "CANCELED"

    @property
    def resolved(self) -> bool:
        """True once the venue can do nothing more with the order."""
        return self in _RESOLVED


_RESOLVED = frozenset({IntentStatus.FILLED, IntentStatus.REJECTED, IntentStatus.NOT_PLACED, IntentStatus.CANCELED})


class TradingState(StrEnum):
    """ACTIVE trades; REDUCING only lowers exposure; HALTED only cancels."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


class Health(StrEnum):
    """Whether an opinion may be believed."""

    OK = "ok"
    STALE = "stale"
    MISSING = "missing"
    EXPIRED = "expired"
    OFF = "off"


MAKER: Final = "maker"
"""Style of an order that rests inside the spread; any other of an event contract takes what is there and is over."""


@lean
@dataclass(frozen=True, slots=True)
class Order:
    """One leg of a plan. `id` derives from (slot, asset, leg): the same decision always has the same id.

    quantity  signed units (+ buys), legal at the venue
    reason    code of why it exists (`ATR_STOP`, `TARGET`)
    stop      level whose touch sent this order: a replay never fills better than it; None for others
    """

    id: str
    slot: str
    leg: int
    asset: str
    quantity: Decimal
    reason: str
    style: str = "market"
    stop: Decimal | None = None


@lean
@dataclass(frozen=True, slots=True)
class Fill:
    """What a venue executed. price USD per unit, fee USD >= 0, quantity signed."""

    id: str
    order_id: str
    asset: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    time: int


@lean
@dataclass(frozen=True, slots=True)
class Trace:
    """What proves what became of an order: the account before it, when it left, what it is called at the venue.

    highest  highest order number of the account before, -1 = it had none; None where the venue keeps our id
    units    of the order's asset, before · at  UTC ms when the socket was touched, 0 = not yet
    venue    the venue's id, `` = unknown · polls, asked  looks that found nothing, and the first of them (UTC s)
    limit    USD per unit as sent, None = market order
    """

    highest: int | None
    units: Decimal
    at: int = 0
    venue: str = ""
    polls: int = 0
    asked: int = 0
    limit: Decimal | None = None


@lean
@dataclass(frozen=True, slots=True)
class Intent:
    """An order and what is durably known of it; without a trace where no answer can be lost (back-tests)."""

    order: Order
    status: IntentStatus = IntentStatus.PREPARED
    attempts: int = 0
    note: str = ""
    fills: tuple[Fill, ...] = ()
    trace: Trace | None = None


@lean
@dataclass(frozen=True, slots=True)
class Dropped:
    """A leg that was wanted and is not sent, with its documented reason code."""

    asset: str
    code: str
    weight: float
    held: float
    note: str = ""
