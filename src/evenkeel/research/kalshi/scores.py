"""How good are probabilities, and how much of the figure is luck? Forecasts and outcomes -> scores with intervals.

Contracts of one event, and events that close together, are no independent evidence: intervals come from resampling
whole clusters (block bootstrap; Cameron, Gelbach & Miller 2008), and each cluster weighs the same. Brier 1950; log loss
with probabilities held inside [0.001, 0.999], so that one sure mistake does not decide alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from evenkeel.research.kalshi.settled import Words
from evenkeel.research.significance import LEVEL
from evenkeel.types import Array, BoolArray, IntArray

RESAMPLES: Final = 2_000
CLIP: Final = 1e-3
EDGES: Final = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
"""Buckets of price or probability, USD."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 90 % interval over `clusters` independent observations; NaN = not known."""

    value: float
    low: float
    high: float
    clusters: int

    @property
    def sure(self) -> int:
        """+1 or -1 where the interval lies on one side of 0, else 0."""
        return int(self.low > 0) - int(self.high < 0)

    def to_json(self) -> dict[str, Any]:
        """Its fields; unknown figures are null."""
        return {name: _known(value) for name, value in asdict(self).items()}

    @property
    def signed(self) -> str:
        """`+0.0123 [-0.0100, +0.0350]`."""
        return f"{self.value:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


@dataclass(frozen=True, slots=True)
class Bucket:
    """Forecasts between `low` and `high`: how many, what was said on average, how often YES came."""

    low: float
    high: float
    rows: int
    said: float
    came: Estimate

    def to_json(self) -> dict[str, Any]:
        """Its fields."""
        return {"from": self.low, "to": self.high, "rows": self.rows, "said": self.said, "came": self.came.to_json()}


@dataclass(frozen=True, slots=True)
class Scores:
    """A model against the market on the same rows; differences are model less market: below 0 the model is better."""

    rows: int
    brier: Estimate
    brier_market: Estimate
    brier_difference: Estimate
    log_loss: Estimate
    log_loss_market: Estimate
    log_loss_difference: Estimate

    def to_json(self) -> dict[str, Any]:
        """Its fields."""
        figures = {name: getattr(self, name).to_json() for name in self.__dataclass_fields__ if name != "rows"}
        return {"rows": self.rows, **figures}


def brier(p: Array, outcome: Array) -> Array:
    """(n,) squared error of each forecast."""
    return (p - outcome) ** 2


def log_loss(p: Array, outcome: Array) -> Array:
    """(n,) -ln of the probability that was given to what came."""
    inside = np.clip(p, CLIP, 1 - CLIP)
    return -np.where(outcome > 0.5, np.log(inside), np.log1p(-inside))


def weights(cluster: Words | IntArray) -> Array:
    """(n,) summing to 1 within each cluster."""
    _, of, count = np.unique(cluster, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / count[of])


def compared(model: Array, market: Array, outcome: Array, cluster: Words, seed: int) -> Scores:
    """Both scores of both, and their differences, on the rows where both are known."""
    both = np.isfinite(model) & np.isfinite(market) & np.isfinite(outcome)
    p, q, y, of = model[both], market[both], outcome[both], cluster[both]
    losses = np.stack([brier(p, y), brier(q, y), brier(p, y) - brier(q, y),
                       log_loss(p, y), log_loss(q, y), log_loss(p, y) - log_loss(q, y)])  # fmt: skip
    return Scores(int(both.sum()), *means(losses, of, seed))


def means(values: Array, cluster: Words, seed: int) -> list[Estimate]:
    """Mean of each row of values (k, n), every cluster weighing the same, with intervals from whole clusters."""
    _, of = np.unique(cluster, return_inverse=True)
    size = np.bincount(of).astype(np.float64)
    count = len(size)
    each = np.stack([np.bincount(of, weights=row, minlength=count) / size for row in values])
    if count < 2:
        return [Estimate(float(row.sum()) if count else math.nan, math.nan, math.nan, count) for row in each]
    drawn = np.concatenate([each @ part.T / count for part in resamples(count, seed)], axis=1)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
    return [Estimate(*row, count) for row in zip(each.mean(axis=1).tolist(), low.tolist(), high.tolist(), strict=True)]


def resamples(clusters: int, seed: int, times: int = RESAMPLES) -> Iterator[Array]:
    """How often each cluster is drawn, (250, clusters) at once, until `times` resamples were given."""
    rng = np.random.default_rng(seed)
    even = np.full(clusters, 1.0 / clusters)
    for first in range(0, times, 250):
        yield rng.multinomial(clusters, even, size=min(250, times - first)).astype(np.float64)


def reliability(p: Array, outcome: Array, cluster: Words, seed: int) -> list[Bucket]:
    """How often what was said with p came true, by bucket of p; empty buckets are left out."""
    known = np.isfinite(p) & np.isfinite(outcome)
    place = np.searchsorted(EDGES, p, side="right") - 1
    found = []
    for k, (low, high) in enumerate(pairwise(EDGES)):
        here: BoolArray = known & ((place == k) | ((k == len(EDGES) - 2) & (p == 1)))
        if here.any():
            said, came = means(np.stack([p[here], outcome[here]]), cluster[here], seed)
            found.append(Bucket(low, high, int(here.sum()), said.value, _never_sure(came)))
    return found


def _never_sure(came: Estimate) -> Estimate:
    """Where all came alike, resampling sees no doubt: the bound is that of n like outcomes in a row (binomial)."""
    if came.clusters < 2 or 0 < came.value < 1:
        return came
    bound = ((1 - LEVEL) / 2) ** (1 / came.clusters)
    low, high = (bound, 1.0) if came.value == 1 else (0.0, 1 - bound)
    return Estimate(came.value, low, high, came.clusters)


def total(values: Array, cluster: Words, seed: int) -> Estimate:
    """Sum of values (n,) with an interval from whole clusters: a back-test's profit."""
    _, of = np.unique(cluster, return_inverse=True)
    each = np.bincount(of, weights=values)
    if len(each) < 2:
        return Estimate(float(values.sum()), math.nan, math.nan, len(each))
    drawn = np.concatenate([part @ each for part in resamples(len(each), seed)])
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(values.sum()), float(low), float(high), len(each))


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
