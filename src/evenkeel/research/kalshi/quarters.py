"""15-minute crypto contracts: a labelled file in, quotes with features and outcomes out.

Its `timestamp` and `close_time` are when rows were written, after the close: neither is read. The close is what the
ticker says (New York's time), and a row's time follows from `f_time_norm`, the elapsed part of the 15 minutes. A spot
ratio of exactly 1 beside a spot edge of exactly 0.5 - mid is the file's word for "no spot": it is unknown here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from evenkeel.errors import DataError
from evenkeel.research.kalshi import settled
from evenkeel.research.kalshi.settled import Settled, Words
from evenkeel.types import Array, BoolArray, IntArray

LIFE_S: Final = 900
NEW_YORK: Final = ZoneInfo("America/New_York")
PREFIX: Final = "f_"
SAME: Final = ("f_yes_mid", "f_mid_centered", "f_mid_centered_sq", "f_fav_dist", "f_fav_dist_sq",
               "f_mid_centered_x_time", "f_book_imb_x_time", "f_spot_edge", "f_yes_bid", "f_yes_ask")  # fmt: skip
"""Columns that only repeat mid, spread, time, imbalance or spot ratio in another form."""

MOST_MISSING: Final = 0.5


@dataclass(frozen=True, slots=True)
class Quarters:
    """Quotes and, for each, the file's own features: values (n, F), NaN = unknown."""

    quotes: Settled
    names: tuple[str, ...]
    values: Array

    def pick(self, rows: BoolArray | IntArray) -> Quarters:
        """The rows of a mask or of indices."""
        return Quarters(self.quotes.pick(rows), self.names, self.values[rows])

    def column(self, name: str) -> Array:
        """(n,) one feature."""
        return self.values[:, self.names.index(name)]

    @property
    def elapsed(self) -> Array:
        """(n,) elapsed part of the contract's life, 0 to 1."""
        return self.column("f_time_norm")


def read(path: Path) -> Quarters:
    """All rows, by time. Raises DataError for another kind of file."""
    every = settled.names(path)
    features = tuple(name for name in every if name.startswith(PREFIX))
    rows = settled.table(path, ("ticker", "mid", "outcome", "f_time_norm", "f_spread", *features))
    close = closes(rows["ticker"])
    time = close - np.round((1 - rows["f_time_norm"]) * LIFE_S).astype(np.int64)
    series = settled.series(rows["ticker"])
    half = rows["f_spread"] / 2
    quotes = Settled(
        ticker=rows["ticker"], series=series, event=rows["ticker"],
        cluster=close.astype(np.str_), time=time, close=close,
        bid=settled.quotes(np.round(rows["mid"] - half, 6), "bid"),
        ask=settled.quotes(np.round(rows["mid"] + half, 6), "ask"), outcome=settled.outcomes(rows["outcome"]),
    )  # fmt: skip
    values = np.stack([_unpretended(name, rows, rows["mid"]) for name in features], axis=1)
    order = np.lexsort((rows["ticker"], time))
    return Quarters(quotes, features, values).pick(order)


def _unpretended(name: str, rows: dict[str, Array], mid: Array) -> Array:
    """A feature with the file's stand-in for an unknown spot taken out."""
    if name not in ("f_spot_ratio", "f_spot_edge") or "f_spot_ratio" not in rows or "f_spot_edge" not in rows:
        return rows[name]
    pretended = (rows["f_spot_ratio"] == 1) & (np.abs(rows["f_spot_edge"] - (0.5 - mid)) < 1e-6)
    return np.where(pretended, math.nan, rows[name])


def kept(train: Quarters) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns that are used, and those dropped because more than half of the training rows lack them."""
    missing = np.isnan(train.values).mean(axis=0)
    dropped = tuple(name for name, part in zip(train.names, missing.tolist(), strict=True) if part > MOST_MISSING)
    return tuple(name for name in train.names if name not in (*dropped, *SAME)), dropped


def columns(quarters: Quarters, names: Sequence[str]) -> Array:
    """(n, k) the named features."""
    return np.stack([quarters.column(name) for name in names], axis=1)


def closes(tickers: Words) -> IntArray:
    """(n,) UTC s of the close that tickers name, `KXXRP15M-26AUG150630-30` = 06:30 in New York. Raises DataError."""
    different, of = np.unique(tickers, return_inverse=True)
    try:
        moments = [datetime.strptime(str(one).split("-")[1], "%y%b%d%H%M") for one in different]  # noqa: DTZ007
    except (IndexError, ValueError):
        raise DataError("a ticker does not name its close as KXXRP15M-26AUG150630-30 does: another series?") from None
    return np.array([int(one.replace(tzinfo=NEW_YORK).timestamp()) for one in moments], dtype=np.int64)[of]
