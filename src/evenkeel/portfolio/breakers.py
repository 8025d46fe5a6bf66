"""Circuit breakers: when the venue, not the market, is the risk.

What was asked, ordered and executed goes in; which breakers are open comes out. Pure. An open breaker of the account
means REDUCING with its code as the reason; one of a pair makes its market orders limit orders (O11). The laws: a
breaker opens at its limit and closes only after a calm time at a lower level (hysteresis); no breaker undoes a HALT or
a state that a person chose.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt

from evenkeel.portfolio.costs import BPS
from evenkeel.types import IntentStatus, TradingState
from evenkeel.units import DAY_S, Key

Share = Annotated[float, Gt(0), Le(1)]

LATENCY, ERRORS, REJECTS, UNKNOWNS = "BREAKER_LATENCY", "BREAKER_ERRORS", "BREAKER_REJECTS", "BREAKER_UNKNOWNS"
SLIPPAGE = "BREAKER_SLIPPAGE"
"""Code of a pair's breaker; the other four are the account's."""

_MOST = 500
"""Newest calls and orders that are remembered: memory has a bound whatever the venue does."""


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When a venue is so bad that exposure is only reduced."""

    window_s: Annotated[int, Ge(60), Le(DAY_S), Key("time over which calls and orders are judged", "s")] = 1_800
    least: Annotated[int, Ge(1), Le(_MOST), Key("orders in it, or newest calls, that allow a judgement", "count")] = 5
    latency_s: Annotated[float, Gt(0), Le(120), Key("limit of the 90th percentile of latency", "s")] = 5.0
    errors: Annotated[Share, Key("limit of calls that fail", "share of calls")] = 0.3
    rejects: Annotated[Share, Key("limit of orders that are refused", "share of orders")] = 0.3
    unknowns: Annotated[int, Ge(1), Le(100), Key("newest orders in it whose answers were lost", "count")] = 3
    recover: Annotated[float, Ge(0), Lt(1), Key("level at which it is calm again", "share of the limit")] = 0.5
    calm_s: Annotated[int, Ge(0), Le(DAY_S), Key("time that it must stay calm before a breaker closes", "s")] = 1_800
    slippage: Annotated[float, Ge(1), Le(100), Key("worst slippage of a fill", "times the modelled one")] = 3.0
    slippage_bps: Annotated[float, Ge(0), Le(1_000), Key("slippage that never opens a breaker", "bps")] = 5.0
    limit_only_s: Annotated[
        int, Ge(0), Le(30 * DAY_S), Key("time without market orders after it, of that pair", "s")
    ] = DAY_S


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the venue: UTC s of its end, how long it took, and whether it was answered sensibly.

    A refusal in words that are understood is an answer. A time-out is not: its latency is how long was waited.
    """

    time: int
    latency_s: float
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one order sent: UTC s and its status as first known, and again when UNKNOWN was resolved."""

    time: int
    status: IntentStatus


@dataclass(frozen=True, slots=True)
class Execution:
    """A fill against expectation: UTC s, slippage and what the model says, fractions of price (+ = worse)."""

    time: int
    asset: str
    slippage: float
    modelled: float


Event = Call | Outcome | Execution


@dataclass(frozen=True, slots=True)
class Trip:
    """An open breaker: since when, and since when it is calm (UTC s; None = it is not)."""

    since: int
    calm: int | None = None


