"""Hourly crypto ladders as they were captured: a file in, boards with the spot of that moment and outcomes out.

Each capture is one event of one series with all its strikes, and the spot price beside it; the spot prices of earlier
captures are the only source of volatility. A file without sizes is given `DEPTH` contracts on each quoted side, which
flatters whoever trades much; no file tells fees and grid: `settled.TERMS`, and cents, as the venue's raw objects say.
`kalshi collect` joins its boards and ends to a file of this form.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from evenkeel.errors import DataError
from evenkeel.events.board import Ladders, ladders
from evenkeel.events.fair import Model, Spot
from evenkeel.events.volatility import Volatility, realised
from evenkeel.research.kalshi import settled
from evenkeel.research.kalshi.settled import LADDERS, TERMS, Settled, Words
from evenkeel.types import Array, Board, Contract, IntArray
from evenkeel.units import iso

COLUMNS: Final = (
    "captured_at", "event_ticker", "ticker", "close_time", "strike_type", "floor_strike", "cap_strike", "yes_bid",
    "yes_ask", "series", "result", "expiration_value", "spot_price",
)  # fmt: skip
SIZES: Final = ("bid_size", "ask_size")
DEPTH: Final = Decimal(1_000)
CENTS: Final = ((Decimal(0), Decimal(1), Decimal("0.01")),)


@dataclass(frozen=True, slots=True)
class Captures:
    """All rows of a file, by time and series, and what was around them.

    quotes   one row for each contract of each capture · kind, floor, cap (n,) strikes · spot (n,) USD
    sizes    (n, 2) contracts bid and asked
    starts   (C + 1,) first row of each capture, and n
    volatility  (C,) realised, of the series' own spots up to the capture
    """

    quotes: Settled
    kind: Words
    floor: Array
    cap: Array
    spot: Array
    sizes: Array
    starts: IntArray
    volatility: tuple[Volatility, ...]

    def boards(self) -> Iterator[tuple[slice, Ladders, dict[str, Spot]]]:
        """Rows, board and spot of each capture, in the order of time."""
        rows = self.quotes
        for c, (first, last) in enumerate(pairwise(self.starts.tolist())):
            asset = LADDERS[str(rows.series[first])]
            board = Board(int(rows.time[first]), tuple(self._contract(i, asset) for i in range(first, last)))
            spot = Spot(float(self.spot[first]), 0.0, self.volatility[c])
            yield slice(first, last), ladders(board), {asset: spot}

    def fair(self, model: Model) -> Array:
        """(n,) what a model says of every row; NaN = it does not know."""
        out = np.full(len(self.quotes.time), math.nan)
        for rows, board, spots in self.boards():
            out[rows] = model(board, spots).p
        return out

    def _contract(self, row: int, asset: str) -> Contract:
        quotes = self.quotes
        bid, ask = _price(float(quotes.bid[row])), _price(float(quotes.ask[row]))
        kind, multiplier = TERMS[str(quotes.series[row])]
        return Contract(
            ticker=str(quotes.ticker[row]),
            event=str(quotes.event[row]),
            asset=asset,
            kind=str(self.kind[row]),
            floor=_strike(float(self.floor[row])),
            cap=_strike(float(self.cap[row])),
            expiry=int(quotes.close[row]),
            yes_bid=bid,
            yes_ask=ask,
            bid_size=_size(float(self.sizes[row, 0]), bid),
            ask_size=_size(float(self.sizes[row, 1]), ask),
            ticks=CENTS,
            fee_type=kind,
            fee_multiplier=multiplier,
            status="active" if quotes.time[row] < quotes.close[row] else "closed",
            exclusive=not str(quotes.series[row]).endswith("D"),
        )


def read(path: Path) -> Captures:
    """Captures of a file. Raises DataError for another kind of file, another series, or a result that strikes deny."""
    told = [name for name in SIZES if name in settled.names(path)]
    rows = settled.table(path, (*COLUMNS, *told))
    if not len(rows["ticker"]):
        raise DataError(f"{path} has no rows: collect for longer")
    unknown = sorted(set(rows["series"].tolist()) - set(LADDERS))
    if unknown:
        raise DataError(f"{path} has series {', '.join(unknown)}: only {', '.join(LADDERS)} are known here")
    order = np.lexsort((rows["event_ticker"], rows["series"], rows["captured_at"]))
    rows = {name: column[order] for name, column in rows.items()}
    quotes = Settled(
        ticker=rows["ticker"], series=rows["series"], event=rows["event_ticker"],
        cluster=np.array([iso(int(t)) for t in rows["close_time"]], dtype=np.str_),
        time=rows["captured_at"], close=rows["close_time"],
        bid=settled.quotes(rows["yes_bid"], "yes_bid"), ask=settled.quotes(rows["yes_ask"], "yes_ask"),
        outcome=settled.outcomes(rows["result"]),
    )  # fmt: skip
    strikes = (rows["strike_type"], rows["floor_strike"], rows["cap_strike"])
    _refuse_contradiction(path, quotes, rows["expiration_value"], *strikes)
    new = (np.diff(quotes.time) != 0) | (quotes.event[1:] != quotes.event[:-1])
    starts = np.concatenate([[0], np.flatnonzero(new) + 1, [len(quotes.time)]])
    spot, every = rows["spot_price"], np.full(len(quotes.time), float(DEPTH))
    sizes = np.stack([rows.get(name, every) for name in SIZES], axis=1)
    return Captures(quotes, *strikes, spot, sizes, starts, _volatility(quotes, spot, starts))


def _volatility(quotes: Settled, spot: Array, starts: IntArray) -> tuple[Volatility, ...]:
    """Of each capture's series, from the spots of its captures until then: `realised` reads none that is later."""
    first = starts[:-1]
    found: dict[tuple[str, int], Volatility] = {}
    for series in np.unique(quotes.series).tolist():
        own = first[quotes.series[first] == series]
        time, places = np.unique(quotes.time[own], return_index=True)
        price = spot[own][places]
        found |= {(series, now): realised(time, price, now) for now in time.tolist()}
    return tuple(found[str(quotes.series[i]), int(quotes.time[i])] for i in first)


def _refuse_contradiction(path: Path, quotes: Settled, value: Array, kind: Words, floor: Array, cap: Array) -> None:
    """The settled value must lie where the result says: else strikes, results or values were misread."""
    with np.errstate(invalid="ignore"):
        ways = {
            "greater": value > floor, "greater_or_equal": value >= floor, "less": value < cap,
            "less_or_equal": value <= cap, "between": (value >= floor) & (value <= cap),
        }  # fmt: skip
    pays = np.select([kind == name for name in ways], list(ways.values()), default=False)
    known = np.isin(kind, list(ways)) & np.isfinite(quotes.outcome) & np.isfinite(value)
    wrong = known & (pays != (quotes.outcome == 1))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{path}: {quotes.ticker[row]} settled at {value[row]:g} and is said to be "
            f"{'yes' if quotes.outcome[row] else 'no'}: its strikes say otherwise"
        )


@lru_cache(maxsize=1024)
def _price(quote: float) -> Decimal | None:
    return None if math.isnan(quote) else Decimal(str(round(quote, 6)))


def _strike(strike: float) -> float | None:
    return None if math.isnan(strike) else strike


def _size(count: float, quote: Decimal | None) -> Decimal:
    """Contracts of a side; none where nobody quotes it or its size is not told."""
    return Decimal(0) if quote is None or math.isnan(count) else Decimal(str(count))
