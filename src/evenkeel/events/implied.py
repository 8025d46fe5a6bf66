"""What drift does a ladder imply? Two-sided quotes of one event -> the lognormal that fits them best, beside our own.

Weighted least squares of the mids on P(low <= X < high), ln X ~ N(ln spot + mu - v / 2, v), v = sigma_m^2 (T - 40 s),
weights 1 / max(spread, 0.01), by Levenberg and Marquardt from the best point of a coarse grid. The drift is told in
sigmas of our own volatility, d = mu / (sigma sqrt(T - 40 s)), so that events of any length compare.

The law: where an event cannot be read, the numbers are NaN and the reason is said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from evenkeel.events.board import Flaw, Ladders, members_of
from evenkeel.events.fair import Spot, inside, sd
from evenkeel.types import Array, IntArray
from evenkeel.units import YEAR_S

WIDEST: Final = 0.10
"""USD: a quote that is wider says nothing."""

LEAST_QUOTES: Final = 3
LEAST_LEFT_S: Final = 90.0
OLDEST_SPOT_S: Final = 60.0
WIDEST_BASIS: Final = 20e-4

Residuals = Callable[[Array], Array]

_TICK: Final = 0.01
_STEPS: Final = 60
_STEP: Final = 1e-4
_DONE: Final = 1e-10
_DRIFTS, _WIDTHS = np.meshgrid(np.linspace(-4, 4, 33), np.log([0.25, 0.5, 0.8, 1.25, 2.0, 4.0]))


@dataclass(frozen=True, slots=True)
class Implied:
    """What one event implies of its underlying; every number NaN where `reason` is not empty.

    left     s to the close · quotes  two-sided ones that were used
    mu       drift of the log price until the close · drift  the same in sigmas of our own volatility
    error    standard error of drift, from the residuals · vol  implied volatility, annualised
    misfit   root of the weighted mean square of the residuals, USD
    own      our own sd of the log price until the close · used  rows of the board that were fitted
    """

    event: str
    asset: str
    left: float
    quotes: int
    mu: float = math.nan
    drift: float = math.nan
    error: float = math.nan
    vol: float = math.nan
    misfit: float = math.nan
    own: float = math.nan
    used: tuple[int, ...] = ()
    reason: str = ""


def implied(board: Ladders, spots: Mapping[str, Spot]) -> tuple[Implied, ...]:
    """Every event of the board that has strikes, in its order."""
    usable = (board.flaw == Flaw.NONE) & (board.spread <= WIDEST) & np.isfinite(board.low)
    found = []
    for members in members_of(board.event):
        if np.isfinite(board.low[members]).any():
            first = int(members[0])
            name, asset = board.contracts[first].event, board.contracts[first].asset
            kept = members[usable[members]]
            said = Implied(name, asset, float(board.left[first]), len(kept))
            found.append(_read(board, kept, said, spots.get(asset)))
    return tuple(found)


def _read(board: Ladders, kept: IntArray, said: Implied, spot: Spot | None) -> Implied:
    reason = _refused(said, spot)
    if reason or spot is None:
        return Implied(said.event, said.asset, said.left, said.quotes, reason=reason)
    own = float(sd(spot.volatility.sigma, np.array([said.left]))[0])
    weight = 1 / np.maximum(board.spread[kept], _TICK)
    fit = _fit(board.low[kept], board.high[kept], board.mid[kept], weight, spot.price, own)
    if fit is None:
        return Implied(said.event, said.asset, said.left, said.quotes, reason="NO_FIT")
    (drift, width), error, misfit = fit
    vol = spot.volatility.sigma * math.exp(width) * math.sqrt(YEAR_S)
    used = tuple(kept.tolist())
    return Implied(said.event, said.asset, said.left, said.quotes, drift * own, drift, error, vol, misfit, own, used)


def _refused(said: Implied, spot: Spot | None) -> str:
    """Why an event is not read, or nothing."""
    if spot is None or not spot.age_s <= OLDEST_SPOT_S or not spot.price > 0:
        return "SPOT_STALE"
    if not spot.volatility.sigma > 0:
        return "NO_VOLATILITY"
    if abs(spot.basis) > WIDEST_BASIS:
        return "BASIS_WIDE"
    if not said.left > LEAST_LEFT_S:
        return "TOO_CLOSE"
    return "" if said.quotes >= LEAST_QUOTES else "FEW_QUOTES"


def _fit(
    low: Array, high: Array, mid: Array, weight: Array, spot: float, own: float
) -> tuple[tuple[float, float], float, float] | None:
    """(drift in sigmas, log of implied over own sd), error of the drift, misfit; None where quotes do not tell."""
    root = np.sqrt(weight / weight.mean())

    def residuals(at: Array) -> Array:
        """(..., n) for points (..., 2)."""
        centre, width = spot * np.exp(at[..., :1] * own), own * np.exp(at[..., 1:])
        return np.asarray(root * (inside(low, high, centre, width) - mid))

    starts = np.stack([_DRIFTS.ravel(), _WIDTHS.ravel()], axis=-1)
    at = starts[np.argmin((residuals(starts) ** 2).sum(axis=-1))]
    at, value = _descended(residuals, at)
    slope = _slope(residuals, at)
    normal = slope.T @ slope
    if np.linalg.cond(normal) > 1e10 or not np.isfinite(at).all() or np.abs(at).max() > 8:
        return None
    square = float(value @ value)
    noise = square / max(len(mid) - 2, 1)
    error = math.sqrt(noise * float(np.linalg.inv(normal)[0, 0]))
    return (float(at[0]), float(at[1])), error, math.sqrt(square / len(mid))


def _descended(residuals: Residuals, at: Array) -> tuple[Array, Array]:
    """Levenberg-Marquardt from `at` until a step gains nothing: the point and its residuals."""
    value, damping = residuals(at), 1e-3
    for _ in range(_STEPS):
        slope = _slope(residuals, at)
        normal = slope.T @ slope
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-12), -slope.T @ value)
        trial = residuals(at + step)
        gain = float(value @ value - trial @ trial)
        if gain > 0:
            at, value, damping = at + step, trial, damping / 5
        else:
            damping *= 8
        if damping > 1e9 or (0 < gain < _DONE and np.abs(step).max() < _STEP):
            break
    return at, value


def _slope(residuals: Residuals, at: Array) -> Array:
    """(n, 2) derivative of the residuals, by central differences."""
    moves = np.array([[_STEP, 0.0], [0.0, _STEP]])
    return np.asarray((residuals(at + moves) - residuals(at - moves)).T / (2 * _STEP))