@dataclass(frozen=True, slots=True)
class Breakers:
    """What the breakers remember.

    calls, outcomes  of the window, oldest first, and the newest `least` calls however old they are
    trips            open breakers of the account by code
    limit_only       asset -> UTC s until which none of its orders is a market order
    """

    calls: tuple[Call, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    trips: Mapping[str, Trip] = field(default_factory=dict)
    limit_only: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reading:
    """One breaker of the account: its code, what is measured and its limit. NaN = unknown, neither bad nor calm."""

    code: str
    value: float
    limit: float


def step(
    memory: Breakers, events: Iterable[Event], settings: BreakerSettings, now: int
) -> tuple[Breakers, tuple[str, ...]]:
    """Take in what happened since the last step -> memory, and codes of all open breakers of the account, sorted.

    An account breaker opens when its reading reaches the limit. It closes when readings have been at or below
    `recover` x limit for `calm_s`. A pair's breaker closes by itself after `limit_only_s`.
    """
    memory = _taken_in(memory, sorted(events, key=lambda event: event.time), settings, now)
    trips = {}
    for reading in readings(memory, settings):
        trip = _judged(memory.trips.get(reading.code), reading, settings, now)
        if trip is not None:
            trips[reading.code] = trip
    limited = {asset: until for asset, until in memory.limit_only.items() if until > now}
    memory = Breakers(memory.calls, memory.outcomes, trips, limited)
    return memory, tuple(sorted(trips))


def readings(memory: Breakers, settings: BreakerSettings) -> tuple[Reading, ...]:
    """What the account's breakers measure now, for `status` too.

    Without enough calls since the start the venue is unknown. A service that trades nothing asks it at every check
    only, less often than a window may need: therefore the newest calls always count. Without enough orders there is
    nothing to refuse or to lose, which is calm; else a breaker that lets few orders through could never close.
    """
    calls, orders = memory.calls, memory.outcomes
    slow = failed = math.nan
    if len(calls) >= settings.least:
        slow = sorted(call.latency_s for call in calls)[(len(calls) - 1) * 9 // 10]  # never the slowest one alone
        failed = sum(not call.answered for call in calls) / len(calls)
    refused = sum(order.status is IntentStatus.REJECTED for order in orders)
    lost = takewhile(lambda order: order.status is IntentStatus.UNKNOWN, reversed(orders))
    return (
        Reading(LATENCY, slow, settings.latency_s),
        Reading(ERRORS, failed, settings.errors),
        Reading(REJECTS, refused / len(orders) if len(orders) >= settings.least else 0.0, settings.rejects),
        Reading(UNKNOWNS, float(sum(1 for _ in lost)), settings.unknowns),
    )


def limit_only(memory: Breakers, asset: str, now: int) -> bool:
    """Whether a pair's market orders must be limit orders now (UTC s)."""
    return memory.limit_only.get(asset, 0) > now


def trading_state(state: TradingState, reason: str, tripped: tuple[str, ...]) -> tuple[TradingState, str]:
    """The trading state and its reason after a step: breakers take ACTIVE to REDUCING and back, and touch nothing else.

    tripped  codes from `step`. HALTED stays; so does a REDUCING whose reason is not a breaker's.
    """
    ours = state is TradingState.REDUCING and reason.startswith("BREAKER_")
    if state is not TradingState.ACTIVE and not ours:
        return state, reason
    if tripped:
        return TradingState.REDUCING, ",".join(tripped)
    return (TradingState.ACTIVE, "") if ours else (state, reason)


def _taken_in(memory: Breakers, events: list[Event], settings: BreakerSettings, now: int) -> Breakers:
    """Memory with the events of the window, before any breaker is judged; events in the order of their time."""
    oldest = now - settings.window_s
    calls = [*memory.calls, *(event for event in events if isinstance(event, Call))]
    orders = [*memory.outcomes, *(event for event in events if isinstance(event, Outcome))]
    newest = len(calls) - settings.least
    limited = dict(memory.limit_only)
    for event in events:
        if isinstance(event, Execution) and _too_far(event, settings):
            limited[event.asset] = max(event.time + settings.limit_only_s, limited.get(event.asset, 0))
    return Breakers(
        tuple(call for place, call in enumerate(calls) if call.time > oldest or place >= newest)[-_MOST:],
        tuple(order for order in orders if order.time > oldest)[-_MOST:],
        memory.trips,
        limited,
    )


def _too_far(event: Execution, settings: BreakerSettings) -> bool:
    return event.slippage > max(settings.slippage * event.modelled, settings.slippage_bps * BPS)


def _judged(trip: Trip | None, reading: Reading, settings: BreakerSettings, now: int) -> Trip | None:
    """The breaker after one reading; None = closed."""
    if reading.value >= reading.limit:
        return Trip(trip.since if trip else now)
    if trip is None:
        return None
    if not reading.value <= reading.limit * settings.recover:
        return Trip(trip.since)
    calm = now if trip.calm is None else trip.calm
    return None if now - calm >= settings.calm_s else Trip(trip.since, calm)
