"""What the venue is like: every call timed, every order and fill judged, and the circuit breakers fed with it.

A broker around the broker. It changes nothing of what goes through it; `judged` says what Memory should make of it: a
venue that is bad leads to REDUCING, one that does not let us in to HALTED.
What is measured lives here and begins anew at a start; which breakers are open, and which pairs rest at limits, stands
in Memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from evenkeel.engine import record
from evenkeel.engine.ports import Broker, Market, Queued, VenueOrder
from evenkeel.errors import AccessRefusedError, VenueUnknownError
from evenkeel.portfolio import breakers
from evenkeel.portfolio.breakers import Breakers, BreakerSettings, Call, Event, Execution, Outcome, Trip
from evenkeel.portfolio.costs import CostSettings, slippage_of
from evenkeel.types import Fill, Holdings, Intent, IntentStatus, Memory, Order, Pair, TradingState
from evenkeel.units import iso

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCESS_REFUSED = "ACCESS_REFUSED"
TRIES = 3
"""Calls in a row that are not let in before trading is HALTED: a key that was revoked does not come back by itself."""

_TOLD = frozenset({IntentStatus.ACKED, IntentStatus.FILLED, IntentStatus.REJECTED, IntentStatus.UNKNOWN})
_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a model expects of venue and fills: limits, costs of a taker, pairs, the market, and the clocks.

    now  UTC s · timer  s, never stepping back, for latencies
    """

    settings: BreakerSettings
    costs: CostSettings
    pairs: Mapping[str, Pair]
    market: Market
    now: Callable[[], float]
    timer: Callable[[], float]


