"""Whoever stands beside the real store, journal and broker of a simulated life and writes down what happens."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import orjson

from evenkeel.engine import parents
from evenkeel.engine.ports import Queued
from evenkeel.errors import VenueUnknownError
from evenkeel.journal import Journal
from evenkeel.store import Store
from evenkeel.types import Intent, Memory
from faults.account import Account
from faults.clockwork import Points
from faults.history import Called, Committed, History, Leg, Looked


class Kept(Store):
    """The real store; every commit that returns is history."""

    told: Callable[[Memory], None]

    def commit(self, *args: Any, **named: Any) -> Memory:
        """As the real one."""
        memory = super().commit(*args, **named)
        self.told(memory)
        return memory


class Diary(Journal):
    """The real journal; the process may die before and after each transaction."""

    points: Points

    def _insert(self, statements: Any) -> None:
        self.points.at("journal begin")
        super()._insert(statements)
        self.points.at("journal end")


def committed(memory: Memory, time: int) -> Committed:
    """What a commit says that concerns the venue."""
    legs = {intent.order.id: _leg(intent) for step in memory.open_slots for intent in step.intents}
    orders = {p.parent.id: p.parent.quantity for step in memory.open_slots for p in parents.of(step)}
    return Committed(
        legs, memory.trading_state.value, tuple(memory.quarantined), time, memory.cash, reason=memory.state_reason,
        trips=tuple(memory.trips), limited=tuple(memory.limit_only), parents=orders,
        done=sum(kind.get("done", 0) for kind in memory.counts.values()),
    )  # fmt: skip


def _leg(intent: Intent) -> Leg:
    order, venue = intent.order, intent.trace.venue if intent.trace else ""
    return Leg(order.asset, intent.status.value, venue, intent.note, order.quantity)


class Witness:
    """A broker whose every call is history: how long the venue took in truth, and whether it was answered.

    Who asks for orders and then, with nothing between, for holdings reconciles. While one waits for an answer, another
    may ask: each level of them is told apart.
    """

    def __init__(self, broker: Any, account: Account, history: History) -> None:
        self._broker, self._account, self._history = broker, account, history
        self._level = 0
        self._asked: dict[int, tuple[str, ...]] = {}

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._broker, name)
        return partial(self._called, found) if name in ("holdings", "send", "cancel", "orders", "fills") else found

    def _called(self, deed: Any, *args: Any, **named: Any) -> Any:
        clock, answered, name = self._account.clock, True, deed.__name__
        began, level = self._spent(), self._level
        before, self._level = self._asked.pop(level, None), level + 1
        shown = self._account.shown(args[0]) if name == "orders" else ()
        try:
            found = deed(*args, **named)
        except VenueUnknownError:
            answered = False
            raise
        else:
            if name == "orders":
                self._asked[level] = shown
            elif name == "holdings" and before is not None:
                self._history.events.append(Looked(before))
            return found
        finally:
            self._level = level
            self._history.events.append(Called(int(clock.wall()), self._spent() - began, answered, clock.skew))

    def _spent(self) -> float:
        """True seconds, without those that a call waited for its turn under our own call budget."""
        return self._account.clock.now - (self._broker.waited if isinstance(self._broker, Queued) else 0.0)


def sent(raw: bytes) -> set[str]:
    """Ids of the legs that a state file says are SENT."""
    found: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            order = value.get("order")
            if isinstance(order, dict) and value.get("status") == "SENT":
                found.add(order["id"])
            value = list(value.values())
        if isinstance(value, list):
            for item in value:
                walk(item)

    walk(orjson.loads(raw)["memory"]["open_slots"] if raw else [])
    return found
