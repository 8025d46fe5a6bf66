"""Hourly crypto ladders as they were captured: a file in, boards with the spot of that moment and outcomes out.

Each capture is one event of one series with all its strikes, and the spot price beside it; the spot prices of earlier
captures are the only source of volatility. The file tells no sizes: boards are given `DEPTH` contracts on each quoted
side, which flatters whoever trades much; it tells no fees and no grid: `settled.TERMS`, and cents, as the venue's raw
objects of the same days say.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
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
from evenkeel.research.kalshi.settled import TERMS, Settled, Words
from evenkeel.types import Array, Board, BoolArray, Contract, IntArray
from evenkeel.units import iso

COLUMNS: Final = (
    "captured_at", "event_ticker", "ticker", "close_time", "strike_type", "floor_strike", "cap_strike", "yes_bid",
    "yes_ask", "series", "result", "expiration_value", "spot_price",
)  # fmt: skip
ASSETS: Final[Mapping[str, str]] = {"KXBTC": "BTC", "KXETH": "ETH"}
DEPTH: Final = Decimal(1_000)
CENTS: Final = ((Decimal(0), Decimal(1), Decimal("0.01")),)


@dataclass(frozen=True, slots=True)
class Captures:
    """All rows of a file, by time and series, and what was around them.

    quotes   one row for each contract of each capture · kind, floor, cap (n,) strikes · spot (n,) USD
    starts   (C + 1,) first row of each capture, and n
    volatility  (C,) realised, of the series' own spots up to the capture
    """

    quotes: Settled
    kind: Words
    floor: Array
    cap: Array
    spot: Array
    starts: IntArray
    volatility: tuple[Volatility, ...]

    def boards(self) -> Iterator[tuple[slice, Ladders, dict[str, Spot]]]:
        """Rows, board and spot of each capture, in the order of time."""
        rows = self.quotes
        for c, (first, last) in enumerate(pairwise(self.starts.tolist())):
            asset = ASSETS[str(rows.series[first])]
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
            bid_size=Decimal(0) if bid is None else DEPTH,
            ask_size=Decimal(0) if ask is None else DEPTH,
            ticks=CENTS,
            fee_type=kind,
            fee_multiplier=multiplier,
            status="active" if quotes.time[row] < quotes.close[row] else "closed",
            exclusive=True,
        )


def read(path: Path) -> Captures:
    """Captures of a file. Raises DataError for another kind of file, another series, or a result that strikes deny."""
    rows = settled.table(path, COLUMNS)
    unknown = sorted(set(rows["series"].tolist()) - set(ASSETS))
    if unknown:
        raise DataError(f"{path} has series {', '.join(unknown)}: only {', '.join(ASSETS)} are known here")
    order = np.lexsort((rows["series"], rows["captured_at"]))
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
    return Captures(quotes, *strikes, rows["spot_price"], starts, _volatility(quotes, rows["spot_price"], starts))


def _volatility(quotes: Settled, spot: Array, starts: IntArray) -> tuple[Volatility, ...]:
    """Of each capture's series, from the spots of its captures until then: `realised` reads none that is later."""
    first = starts[:-1]
    series, time, price = quotes.series[first], quotes.time[first], spot[first]
    made = []
    for c in range(len(first)):
        own: BoolArray = series == series[c]
        made.append(realised(time[own], price[own], int(time[c])))
    return tuple(made)


def _refuse_contradiction(path: Path, quotes: Settled, value: Array, kind: Words, floor: Array, cap: Array) -> None:
    """The settled value must lie where the result says: else strikes, results or values were misread."""
    above, below = kind == "greater", kind == "less"
    with np.errstate(invalid="ignore"):
        pays = np.where(above, value > floor, np.where(below, value < cap, (value >= floor) & (value <= cap)))
    known = np.isfinite(quotes.outcome) & np.isfinite(value)
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
