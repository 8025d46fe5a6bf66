"""What does the crowd on Kalshi expect of the coins? Boards -> a reading of each coin's ladder, drift in sigmas.

Of each coin the ladder that closes next is read, the one with most two-sided quotes. What it implies, less its own mean
of the past 7 days (a basis between our price and the index is no opinion), is told in sigmas of our own volatility:
d = (mu - mean) / (sigma sqrt(T - 40 s)). A ladder that cannot be read is NaN with a reason.

The law: a reading knows nothing that was captured after its board. Source: design section 10, Edge.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from evenkeel.events.board import Ladders, ladders
from evenkeel.events.fair import Spot
from evenkeel.events.implied import LEAST_LEFT_S, LEAST_QUOTES, Implied, implied
from evenkeel.events.volatility import realised
from evenkeel.market import synthetic_boards
from evenkeel.market.synthetic import SyntheticSettings
from evenkeel.types import Board, Contract, Panel, Reading
from evenkeel.units import DAY_S

COINS: Final = ("BTC", "ETH", "SOL", "XRP", "DOGE")
MEAN_S: Final = 7 * DAY_S
LEAST_PAST: Final = 24
"""Readings that make a mean; a venue that is watched for less is too new."""
_VOL_S: Final = 14 * DAY_S

Past = Mapping[str, tuple[tuple[int, float], ...]]
"""Coin -> (UTC s, mu) of its readings, ascending."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """What was read in a run. readings  close of the newest bar then (UTC s) -> coins in the order of `COINS`.

    source  whose contracts: skill that was measured elsewhere does not count · silent  why there is no reading of a row
    """

    source: str = ""
    readings: Mapping[int, tuple[Reading, ...]] = field(default_factory=dict)
    silent: str = "no Kalshi feed is connected"


NOBODY = Crowd()


def read(board: Board, spots: Mapping[str, Spot], past: Past) -> tuple[Reading, ...]:
    """A reading of every coin. past  readings before the board; spots  at its time."""
    close = _next_close(board)
    rows = ladders(Board(board.time, tuple(c for c in board.contracts if c.expiry == close and _open(c))))
    found: dict[str, Implied] = {}
    for one in implied(rows, spots):
        best = found.get(one.asset)
        if best is None or (not one.reason, one.quotes) > (not best.reason, best.quotes):
            found[one.asset] = one
    return tuple(_reading(coin, board.time, close, found.get(coin), rows, past) for coin in COINS)


def _next_close(board: Board) -> int:
    """UTC s at which the next ladder closes that may still be read; 0 where there is none."""
    strikes: dict[tuple[int, str], int] = {}
    for c in board.contracts:
        if _open(c) and c.expiry - board.time > LEAST_LEFT_S and (c.floor is not None or c.cap is not None):
            strikes[c.expiry, c.event] = strikes.get((c.expiry, c.event), 0) + 1
    return min((close for (close, _), count in strikes.items() if count >= LEAST_QUOTES), default=0)


def _open(contract: Contract) -> bool:
    """Whether it is on a coin and trades: what is paused or in doubt says nothing."""
    return contract.asset in COINS and contract.status == "active"


def _reading(coin: str, time: int, close: int, told: Implied | None, rows: Ladders, past: Past) -> Reading:
    if told is None:
        return Reading(coin, time, reason="NO_LADDER")
    before = [mu for at, mu in past.get(coin, ()) if time - MEAN_S <= at < time]
    mean = math.fsum(before) / len(before) if before else math.nan
    said = Reading(
        coin, time, told.event, close, told.mu, mean, len(before), told.own, math.nan, told.error, told.vol, told.reason
    )
    if told.reason:
        return said
    shown = tuple((rows.contracts[i].ticker, float(rows.bid[i]), float(rows.ask[i])) for i in told.used)
    if len(before) < LEAST_PAST:
        return replace(said, reason="TOO_NEW", contracts=shown)
    return replace(said, drift=(told.mu - mean) / told.own, contracts=shown)


def later(past: Past, readings: Iterable[Reading]) -> Past:
    """The past with these readings, all of one board, in it; what no mean needs any more is forgotten."""
    out = dict(past)
    for one in readings:
        if math.isfinite(one.mu):
            kept = [row for row in out.get(one.asset, ()) if one.time - MEAN_S <= row[0]]
            out[one.asset] = (*kept, (one.time, one.mu))
    return out


def spots(panel: Panel, time: int, quoted: Mapping[str, tuple[float, int]]) -> dict[str, Spot]:
    """What is known of the coins at a board's `time`: quoted price (USD, UTC s), realised volatility of closed bars.

    The basis to the settlement index is not known: nobody shows that index without a key.
    """
    last = int(np.searchsorted(panel.time, time, side="right"))
    since = int(np.searchsorted(panel.time, time - _VOL_S))
    longest = max(2 * panel.bar_s, 7200)
    found: dict[str, Spot] = {}
    for coin in COINS:
        if coin in quoted and coin in panel.assets:
            close = panel.close[since:last, panel.assets.index(coin)]
            sigma = realised(panel.time[since:last], close, time, longest_s=longest)
            price, at = quoted[coin]
            found[coin] = Spot(price, float(abs(time - at)), sigma)
    return found


def embedded(panel: Panel, settings: SyntheticSettings, first: int) -> Crowd:
    """The embedded market's crowd, heard at every bar from row `first` on, and for 7 days before."""
    past: Past = {}
    readings: dict[int, tuple[Reading, ...]] = {}
    for row in range(max(0, first - MEAN_S // panel.bar_s), len(panel.time)):
        board = synthetic_boards.board(panel, row, settings, hours=1)
        close = {coin: float(panel.close[row, panel.assets.index(coin)]) for coin in COINS if coin in panel.assets}
        heard = read(board, spots(panel, board.time, {coin: (p, board.time) for coin, p in close.items()}), past)
        past = later(past, heard)
        if row >= first:
            readings[board.time] = heard
    return Crowd(f"the embedded market, which knows {settings.crowd_knows:g} of the next hour", readings)


def words(readings: Sequence[Reading]) -> str:
    """Why coins have no reading: `FEW_QUOTES (XRP, DOGE)`; `` where all have."""
    why: dict[str, list[str]] = {}
    for one in readings:
        if one.reason:
            why.setdefault(one.reason, []).append(one.asset)
    return ", ".join(f"{reason} ({', '.join(coins)})" for reason, coins in why.items())