class Watched:
    """A broker that is watched; thread-safe as far as the broker is."""

    def __init__(self, broker: Broker, expected: Expectation, memory: Memory) -> None:
        """`memory` tells which breakers are open from before."""
        self._broker, self._expected = broker, expected
        trips = {code: Trip(since) for code, since in memory.trips.items()}
        self._breakers = Breakers(trips=trips, limit_only=memory.limit_only)
        self._events: list[Event] = []
        self._mids: dict[str, tuple[float, float]] = {}
        self._known: dict[str, IntentStatus] = {}
        self._refusals: tuple[str, ...] = ()
        self._section = threading.Lock()

    # ---------------------------------------------------------------- a broker

    @property
    def again(self) -> bool:
        """As the broker has it."""
        return self._broker.again

    def holdings(self, time: int, *, urgent: bool = False) -> Holdings:
        """As the broker has it, timed."""
        with self._timed():
            return self._broker.holdings(time, urgent=urgent)

    def send(
        self, order: Order, time: int, may: Callable[[], bool] = lambda: True, *, limit: Decimal | None = None
    ) -> VenueOrder:
        """As the broker has it, timed; the price before it is noted, to judge the fill by."""
        self._note_mid(order)
        with self._timed():
            if limit is None:
                return self._broker.send(order, time, may)
            return self._broker.send(order, time, may, limit=limit)

    def cancel(self, asset: str, venue_id: str, time: int, /) -> VenueOrder | None:
        """As the broker has it, timed."""
        with self._timed():
            return self._broker.cancel(asset, venue_id, time)

    def orders(self, assets: frozenset[str], since: int, time: int) -> tuple[VenueOrder, ...]:
        """As the broker has it, timed."""
        with self._timed():
            return self._broker.orders(assets, since, time)

    def fills(self, since: int) -> tuple[Fill, ...]:
        """As the broker has it, timed."""
        with self._timed():
            return self._broker.fills(since)

    # ---------------------------------------------------------------- what it means

    def saw(self, intents: Iterable[Intent]) -> None:
        """Take in what became of orders: each is judged when first heard of, and again when UNKNOWN was resolved."""
        now = int(self._expected.now())
        with self._section:
            for intent in intents:
                was = self._known.get(intent.order.id)
                if intent.status in _TOLD and was in (None, IntentStatus.UNKNOWN) and was is not intent.status:
                    self._events.append(Outcome(now, intent.status))
                    self._known[intent.order.id] = intent.status
                if intent.status.resolved:
                    self._events += self._executions(intent)
            for kept in (self._known, self._mids):
                for name in list(kept)[:-_KEPT]:
                    kept.pop(name)

    def judged(self, memory: Memory) -> Memory:
        """Memory with what the breakers say now, and the rows of alerts and audit where something changed."""
        now = int(self._expected.now())
        with self._section:
            before = self._breakers
            events, self._events = self._events, []
            self._breakers, codes = breakers.step(before, events, self._expected.settings, now)
            after, refusals = self._breakers, self._refusals
        state, reason = breakers.trading_state(memory.trading_state, memory.state_reason, codes)
        if len(refusals) >= TRIES and state is not TradingState.HALTED:
            state, reason = TradingState.HALTED, f"{ACCESS_REFUSED}: {refusals[-1]}"
        trips, limited = {code: trip.since for code, trip in sorted(after.trips.items())}, dict(after.limit_only)
        if (state, reason, trips, limited) == (
            memory.trading_state,
            memory.state_reason,
            memory.trips,
            memory.limit_only,
        ):
            return memory
        rows = _alerts(memory, trips, limited, now)
        if reason.startswith(ACCESS_REFUSED) and reason != memory.state_reason:
            rows.append(_row(now, "page", ACCESS_REFUSED, "", f"by the venue, trading is HALTED: {refusals[-1]}"))
        memory = replace(memory, trading_state=state, state_reason=reason, trips=trips, limit_only=limited)
        return record.alerted(memory, rows, now, "breakers") if rows else memory

    def readings(self) -> dict[str, dict[str, Any]]:
        """What the breakers of the account measure, by code; a value is None while too little is known."""
        with self._section:
            found = breakers.readings(self._breakers, self._expected.settings)
        return {r.code: {"value": r.value if r.value == r.value else None, "limit": r.limit} for r in found}

    # ---------------------------------------------------------------- inside

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began, answered, refused = self._spent(), True, ""
        try:
            yield
        except AccessRefusedError as error:
            refused = str(error)
            raise
        except VenueUnknownError:
            answered = False
            raise
        finally:
            call = Call(int(self._expected.now()), self._spent() - began, answered)
            with self._section:
                self._events.append(call)
                if answered:
                    self._refusals = (*self._refusals[1 - TRIES :], refused) if refused else ()

    def _spent(self) -> float:
        """Seconds on the timer that the venue is to blame for: what this thread waited for its turn is left out."""
        return self._expected.timer() - (self._broker.waited if isinstance(self._broker, Queued) else 0.0)

    def _note_mid(self, order: Order) -> None:
        touch = self._expected.market.touch(order.asset)
        if touch is not None:
            with self._section:
                self._mids[order.id] = ((touch.bid + touch.ask) / 2.0, touch.volume)

    def _executions(self, intent: Intent) -> list[Execution]:
        """Fills against the mid before the send; an exit is not expected to beat the level that sent it."""
        order, known = intent.order, self._mids.pop(intent.order.id, None)
        units = sum((fill.quantity for fill in intent.fills), Decimal(0))
        if known is None or not units:
            return []
        (mid, volume), side = known, 1 if units > 0 else -1
        if order.stop is not None and units < 0:
            mid = min(mid, float(order.stop))
        price = float(sum((fill.quantity * fill.price for fill in intent.fills), Decimal(0)) / units)
        tier = self._expected.pairs[order.asset].tier
        modelled = slippage_of(abs(float(units)) * mid, volume, tier, self._expected.costs)
        return [Execution(int(self._expected.now()), order.asset, side * (price / mid - 1.0), modelled)]


def _alerts(memory: Memory, trips: Mapping[str, int], limited: Mapping[str, int], now: int) -> list[dict[str, Any]]:
    """One row for each breaker that opened or closed."""
    rows = [_row(now, "page", code, "", "is open: only reducing") for code in trips if code not in memory.trips]
    rows += [_row(now, "info", code, "", "is closed again") for code in memory.trips if code not in trips]
    return rows + [
        _row(now, "warning", breakers.SLIPPAGE, asset, f"its trades rest at limits until {iso(until)}")
        for asset, until in limited.items()
        if memory.limit_only.get(asset) != until
    ]


def _row(now: int, level: str, code: str, asset: str, text: str) -> dict[str, Any]:
    return record.alert_row(now, level, code, f"{asset or code} {text}", asset=asset)
