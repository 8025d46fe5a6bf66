"""One parent order as child orders in time: market, limit (maker first, then cross), TWAP and VWAP.

A schedule is made once; after that `next_child` says, from nothing but the children's intents, the time and a price,
what to do now. Pure. The law: what is confirmed, open and unknown of all children, and the next child, never exceed the
parent. A slice has one child at most, numbered as the slice is, so that the same decision always has the same id; what
it did not get is spread over the slices that are left (O18), and what the end leaves goes to the next cycle (O9).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le

from evenkeel.types import Array, Fill, IntArray, Intent, IntentStatus, Order, Pair
from evenkeel.units import DAY_S, Key, decimal_sum

Style = Literal["market", "limit", "twap", "vwap"]
NO_PROFILE = "VWAP_WITHOUT_PROFILE"
"""Note of a VWAP order whose volume profile is unknown: it is sent as TWAP."""


@dataclass(frozen=True, slots=True)
class ScheduleSettings:
    """How orders are sent."""

    style: Annotated[
        Style,
        Key(
            "market = at once; limit = rest at the touch, then cross; twap = even slices; vwap = slices by volume; "
            "a replay always sends at once"
        ),
    ] = "market"
    over_s: Annotated[int, Ge(1), Le(DAY_S), Key("time within which an order is sent; then the rest is left", "s")] = (
        1_800
    )
    slices: Annotated[int, Ge(1), Le(288), Key("slices of a twap or vwap order", "count")] = 6
    maker_s: Annotated[int, Ge(1), Le(DAY_S), Key("time that a limit order rests before it crosses", "s")] = 60
    catch_up: Annotated[float, Ge(1), Le(10), Key("largest slice after others failed", "times the planned one")] = 2.0

    def __post_init__(self) -> None:
        """A limit order must be over before the time is."""
        if self.maker_s >= self.over_s:
            raise ValueError(f"maker_s ({self.maker_s} s) must be less than over_s ({self.over_s} s)")


@dataclass(frozen=True, slots=True)
class Slice:
    """What should be sent at a time (UTC s): signed units."""

    time: int
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Schedule:
    """A parent order in time; the slices' quantities sum to the parent's.

    end      UTC s from which nothing is sent · arrival  USD per unit when it was decided, > 0
    catch_up  largest child of a TWAP or VWAP, in planned slices · note  code of what is not as configured, or ``
    """

    parent: Order
    style: str
    slices: tuple[Slice, ...]
    end: int
    pair: Pair
    arrival: Decimal
    catch_up: float = 2.0
    note: str = ""

    def until(self, number: int) -> int:
        """UTC s at which the child of a slice is cancelled if it is still open: the next slice's turn, or the end."""
        return self.slices[number + 1].time if number + 1 < len(self.slices) else self.end


@dataclass(frozen=True, slots=True)
class Child:
    """Send this order now, a `limit` one at the touch; it may rest until `until` (UTC s)."""

    order: Order
    until: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """The open child of this id has had its time: cancel it, then ask what it got (O9, O10)."""

    id: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before `until` (UTC s, later than now) unless an answer comes in.

    reason  `` for the next slice's turn, PAIR_BUSY while a child is open or unknown (O4: one at a time)
    """

    until: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing more is sent: FILLED, or why not, and the signed units that are left to the next cycle.

    DEADLINE  the end has come · SLICES_SPENT  every slice had its child · BELOW_MIN_NOTIONAL  too small to be sent
    """

    reason: str
    left: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Executed:
    """One slice: its time (UTC s), planned and executed units, average USD per unit (None = nothing), cost against
    arrival in bps (+ = worse, NaN = nothing).
    """

    time: int
    target: Decimal
    executed: Decimal
    price: Decimal | None
    bps: float


def scheduled(
    parent: Order,
    start: int,
    pair: Pair,
    price: Decimal,
    settings: ScheduleSettings,
    profile: Array | None = None,
    *,
    cross: bool = True,
) -> Schedule:
    """The schedule of a parent order decided at `start` (UTC s) and `price` (USD per unit, > 0).

    profile  shares of a day's volume, see `volume_profile`; for VWAP only
    cross    False: a limit order never becomes a market order (a pair whose slippage breaker is open, O11)
    """
    end, note = start + settings.over_s, ""
    whole = Slice(start, parent.quantity)
    plan: tuple[Slice, ...] = (whole,)
    if settings.style == "limit" and cross:
        plan = (whole, Slice(start + settings.maker_s, Decimal(0)))
    if settings.style in ("twap", "vwap"):
        shares = profile if settings.style == "vwap" else None
        plan = slices(parent, start, end, settings.slices, shares, pair, price)
        unknown = settings.style == "vwap" and _by_volume(shares, start, end, settings.slices) is None
        note = NO_PROFILE if unknown else ""
    return Schedule(parent, settings.style, plan, end, pair, price, settings.catch_up, note)


