"""What is a contract worth? Three models behind one signature: ladders -> a probability of YES and its standard error.

`Lognormal` prices strikes; `calibration.Calibrated` corrects the market's own price; a fitted ensemble is the third.

The settled value is the mean of an index over the last 60 s, not the index at the close. Under a driftless lognormal
of volatility sigma its log-variance is sigma^2 (T - 40 s) while T >= 60 s remain: 60 s of an average count as 20 s of a
point (the arithmetic Asian option: Kemna & Vorst 1990). Within the last minute a part A = 60 - T is printed, mean m:
YES needs the rest to average more than (60 K - A m) / T, whose log-variance is sigma^2 (T / 3 + 1 / (6 T)): that of
a mean of T prints, each in the middle of its second. At T = 60 both agree.

The law: a model says NaN where it does not know; it never says 0.5.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from evenkeel.events.board import Ladders
from evenkeel.events.volatility import UNKNOWN, Volatility
from evenkeel.types import Array

AVERAGE_S: Final = 60.0
"""The settlement is a mean over so many seconds before the close."""


@dataclass(frozen=True, slots=True)
class Spot:
    """What is known of one underlying at the board's time.

    price       USD, NaN = unknown · age_s  since it was true · volatility  per sqrt(s)
    basis       log distance of our price from the settlement index, NaN = nobody compared them
    averaged    mean of what is printed of the final minute, by close (UTC s), USD; needed only within that minute
    """

    price: float
    age_s: float
    volatility: Volatility = UNKNOWN
    basis: float = math.nan
    averaged: Mapping[int, float] | None = None


@dataclass(frozen=True, slots=True)
class Fair:
    """What a model says: p (M,) probability of YES, error (M,) its standard error; NaN = it does not know."""

    p: Array
    error: Array


class Model(Protocol):
    """Anything that gives contracts a probability. `name` travels into proposals and the journal."""

    @property
    def name(self) -> str:
        """`lognormal`, `calibration`, `ensemble`, with a version where it is fitted."""

    def __call__(self, board: Ladders, spots: Mapping[str, Spot]) -> Fair:
        """Probabilities of every contract of the board; `spots` by asset, absent where nothing is known."""


@dataclass(frozen=True, slots=True)
class Lognormal:
    """Strikes under a driftless lognormal, each asset's price and realised volatility; error from that volatility's.

    oldest_s  a price older than this is not one
    """

    oldest_s: float = 60.0
    name: str = "lognormal"

    def __call__(self, board: Ladders, spots: Mapping[str, Spot]) -> Fair:
        """NaN without strikes, without a young price and volatility, and after the close."""
        spot, sigma, error = self._known(board, spots)
        low, high = (remaining(edge, board.left, printed(board, spots)) for edge in (board.low, board.high))
        width = sd(sigma, board.left)
        return Fair(inside(low, high, spot, width), np.abs(vega(low, high, spot, width)) * error / sigma)

    def _known(self, board: Ladders, spots: Mapping[str, Spot]) -> tuple[Array, Array, Array]:
        """(M,) price, volatility and its error; NaN where nothing young is known."""
        rows = np.full((3, len(board.assets)), np.nan)
        for i, asset in enumerate(board.assets):
            spot = spots.get(asset)
            if spot is not None and spot.age_s <= self.oldest_s and spot.price > 0 and spot.volatility.sigma > 0:
                rows[:, i] = spot.price, spot.volatility.sigma, spot.volatility.error
        price, sigma, error = rows[:, board.asset]
        return price, sigma, error


def sd(sigma: Array | float, left: Array) -> Array:
    """Std of the log of what is still open of the settled mean, (M,); NaN at and after the close.

    sigma  per sqrt(s), (M,) or one · left (M,) s to the close
    """
    open_ = np.where(left > 0, left, np.nan)
    prints = np.minimum(open_ / 3 + 1 / (6 * open_), open_ / 2)  # below a second there is one print at most
    return sigma * np.sqrt(np.where(open_ >= AVERAGE_S, open_ - AVERAGE_S * 2 / 3, prints))


def remaining(strike: Array, left: Array, averaged: Array) -> Array:
    """(M,) what the seconds that are still open must average for the whole minute to average `strike`, USD.

    averaged  (M,) mean of what is printed of the final minute, USD; NaN = unknown, which only matters within it
    ->        below 0 where the strike is passed whatever comes; infinity stays
    """
    done = np.maximum(AVERAGE_S - left, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        open_part = (AVERAGE_S * strike - done * averaged) / left
    return np.where(done > 0, open_part, strike)


def printed(board: Ladders, spots: Mapping[str, Spot]) -> Array:
    """(M,) mean of what is printed of each contract's final minute, USD; NaN outside it or unknown."""
    out = np.full(len(board.contracts), np.nan)
    for i in np.flatnonzero((board.left < AVERAGE_S) & (board.left > 0)).tolist():
        row = board.contracts[i]
        spot = spots.get(row.asset)
        out[i] = (spot.averaged or {}).get(row.expiry, math.nan) if spot else math.nan
    return out


def inside(low: Array, high: Array, spot: Array, sd_: Array) -> Array:
    """(M,) P(low <= X < high), ln X ~ N(ln spot - sd^2 / 2, sd^2); low <= 0 is no lower end, high <= 0 never pays.

    The difference is taken in the tail where it is not cancelled, so that far ranges keep their digits.
    """
    lower, upper = score(low, spot, sd_), score(high, spot, sd_)
    flip = lower > 0
    return normal(np.where(flip, -lower, upper)) - normal(np.where(flip, -upper, lower))


def vega(low: Array, high: Array, spot: Array, sd_: Array) -> Array:
    """(M,) change of `inside` for a relative change of sd: density(z) (sd - z) at the upper end less the lower one."""

    def at(strike: Array) -> Array:
        z = score(strike, spot, sd_)
        near = np.where(np.isinf(z), 0.0, z)
        return np.where(np.isinf(z), 0.0, np.exp(-(near**2) / 2) / math.sqrt(2 * math.pi) * (sd_ - near))

    return at(high) - at(low)


def score(strike: Array, spot: Array, sd_: Array) -> Array:
    """(M,) how many sd the strike lies above the median of the settlement; -inf for strikes at or below 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.where(strike <= 0, -np.inf, np.log(np.where(strike <= 0, 1.0, strike) / spot))
        return np.asarray((log + sd_**2 / 2) / sd_)


def normal(z: Array) -> Array:
    """Standard normal distribution function, to 1e-15: the machine's erfc, once for each value."""
    flat = (np.asarray(z) * -math.sqrt(0.5)).ravel().tolist()
    return 0.5 * np.fromiter(map(math.erfc, flat), np.float64, len(flat)).reshape(np.shape(z))
