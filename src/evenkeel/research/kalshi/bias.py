"""Is there a longshot bias? Settled markets -> the slope of outcomes on the log odds of their price.

P(YES) = sigmoid(a + b ln(q / (1 - q))): b = 1 and a = 0 is a market that is right; b > 1 is the longshot bias, where
cheap contracts come less often than they cost and dear ones more often; b < 1 is its opposite. Maximum likelihood by
Newton's method, intervals by resampling whole clusters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from evenkeel.events.ensemble import sigmoid
from evenkeel.research.kalshi.scores import Estimate, resamples, weights
from evenkeel.research.kalshi.settled import Words
from evenkeel.research.significance import LEVEL
from evenkeel.types import Array

_STEPS: Final = 30
_TIMES: Final = 1_000
LEAST: Final = 30
"""Clusters that make a slope; fewer are none."""


@dataclass(frozen=True, slots=True)
class Bias:
    """Slope and intercept with their 90 % intervals."""

    slope: Estimate
    intercept: Estimate

    @property
    def words(self) -> str:
        """Whether there is a longshot bias."""
        low, high = self.slope.low, self.slope.high
        told = f"the slope on log odds is {self.slope.value:.2f} [{low:.2f}, {high:.2f}], a market that is right has 1"
        if not self.slope.clusters >= LEAST:
            return f"not judged: {self.slope.clusters} events settled, {LEAST} are needed"
        if low > 1:
            return f"a longshot bias is shown: {told}"
        if high < 1:
            return f"no longshot bias, but its opposite: {told} (favourites come less often than they cost)"
        return f"no longshot bias is shown: {told}"

    def to_json(self) -> dict[str, Any]:
        """Its fields and words."""
        return {"slope": self.slope.to_json(), "intercept": self.intercept.to_json(), "words": self.words}


def bias(mid: Array, outcome: Array, cluster: Words, seed: int) -> Bias:
    """The fit, every cluster weighing the same.

    mid (n,) USD of YES in (0, 1) · outcome (n,) 1 or 0 · cluster (n,) names
    """
    _, of = np.unique(cluster, return_inverse=True)
    x = np.stack([np.ones(len(mid)), np.log(mid / (1 - mid))], axis=1)
    each, count = weights(of), int(of.max(initial=-1)) + 1
    if count < LEAST:
        none = Estimate(np.nan, np.nan, np.nan, count)
        return Bias(none, none)
    best = slopes(x, outcome, each[None])[0]
    drawn = np.concatenate([slopes(x, outcome, part[:, of] * each) for part in resamples(count, seed, _TIMES)])
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    a, b = (Estimate(float(best[i]), float(low[i]), float(high[i]), count) for i in (0, 1))
    return Bias(b, a)


def slopes(x: Array, outcome: Array, weight: Array) -> Array:
    """(R, k) coefficients of R weighted logistic regressions; x (n, k), weight (R, n)."""
    beta = np.zeros((len(weight), x.shape[1]))
    for _ in range(_STEPS):
        p = sigmoid(beta @ x.T)
        gradient = (weight * (outcome - p)) @ x
        curvature = np.einsum("rn,ni,nj->rij", weight * p * (1 - p), x, x) + 1e-9 * np.eye(x.shape[1])
        step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
        beta = beta + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-10:
            break
    return beta
