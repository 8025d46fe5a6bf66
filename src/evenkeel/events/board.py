"""What is quoted? Rows of the venue -> contracts -> arrays in which every contract is an interval of the settlement.

A contract pays 1 USD if the settled value lies in [low, high): a threshold is [K, inf) or [0, K), a range [a, b), a
tail one of the former. So one formula prices every kind, and whether a ladder is sane is a question about intervals.

The laws: NO = 1 - YES everywhere; a missing price is no quote, never 0, 1 or 0.5. Wire: specs/kalshi.md, 3, 4 and 10.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import IntEnum
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from evenkeel.errors import DataError
from evenkeel.events.fees import rates
from evenkeel.types import Array, Board, BoolArray, Contract, IntArray
from evenkeel.units import utc

Name = TypeVar("Name", bound=Hashable)

ONE: Final = Decimal(1)
_SUBTLE: Final = 1e-9
"""Prices have at most six decimals: what differs by less is the same price."""


class Flaw(IntEnum):
    """Why a quote is not believed as it is. The first that applies is named.

    NONE       two-sided, in order with its ladder
    EMPTY      nobody quotes either side
    CROSSED    bid at or above ask
    OFF_GRID   a price that the venue's own grid does not have: the row was misread
    DISORDER   it contradicts another quote of its event: a contract that pays whenever another does is cheaper
    SUM        outcomes that exclude each other are bid above 1 in all, or all of them are asked below 1
    ONE_SIDED  only a bid or only an ask: it can be traded, but it has no mid
    """

    NONE = 0
    EMPTY = 1
    CROSSED = 2
    OFF_GRID = 3
    DISORDER = 4
    SUM = 5
    ONE_SIDED = 6


@dataclass(frozen=True, slots=True)
class Ladders:
    """A board as arrays, M contracts in its order.

    time            UTC s of the board
    contracts       the rows themselves · events, assets  names, in the order of their first contract
    event, asset    (M,) index into events, assets
    low, high       (M,) it pays if low <= settled value < high; USD, 0 and inf at the ends, NaN = no strikes
    left            (M,) s to the close, < 0 after it · age  (M,) s since the quote was true
    bid, ask        (M,) USD of YES; NaN = no quote · bid_size, ask_size  (M,) contracts, 0 = none
    rate            (M,) of a taker's fee, see `fees`; NaN = terms unknown
    flaw            (M,) int8, `Flaw`
    """

    time: int
    contracts: tuple[Contract, ...]
    events: tuple[str, ...]
    assets: tuple[str, ...]
    event: IntArray
    asset: IntArray
    low: Array
    high: Array
    left: Array
    age: Array
    bid: Array
    ask: Array
    bid_size: Array
    ask_size: Array
    rate: Array
    flaw: NDArray[np.int8]

    @property
    def mid(self) -> Array:
        """(M,) middle of two-sided quotes, USD of YES; NaN where a side is missing."""
        return (self.bid + self.ask) / 2

    @property
    def spread(self) -> Array:
        """(M,) ask less bid, USD; NaN where a side is missing."""
        return self.ask - self.bid


# ---------------------------------------------------------------- one contract


def series_of(ticker: str) -> str:
    """`KXBTC` of `KXBTC-26AUG2513-B79650`."""
    return ticker.partition("-")[0]


def price(given: Any) -> Decimal | None:
    """A price of the wire, USD per 1 USD: a string such as `0.5600`; None, empty, 0 and 1 mean that nobody quotes.

    Raises DataError for what is no price between 0 and 1, such as cents.
    """
    if given is None or given == "":
        return None
    try:
        value = Decimal(str(given))
    except InvalidOperation:
        raise DataError(f"price {given!r} is not a number") from None
    if not (value.is_finite() and 0 <= value <= 1):
        raise DataError(f"price {given!r} is not between 0 and 1 USD: is it in cents?")
    return value if 0 < value < 1 else None


def complement(quote: Decimal | None) -> Decimal | None:
    """The price of the other outcome: NO = 1 - YES; no quote stays none."""
    return None if quote is None else ONE - quote


def contract(row: Mapping[str, Any], *, asset: str, fee_type: str = "", fee_multiplier: Decimal | None = None,
             exclusive: bool = False, seen: int | None = None) -> Contract:  # fmt: skip
    """A market object of the API as a contract; asset, fees and exclusivity are its series' and its event's.

    A side that only NO quotes is taken from there. Raises DataError for a price that is none and for a missing ticker,
    event or close.
    """
    try:
        ticker, event, expiry = str(row["ticker"]), str(row["event_ticker"]), utc(_expected(row))
    except (KeyError, ValueError) as error:
        raise DataError(f"market {row.get('ticker', '?')}: no ticker, event or close time ({error})") from None
    return Contract(
        ticker=ticker,
        event=event,
        asset=asset,
        kind=str(row.get("strike_type") or ""),
        floor=_strike(row.get("floor_strike")),
        cap=_strike(row.get("cap_strike")),
        expiry=expiry,
        yes_bid=_side(row, "yes_bid", "no_ask"),
        yes_ask=_side(row, "yes_ask", "no_bid"),
        bid_size=_count(row.get("yes_bid_size_fp")),
        ask_size=_count(row.get("yes_ask_size_fp")),
        ticks=tuple(
            (Decimal(x["start"]), Decimal(x["end"]), Decimal(x["step"])) for x in row.get("price_ranges") or ()
        ),
        fee_type=fee_type,
        fee_multiplier=fee_multiplier,
        status=str(row.get("status") or ""),
        seen=seen,
        exclusive=exclusive,
        fractional=row.get("fractional_trading_enabled") is True,
    )


def _side(row: Mapping[str, Any], yes: str, no: str) -> Decimal | None:
    """A side of YES as quoted, or as the other side of NO quotes it. Raises DataError where the two disagree."""
    own, other = price(row.get(f"{yes}_dollars")), complement(price(row.get(f"{no}_dollars")))
    if own is not None and other is not None and own != other:
        raise DataError(f"market {row['ticker']}: {yes} is {own}, but {no} says {other}")
    return own if own is not None else other


def _expected(row: Mapping[str, Any]) -> Any:
    """When trading ends. What closes when it is decided (a game) has a close time days later: then the expected end."""
    early = row.get("can_close_early") is True and row.get("strike_type") in ("structured", "custom", "functional")
    expected = row.get("expected_expiration_time") or row.get("occurrence_datetime")
    return expected if early and expected else row["close_time"]


def _strike(given: Any) -> float | None:
    return None if given is None or given == "" or math.isnan(float(given)) else float(given)


def _count(given: Any) -> Decimal:
    """Contracts; what is not told is none."""
    return Decimal(0) if given is None or given == "" else Decimal(str(given))


def on_grid(quote: Decimal, ticks: tuple[tuple[Decimal, Decimal, Decimal], ...]) -> bool:
    """Whether an order at this price is legal: inside (0, 1), a whole number of steps into one of the ranges."""
    return 0 < quote < 1 and any(start <= quote <= end and (quote - start) % step == 0 for start, end, step in ticks)


def snapped(quote: Decimal, ticks: tuple[tuple[Decimal, Decimal, Decimal], ...], *, up: bool) -> Decimal | None:
    """The nearest legal price at or above (`up`), or at or below; None where there is none inside (0, 1)."""
    legal = []
    for start, end, step in ticks:
        inside = min(max(quote, start), end)
        steps = (inside - start) / step
        rounded = start + step * (math.ceil(steps) if up else math.floor(steps))
        if start <= rounded <= end and 0 < rounded < 1 and (rounded >= quote if up else rounded <= quote):
            legal.append(rounded)
    return (min if up else max)(legal, default=None)


# ---------------------------------------------------------------- a whole board


def ladders(board: Board) -> Ladders:
    """A board as arrays, with what is wrong with each quote."""
    rows = board.contracts
    events, event = _numbered([c.event for c in rows])
    assets, asset = _numbered([c.asset for c in rows])
    low, high = _intervals(rows, event, len(events))
    bid, ask = _floats([c.yes_bid for c in rows]), _floats([c.yes_ask for c in rows])
    flaw = _flaws(rows, event, (low, high), bid, ask)
    return Ladders(
        time=board.time,
        contracts=rows,
        events=events,
        assets=assets,
        event=event,
        asset=asset,
        low=low,
        high=high,
        left=np.array([c.expiry - board.time for c in rows], dtype=np.float64),
        age=np.array([0 if c.seen is None else board.time - c.seen for c in rows], dtype=np.float64),
        bid=bid,
        ask=ask,
        bid_size=_floats([c.bid_size for c in rows]),
        ask_size=_floats([c.ask_size for c in rows]),
        rate=rates(rows),
        flaw=flaw,
    )


def _numbered(names: Sequence[Name]) -> tuple[tuple[Name, ...], IntArray]:
    """What occurs, in the order of its first place, and which of it each is."""
    place = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return tuple(place), np.array([place[name] for name in names], dtype=np.int64)


def _floats(values: list[Decimal | None] | list[Decimal]) -> Array:
    return np.array([math.nan if x is None else float(x) for x in values], dtype=np.float64)


def _intervals(rows: tuple[Contract, ...], event: IntArray, events: int) -> tuple[Array, Array]:
    """(M,) low and high of the value *before* it is rounded: strikes of one event meet, so that nothing lies between.

    The settled value is rounded to the cent: `64,100 to 64,199.99` is [64099.995, 64199.995), and the next one begins
    there. The step is read from the strikes of the event; where all are round, rounding is not seen and not corrected.
    A strike itself counts for `between` and `or_equal`.
    """
    floor, cap = (np.array([math.nan if x is None else x for x in side], dtype=np.float64)
                  for side in ([c.floor for c in rows], [c.cap for c in rows]))  # fmt: skip
    decimals = np.zeros(events, dtype=np.int64)
    np.maximum.at(decimals, event, np.maximum(_decimals(floor), _decimals(cap)))
    half = np.where(decimals >= 2, 0.5 * 10.0**-decimals, 0.0)[event]
    kind = np.array([c.kind for c in rows], dtype=np.str_)
    above, below = np.isin(kind, ("greater", "greater_or_equal")), np.isin(kind, ("less", "less_or_equal"))
    whole = ((kind == "between") & (floor <= cap)) | (above & np.isfinite(floor)) | (below & np.isfinite(cap))
    low = np.where(below, 0.0, floor + np.where(kind == "greater", half, -half))
    high = np.where(above, math.inf, cap + np.where(kind == "less", -half, half))
    return np.where(whole, low, math.nan), np.where(whole, high, math.nan)


def _decimals(strike: Array) -> IntArray:
    """(M,) decimals with which strikes are written, at most 8; 0 for none."""
    shown = np.where(np.isfinite(strike), strike, 0.0)
    return np.asarray(np.sum([np.round(shown, d) != shown for d in range(8)], axis=0), dtype=np.int64)


# ---------------------------------------------------------------- sanity


def _flaws(
    rows: tuple[Contract, ...], event: IntArray, edges: tuple[Array, Array], bid: Array, ask: Array
) -> NDArray[np.int8]:
    misread = _off_grid(rows, bid) | _off_grid(rows, ask)
    disorder, beyond = np.zeros(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool)
    declared = np.array([row.exclusive for row in rows], dtype=bool)
    for members in members_of(event):
        one = (edges[0][members], edges[1][members])
        disorder[members] = _contradicted(*one, bid[members], ask[members])
        beyond[members] = _impossible(*one, bid[members], ask[members], declared=bool(declared[members].all()))
    no_bid, no_ask = np.isnan(bid), np.isnan(ask)
    # that a side is missing says least, so it comes last
    found = {
        Flaw.EMPTY: no_bid & no_ask,
        Flaw.CROSSED: bid >= ask,
        Flaw.OFF_GRID: misread,
        Flaw.DISORDER: disorder,
        Flaw.SUM: beyond,
        Flaw.ONE_SIDED: no_bid | no_ask,
    }
    return np.select(list(found.values()), list(found), Flaw.NONE).astype(np.int8)


def members_of(event: IntArray) -> list[IntArray]:
    """Rows of each event, by its index."""
    if not len(event):
        return []
    order = np.argsort(event, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(event[order])) + 1)


def _off_grid(rows: tuple[Contract, ...], quote: Array) -> BoolArray:
    """(M,) whether a quote is not on its contract's grid; False without a quote or a grid."""
    grids, of = _numbered([c.ticks for c in rows])
    on = np.isnan(quote)
    for i, ticks in enumerate(grids):
        on |= (of == i) & (not ticks)
        for start, end, step in ((float(a), float(b), float(c)) for a, b, c in ticks):
            steps = (quote - start) / step
            inside = (quote > start - _SUBTLE) & (quote < end + _SUBTLE)
            on |= (of == i) & inside & (np.abs(steps - np.round(steps)) < 1e-6)
    return ~on


