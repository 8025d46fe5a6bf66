"""What one simulated life of the service leaves for the checker: facts only, in the order in which they happened."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from evenkeel.portfolio.breakers import BreakerSettings


@dataclass(frozen=True)
class Leg:
    """An intent as one durable commit knows it. venue = the venue's order that it is bound to, `` = none."""

    asset: str
    status: str
    venue: str = ""
    note: str = ""
    quantity: Decimal = Decimal(0)


@dataclass(frozen=True)
class Committed:
    """A commit that returned: legs of all open slots by id, and who may trade.

    time     UTC s by our clock · cash  USD that memory knows of, None = nobody has looked yet
    reason   of the trading state · trips  open circuit breakers · limited  pairs whose orders rest at limits
    parents  orders that are sent over time, by id: signed units · done  slots that were decided and have ended
    """

    legs: Mapping[str, Leg]
    trading_state: str
    quarantined: tuple[str, ...]
    time: int = 0
    cash: Decimal | None = None
    reason: str = ""
    trips: tuple[str, ...] = ()
    limited: tuple[str, ...] = ()
    parents: Mapping[str, Decimal] = field(default_factory=dict)
    done: int = 0


@dataclass(frozen=True)
class Called:
    """A question or an order that the venue answered, or did not: when it was over by our clock, UTC s, and how long
    it took in truth, s. skew  as with a socket.
    """

    time: int
    seconds: float
    answered: bool
    skew: float = 0.0


@dataclass(frozen=True)
class Looked:
    """A reconciliation had its answers; the next commit says what it made of them.

    numbers  orders of ours that the venue could show from its first question on
    """

    numbers: tuple[str, ...]


@dataclass(frozen=True)
class Socket:
    """An order left this computer. durable = the disk's surviving state says SENT of it; marker = state/HALT is there.

    skew  seconds that our clock was ahead of the venue's · limit  whether it may rest at a limit
    """

    id: str
    asset: str
    quantity: Decimal
    durable: bool
    marker: bool
    skew: float = 0.0
    limit: bool = False


@dataclass(frozen=True)
class Trade:
    """An order that the venue has, and what it moved, in how many parts.

    tag  the intent that it truly comes from, `` = a person's
    """

    number: str
    tag: str
    asset: str
    quantity: Decimal
    units: Decimal
    cash: Decimal
    parts: int = 1


@dataclass(frozen=True)
class Flow:
    """Cash that came or went from outside."""

    cash: Decimal


@dataclass(frozen=True)
class Crashed:
    """The process died at a named point, or gave up because of its disk."""

    point: str


Event = Committed | Called | Looked | Socket | Flow | Crashed


@dataclass
class Ending:
    """How everything stands when the dust has settled.

    remembered   memory's cash and units · venue  the account's
    quarantined  pairs that wait for a person · seconds  slots with a second row in the journal
    missing      slots of the grid without an end · chain  whether the audit chain is whole up to memory's own hash
    open         legs that are still unresolved · raced  fills that came just before their cancel
    last         how the newest rebalance ended
    fills        journal: our order id -> units · paid  the same, USD that they took, fees included
    flows        USD that memory takes for deposits and withdrawals · trips  circuit breakers that are open
    """

    opening: Decimal = Decimal(0)
    remembered: Mapping[str, Decimal] = field(default_factory=dict)
    venue: Mapping[str, Decimal] = field(default_factory=dict)
    trades: tuple[Trade, ...] = ()
    fills: Mapping[str, Decimal] = field(default_factory=dict)
    paid: Mapping[str, Decimal] = field(default_factory=dict)
    flows: Decimal = Decimal(0)
    trips: tuple[str, ...] = ()
    quarantined: tuple[str, ...] = ()
    seconds: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    chain: bool = True
    trading_state: str = "ACTIVE"
    last: str = "done"
    raced: int = 0


@dataclass
class History:
    """Events in order, and the ending.

    breakers  what the venue was to be judged by; None = by nothing
    """

    events: list[Event] = field(default_factory=list)
    ending: Ending = field(default_factory=Ending)
    breakers: BreakerSettings | None = None

    def sha256(self) -> str:
        """One number for everything that happened."""
        lines = [repr(event) for event in self.events] + [repr(self.ending)]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()
