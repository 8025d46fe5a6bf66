"""How often does a price come true? Settled markets -> curves of the market's own price, and the model on them.

A longshot bias is a curve below the diagonal at low prices and above it at high ones. The curve runs over the price of
YES from 0 to 1, so its two ends are the longshots of the two sides, and NO is read as 1 - YES: nothing is pooled across
sides. One curve for each bucket of time to close. Isotonic regression by pooling adjacent violators (Ayer et al. 1955).

Fitting on settled markets before a date, and judging after it, is research; here are the function and the form.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evenkeel.events.board import Ladders, series_of
from evenkeel.events.fair import Fair, Spot
from evenkeel.types import Array, BoolArray

Z80 = 1.2815515655446004
"""80 % of a normal distribution lie within so many sd of its mean."""


@dataclass(frozen=True, slots=True)
class Curve:
    """An isotonic curve in B steps.

    price  (B,) mean price of the markets in a step, USD of YES, ascending · p  (B,) how often YES came
    count  (B,) independent events in it · error  (B,) standard error of p, never 0
    """

    price: Array
    p: Array
    count: Array
    error: Array

    @property
    def interval(self) -> tuple[Array, Array]:
        """(B,) ends of the 80 % interval of p, within [0, 1]."""
        return np.clip(self.p - Z80 * self.error, 0, 1), np.clip(self.p + Z80 * self.error, 0, 1)

    def at(self, price: Array) -> tuple[Array, Array]:
        """(M,) p and its error at prices, linear between the steps; NaN outside of what was seen."""
        ends = (math.nan, math.nan)
        p = np.interp(price, self.price, self.p, *ends)
        return p, np.interp(price, self.price, self.error, *ends)


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The market's mid, corrected by what became of such prices.

    series  those that it was fitted on: any other is refused (NaN)
    edges   K + 1 times to close, s, ascending · curves  K; None where too little settled
    """

    name: str
    series: frozenset[str]
    edges: tuple[float, ...]
    curves: tuple[Curve | None, ...]

    def __call__(self, board: Ladders, spots: Mapping[str, Spot]) -> Fair:  # noqa: ARG002 - one signature for all models
        """NaN without a two-sided quote, outside of series, times and prices that were seen."""
        p, error = np.full((2, len(board.contracts)), np.nan)
        known = np.array([series_of(c.ticker) in self.series for c in board.contracts], dtype=bool)
        bucket = np.searchsorted(self.edges, board.left, side="right") - 1
        for k, curve in enumerate(self.curves):
            here: BoolArray = known & (bucket == k)
            if curve is not None and here.any():
                p[here], error[here] = curve.at(board.mid[here])
        return Fair(p, error)


def fitted(price: Array, outcome: Array, weight: Array) -> Curve:
    """The isotonic curve of outcomes over prices.

    price    (n,) USD of YES · outcome  (n,) 1 = YES came, 0 = NO
    weight   (n,) > 0, summing to 1 within an event: contracts of one event are one observation

    The error of a step is that of (y + 1/2) of (count + 1), which a step without a single YES does not make 0.
    """
    order = np.argsort(price, kind="stable")
    price, outcome, weight = price[order], outcome[order].astype(np.float64), weight[order]
    # one price is one point: quotes that are equal cannot be told apart when the curve is read
    first = np.flatnonzero(np.diff(price, prepend=-1.0))
    count = np.add.reduceat(weight, first)
    level = np.add.reduceat(weight * outcome, first) / count
    steps = isotonic(level, count)
    block = np.flatnonzero(np.diff(steps, prepend=-1.0))
    whole = np.add.reduceat(count, block)
    guess = (steps[block] * whole + 0.5) / (whole + 1)
    mean_price = np.add.reduceat(count * price[first], block) / whole
    return Curve(mean_price, steps[block], whole, np.sqrt(guess * (1 - guess) / (whole + 1)))


def isotonic(y: Array, weight: Array) -> Array:
    """The non-decreasing sequence nearest to y in weighted squares, (n,): adjacent violators are pooled.

    y (n,) · weight (n,) > 0
    """
    pools: list[tuple[float, float, int]] = []
    for value, mass in zip(y.tolist(), weight.tolist(), strict=True):
        pool = (value, mass, 1)
        while pools and pools[-1][0] >= pool[0]:
            level, heavy, size = pools.pop()
            both = heavy + pool[1]
            pool = ((level * heavy + pool[0] * pool[1]) / both, both, size + pool[2])
        pools.append(pool)
    return np.repeat([level for level, _, _ in pools], [size for _, _, size in pools])