def _contradicted(low: Array, high: Array, bid: Array, ask: Array) -> BoolArray:
    """Whether a quote and another of its event could be traded against each other at a sure profit, (m,).

    Where [low_i, high_i) holds [low_j, high_j), i pays whenever j does: ask_i >= bid_j. Each contradiction marks both.
    """
    if not np.isfinite(low).any():
        return np.zeros(len(low), dtype=bool)
    holds = (low[:, None] <= low) & (high[:, None] >= high) & ~np.eye(len(low), dtype=bool)
    wrong = holds & (ask[:, None] < bid - _SUBTLE)
    marked: BoolArray = np.logical_or(wrong.any(axis=0), wrong.any(axis=1))
    return marked


def _impossible(low: Array, high: Array, bid: Array, ask: Array, *, declared: bool) -> bool:
    """Whether the event's outcomes exclude each other and their prices cannot sum to 1."""
    if not (declared or disjoint(low, high)):
        return False
    bids, asks = float(np.nansum(bid)), float(ask.sum())
    return bids > 1 + _SUBTLE or (tiles(low, high) and asks < 1 - _SUBTLE)


def disjoint(low: Array, high: Array) -> bool:
    """Whether no two intervals overlap; False where one has no strikes."""
    return bool(np.isfinite(low).all() and (_gaps(low, high) >= -_SUBTLE).all())


def tiles(low: Array, high: Array) -> bool:
    """Whether the intervals cover every value from 0 to infinity exactly once: one of them must pay."""
    whole = len(low) > 0 and bool(np.isfinite(low).all()) and low.min() <= 0 and high.max() == math.inf
    return whole and bool((np.abs(_gaps(low, high)) <= _SUBTLE).all())


def _gaps(low: Array, high: Array) -> Array:
    """(m - 1,) room between neighbours, as a share of the strike; < 0 where they overlap."""
    order = np.argsort(low)
    upper, lower = high[order][:-1], low[order][1:]
    return (lower - upper) / np.maximum(lower, _SUBTLE)
