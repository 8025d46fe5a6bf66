"""NBA games: hourly candles and results in, one quote for each game at an hour that was fixed in advance out.

The hour is noon in New York on the game's date, `days_before` days earlier where asked for; never anything that is
derived from `close_time`, which for these markets is known only once the game is over. The quote is that of the candle
which ended at that hour: the file stamps candles with their beginning, and were it their end, the quote would only be
an hour older. No such candle, or one without both sides: no quote.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from evenkeel.errors import DataError
from evenkeel.research.kalshi import settled
from evenkeel.research.kalshi.settled import Settled, Words
from evenkeel.types import IntArray
from evenkeel.units import DAY_S, HOUR_S

NEW_YORK: Final = ZoneInfo("America/New_York")
NOON_H: Final = 12
CANDLES: Final = ("timestamp", "ticker", "yes_bid", "yes_ask")
MARKETS: Final = ("ticker", "series", "game_date", "result", "result_source")
OFFICIAL: Final = "official_score"

LEAST_LEFT_S, MOST_LEFT_S = 3 * HOUR_S, 15 * HOUR_S
"""Time to the expected end, s, of a game that has not begun, at noon of its date: it takes 2.5 h."""


def read(candles: Path, markets: Path, days_before: int = 0) -> Settled:
    """One row for each game with an official result, by entry time; `close` is the end of the game's date, ET.

    Raises DataError for other files, or a market that is named twice.
    """
    rows, listed = settled.table(candles, CANDLES), settled.table(markets, MARKETS)
    if len(np.unique(listed["ticker"])) != len(listed["ticker"]):
        raise DataError(f"{markets} names a market twice: give each once")
    official = listed["result_source"] == OFFICIAL
    listed = {name: column[official] for name, column in listed.items()}
    entry = _noon(listed["game_date"] - days_before * DAY_S)
    at = _rows_of(rows["ticker"], rows["timestamp"], listed["ticker"], entry - HOUR_S)
    bid, ask = (
        np.where(at >= 0, settled.quotes(rows[side], side)[at], math.nan) for side in ("yes_bid", "yes_ask")
    )  # fmt: skip
    game = np.array([str(ticker).rpartition("-")[0] for ticker in listed["ticker"]], dtype=np.str_)
    made = Settled(
        ticker=listed["ticker"], series=listed["series"], event=game, cluster=game, time=entry,
        close=_noon(listed["game_date"]) + (24 - NOON_H) * HOUR_S, bid=bid, ask=ask,
        outcome=settled.outcomes(listed["result"]),
    )  # fmt: skip
    return made.pick(np.lexsort((made.ticker, made.time)))


def _noon(midnight: IntArray) -> IntArray:
    """UTC s of noon in New York on dates (UTC s of their midnight)."""
    days, of = np.unique(midnight, return_inverse=True)
    noons = []
    for day in days.tolist():
        date = datetime.fromtimestamp(day, UTC) + timedelta(hours=NOON_H)
        noons.append(int(date.replace(tzinfo=NEW_YORK).timestamp()))
    return np.array(noons, dtype=np.int64)[of]


def _rows_of(tickers: Words, times: IntArray, wanted: Words, at: IntArray) -> IntArray:
    """Row of each wanted (ticker, time), -1 where there is none."""
    place = {key: i for i, key in enumerate(zip(tickers.tolist(), times.tolist(), strict=True))}
    return np.array([place.get(key, -1) for key in zip(wanted.tolist(), at.tolist(), strict=True)], dtype=np.int64)