def slices(
    parent: Order, start: int, end: int, count: int, profile: Array | None, pair: Pair, price: Decimal
) -> tuple[Slice, ...]:
    """The parent cut into at most `count` slices from `start` to before `end` (UTC s), summing to it to the lot.

    profile  (P,) shares of a day's volume by time of day; None, a NaN or no volume in the window = even slices (TWAP)
    price    USD per unit; a slice that would not be legal at it waits for the next, the last joins the one before
    ->       every slice is legal, unless the whole parent is too small: then that is the one slice

    Raises ValueError where times, count or price make no sense or the parent is no whole number of lots.
    """
    if count < 1 or end - start < count:
        raise ValueError(f"{count} slices from {start} to {end}: at least 1, and at least a second for each")
    total, least = _lots(parent.quantity, pair), _least(pair, price)
    shares = _by_volume(profile, start, end, count) or [Fraction(i, count) for i in range(1, count + 1)]
    times = [start + i * (end - start) // count for i in range(count)]
    cut: list[tuple[int, int]] = []
    sent = 0
    for time, share in zip(times, shares, strict=True):
        size = int(total * share) - sent
        if size >= least:
            cut.append((time, size))
            sent += size
    time, size = cut.pop() if cut else (start, 0)
    cut.append((time, size + total - sent))
    return tuple(Slice(time, _units(size, parent, pair)) for time, size in cut)


def volume_profile(time: IntArray, volume: Array, bar_s: int, bins: int = 24, least_days: int = 5) -> Array:
    """How an asset's volume spreads over the UTC day: the median over days of each bin's share, rescaled to sum 1.

    time, volume  (T,) closes of the bars in UTC s, and units traded; NaN = unknown, its day does not count
    ->            (bins,) shares >= 0; all NaN with fewer than `least_days` whole known days or hardly any volume

    Raises ValueError where bars do not fit into bins. The median, for one day of liquidations would bend a mean.
    """
    if (DAY_S // bins) % bar_s:
        raise ValueError(f"bars of {bar_s} s do not fit into {bins} bins a day: use fewer bins")
    opened = time - bar_s
    days, row = np.unique(opened // DAY_S, return_inverse=True)
    table = np.zeros((len(days), bins))
    np.add.at(table, (row, opened % DAY_S * bins // DAY_S), volume)
    total = table.sum(axis=1)
    known = (np.bincount(row, minlength=len(days)) == DAY_S // bar_s) & np.isfinite(total) & (total > 0)
    if np.count_nonzero(known) < least_days:
        return np.full(bins, np.nan)
    shares: Array = np.median(table[known] / total[known, None], axis=0)
    return shares / shares.sum() if shares.sum() > 0 else np.full(bins, np.nan)


def next_child(plan: Schedule, children: Sequence[Intent], now: int, price: Decimal) -> Child | Cancel | Wait | Done:
    """What to do now (UTC s) for a parent, at `price` (USD per unit, > 0), given every child so far.

    children  their intents, in any order. Raises ValueError for one that is not of this parent.
    """
    numbers = [_number(plan, intent) for intent in children]
    waiting = [(n, i) for n, i in zip(numbers, children, strict=True) if not i.status.resolved]
    if waiting:
        return _unanswered(plan, waiting, now)
    rest = left(plan, children)
    place = bisect_right(plan.slices, now, key=lambda s: s.time) - 1
    if rest == 0 or now >= plan.end:
        return Done("DEADLINE", rest) if rest else Done("FILLED")
    reason = "SLICES_SPENT"
    if place > max(numbers, default=-1):
        size = _size(plan, place, int(abs(rest).scaleb(plan.pair.amount_decimals)), _least(plan.pair, price))
        if size:
            return Child(_child(plan, place, size), plan.until(place))
        reason = "BELOW_MIN_NOTIONAL"
    return Wait(plan.slices[place + 1].time) if place + 1 < len(plan.slices) else Done(reason, rest)


def left(plan: Schedule, children: Iterable[Intent]) -> Decimal:
    """Signed units of the parent that are neither confirmed nor possibly still to be filled by a child."""
    buys = plan.parent.quantity > 0
    rest = abs(plan.parent.quantity) - decimal_sum(_committed(intent, buys=buys) for intent in children)
    return max(rest, Decimal(0)) * (1 if buys else -1)


def shortfall(plan: Schedule, fills: Iterable[Fill]) -> tuple[Executed, ...]:
    """The schedule beside what was executed, slice by slice; fills carry the id of their child.

    bps = 1e4 x side x (average price / arrival - 1): the executed part of the implementation shortfall (Perold 1988)
    """
    known = {fill.id: fill for fill in fills}.values()
    side = 1 if plan.parent.quantity > 0 else -1
    rows = []
    for number, part in enumerate(plan.slices):
        got = [fill for fill in known if fill.order_id == child_id(plan, number)]
        units = decimal_sum(fill.quantity for fill in got)
        price = decimal_sum(fill.quantity * fill.price for fill in got) / units if units else None
        bps = side * 1e4 * (float(price / plan.arrival) - 1) if price else float("nan")
        rows.append(Executed(part.time, part.quantity, units, price, bps))
    return tuple(rows)


def child_id(plan: Schedule, number: int) -> str:
    """Id of the child of a slice: `{parent}.{number}`."""
    return f"{plan.parent.id}.{number}"


def _number(plan: Schedule, intent: Intent) -> int:
    parent, _, number = intent.order.id.rpartition(".")
    if parent != plan.parent.id or not number.isdecimal() or int(number) >= len(plan.slices):
        raise ValueError(f"order {intent.order.id} is no child of {plan.parent.id} with {len(plan.slices)} slices")
    return int(number)


def _unanswered(plan: Schedule, waiting: list[tuple[int, Intent]], now: int) -> Cancel | Wait:
    """An open child whose time is over is cancelled; one that nobody knows of can only be asked for."""
    for number, intent in sorted(waiting, key=lambda w: w[0]):
        if intent.status is IntentStatus.ACKED and now >= plan.until(number):
            return Cancel(intent.order.id)
    return Wait(max(now + 1, min(plan.until(number) for number, _ in waiting)), "PAIR_BUSY")


def _committed(intent: Intent, *, buys: bool) -> Decimal:
    """Units of the parent that a child has taken, or may yet: all it asked for while anything can still happen."""
    got = decimal_sum({fill.id: fill.quantity for fill in intent.fills}.values()) * (1 if buys else -1)
    return max(got, Decimal(0)) if intent.status.resolved else max(got, abs(intent.order.quantity))


def _size(plan: Schedule, place: int, rest: int, least: int) -> int:
    """Lots for the slice whose turn it is: its share of what is left, never beyond its cap; 0 = too small, wait."""
    planned = [_lots(part.quantity, plan.pair) for part in plan.slices[place:]]
    share = rest * planned[0] // sum(planned) if sum(planned) else rest
    cap = int(plan.catch_up * planned[0]) if plan.style in ("twap", "vwap") else rest
    size = min(share, cap)
    if rest - size < least and rest <= cap:
        size = rest  # a remainder that nobody could send is sent with this slice
    return size if size >= least else 0


def _child(plan: Schedule, number: int, size: int) -> Order:
    style = "limit" if plan.style == "limit" and number == 0 else "market"
    return replace(plan.parent, id=child_id(plan, number), quantity=_units(size, plan.parent, plan.pair), style=style)


def _lots(quantity: Decimal, pair: Pair) -> int:
    """Whole lots in a quantity, without its sign."""
    lots = abs(quantity).scaleb(pair.amount_decimals)
    if lots != int(lots):
        raise ValueError(f"{quantity} {pair.asset} is no whole number of lots of 1e-{pair.amount_decimals}")
    return int(lots)


def _units(lots: int, parent: Order, pair: Pair) -> Decimal:
    return Decimal(lots if parent.quantity > 0 else -lots).scaleb(-pair.amount_decimals)


def _least(pair: Pair, price: Decimal) -> int:
    """Lots of the smallest legal order: more than the minimum notional. Raises ValueError for a price of 0 or less."""
    if price <= 0:
        raise ValueError(f"{price} USD is no price of {pair.asset}: it must be above 0")
    return int(Fraction(pair.min_notional) / Fraction(price) * 10**pair.amount_decimals) + 1


def _by_volume(profile: Array | None, start: int, end: int, count: int) -> list[Fraction] | None:
    """Share of the window's volume that is traded by the end of each slice; None = unknown or none."""
    if profile is None or not np.isfinite(profile).all():
        return None
    edges = np.linspace(0, DAY_S, len(profile) + 1)
    traded = np.concatenate([[0.0], np.cumsum(profile)])
    days, second = np.divmod(start % DAY_S + np.arange(count + 1) * (end - start) // count, DAY_S)
    volume = days * traded[-1] + np.interp(second, edges, traded)
    whole = volume[-1] - volume[0]
    if whole <= 0:
        return None
    shares = np.clip((volume[1:] - volume[0]) / whole, 0.0, 1.0)
    return [Fraction(share).limit_denominator(1_000_000) for share in shares.tolist()[:-1]] + [Fraction(1)]
