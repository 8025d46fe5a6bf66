"""What one simulated life of the service leaves for the checker: facts only, in the order in which they happened."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal


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
    """A commit that returned: legs of all open slots by id, and who may trade."""

    legs: Mapping[str, Leg]
    trading_state: str
    quarantined: tuple[str, ...]


@dataclass(frozen=True)
class Socket:
    """An order left this computer. durable = the disk's surviving state says SENT of it; marker = state/HALT is there.

    skew  seconds that our clock was ahead of the venue's
    """

    id: str
    asset: str
    quantity: Decimal
    durable: bool
    marker: bool
    skew: float = 0.0


@dataclass(frozen=True)
class Trade:
    """An order that the venue has, and what it moved. tag = the intent that it truly comes from, `` = a person's."""

    number: str
    tag: str
    asset: str
    quantity: Decimal
    units: Decimal
    cash: Decimal


@dataclass(frozen=True)
class Flow:
    """Cash that came or went from outside."""

    cash: Decimal


@dataclass(frozen=True)
class Crashed:
    """The process died at a named point, or gave up because of its disk."""

    point: str


Event = Committed | Socket | Flow | Crashed


@dataclass
class Ending:
    """How everything stands when the dust has settled.

    remembered   memory's cash and units · venue  the account's
    quarantined  pairs that wait for a person · seconds  slots with a second row in the journal
    missing      slots of the grid without an end · chain  whether the audit chain is whole up to memory's own hash
    open         legs that are still unresolved
    fills        journal: our order id -> units
    """

    opening: Decimal = Decimal(0)
    remembered: Mapping[str, Decimal] = field(default_factory=dict)
    venue: Mapping[str, Decimal] = field(default_factory=dict)
    trades: tuple[Trade, ...] = ()
    fills: Mapping[str, Decimal] = field(default_factory=dict)
    quarantined: tuple[str, ...] = ()
    seconds: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    chain: bool = True


@dataclass
class History:
    """Events in order, the ending, and what was bound after two reconciliations of a calm venue."""

    events: list[Event] = field(default_factory=list)
    ending: Ending = field(default_factory=Ending)
    unbound_after_two: tuple[str, ...] = ()

    def sha256(self) -> str:
        """One number for everything that happened."""
        lines = [repr(event) for event in self.events] + [repr(self.ending), repr(self.unbound_after_two)]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()
