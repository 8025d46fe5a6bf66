"""How much to put on a contract? Probability, price, fee and measured skill -> contracts.

The model's probability is drawn toward the market's by the skill that it showed on settled markets, then its 80 %
lower bound is staked by a fraction of Kelly's rule (1956), net of the exact fee at the actual size. Outcomes that
exclude each other are one bet: exact Kelly over the partition (Smoczynski & Tomkins 2010).

The laws: without measured skill there is no stake; no stake is ever rounded up; a stake never exceeds its caps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from evenkeel.events.fair import Fair
from evenkeel.events.fees import fees
from evenkeel.types import Array, IntArray

LEAST_EVENTS: Final = 300
"""Settled events below which skill is not measured, and so 0."""

BOUND: Final = 0.8416212335729143
"""So many standard errors below the estimate lies its 80 % lower bound."""

_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Skill:
    """How far outcomes followed the model rather than the market.

    events  settled events that it was measured on, out of time · k  1 = wholly, 0 = not at all · error  of k
    """

    events: int
    k: float
    error: float

    @property
    def proven(self) -> bool:
        """Whether there were enough events to speak of skill."""
        return self.events >= LEAST_EVENTS and math.isfinite(self.k) and math.isfinite(self.error)

    def of(self, series: str) -> Skill:  # noqa: ARG002 - see `evidence.Trust`
        """Itself: it was measured on all series together."""
        return self


UNPROVEN = Skill(0, 0.0, math.nan)


def skill(model: Array, market: Array, outcome: Array, event: IntArray) -> Skill:
    """Fits outcome - market = k (model - market) by least squares, the error of k clustered by event.

    model, market  (n,) probabilities of YES said before the close, NaN = left out · outcome (n,) 1 or 0
    event          (n,) which event: contracts of one event are no independent evidence
    """
    used = np.isfinite(model) & np.isfinite(market) & np.isfinite(outcome)
    gap, surprise = (model - market)[used], (outcome - market)[used]
    _, of = np.unique(event[used], return_inverse=True)
    events, square = int(of.max(initial=-1)) + 1, float(gap @ gap)
    if events < 2 or square == 0.0:
        return Skill(events, 0.0, math.nan)
    k = float(gap @ surprise) / square
    scores = np.bincount(of, weights=gap * (surprise - k * gap))
    return Skill(events, k, math.sqrt(float(scores @ scores) * events / (events - 1)) / square)


def shrunk(market: Array, fair: Fair, by: Skill) -> Fair:
    """The mix market + k (model - market), with the error of both k and the model; the market without proven skill.

    market  (M,) mid of YES, NaN = one-sided · -> NaN where either is unknown
    """
    gap = fair.p - market
    if not by.proven:
        return Fair(market + 0 * gap, 0 * gap)
    k = min(max(by.k, 0.0), 1.0)
    return Fair(market + k * gap, np.hypot(gap * by.error, k * fair.error))


def sides(p: Fair) -> Array:
    """(2, M) 80 % lower bounds of YES and of NO; they sum to less than 1 by what is not known."""
    return np.clip(np.stack([p.p, 1 - p.p]) - BOUND * p.error, 0.0, 1.0)


def kelly(p: Array, cost: Array) -> Array:
    """Share of the bankroll that grows fastest on contracts that pay 1 USD: (p - c) / (1 - c), 0 where p <= c.

    p, cost  broadcast; cost USD for one contract, fee included; NaN = unknown, which is never bet on
    """
    open_ = (cost > 0) & (cost < 1) & (p > cost)
    return np.where(open_, (p - cost) / np.where(open_, 1 - cost, 1.0), 0.0)


def growth(p: Array, cost: Array, share: Array) -> Array:
    """Expected log growth of the bankroll with `share` of it in contracts at `cost`; 0 for nothing."""
    bet = (share > 0) & (share < 1)
    f, c = np.where(bet, share, 0.0), np.where(bet, cost, 0.5)
    return np.where(bet, p * np.log1p(f * (1 - c) / c) + (1 - p) * np.log1p(-f), 0.0)


def partition(p: Array, cost: Array) -> Array:
    """Exact Kelly over outcomes that exclude each other, (n,) shares of the bankroll, summing to less than 1.

    p (n,) summing to at most 1 · cost (n,) > 0 USD, fee included

    Outcomes enter by p / c while that exceeds the reserve R = (1 - sum p) / (1 - sum c) of those inside; each gets
    p - R c. What is left of 1 - sum p is the case in which everything is lost.
    """
    order = np.argsort(-p / cost, kind="stable")
    reserve, inside, paid, likely = 1.0, 0, 0.0, 0.0
    for i in order.tolist():
        if p[i] <= reserve * cost[i] or paid + cost[i] >= 1:
            break
        inside, paid, likely = inside + 1, paid + float(cost[i]), likely + float(p[i])
        reserve = max(1 - likely, 0.0) / (1 - paid)
    shares = np.zeros(len(p))
    chosen = order[:inside]
    shares[chosen] = p[chosen] - reserve * cost[chosen]
    return shares


def basket_growth(p: Array, cost: Array, shares: Array) -> float:
    """Expected log growth of shares on outcomes that exclude each other; p, cost, shares (n,)."""
    kept, rest = 1 - float(shares.sum()), max(1 - float(p.sum()), 0.0)
    return float(p @ np.log(kept + shares / cost)) + rest * math.log(kept)


def cost_of(count: Array, price: Array, rate: Array) -> Array:
    """USD for one of `count` contracts with its share of the rounded fee; the fee before rounding for none."""
    some = count > 0
    each = fees(count, price, rate) / np.where(some, count, 1.0)
    return price + np.where(some, each, rate * price * (1 - price))


def counts(
    p: Array, price: Array, rate: Array, most: Array, step: Array, *, budget: Callable[[Array, Array], Array]
) -> tuple[Array, Array]:
    """Contracts that take no more than their budget at their own cost, and the cost of one; all of one shape.

    p, price, rate  staked probability · USD that the outcome is asked at · of the fee
    most, step      contracts that can be had, finite · 1, or 0.01 where fractions are traded
    budget          USD for each, of (p, cost): a fraction of Kelly under caps; less where the cost is higher
    ->              multiples of step, never above `most`; 0 where a single step is too much: nothing is rounded up

    Rounding makes few contracts dearer than many: sizes only go down, until the size and its own cost agree.
    """
    held, cost = _steps(most, step), cost_of(np.zeros(np.shape(p)), price, rate)
    while True:
        affordable = budget(p, cost) / np.where(cost > 0, cost, 1.0)
        fewer = np.minimum(held, _steps(affordable, step))
        cost = cost_of(fewer, price, rate)
        if np.array_equal(fewer, held):
            return fewer, cost
        held = fewer


def _steps(count: Array, step: Array) -> Array:
    """Rounded down to whole steps; what is unknown is none."""
    whole = np.floor(np.where(np.isfinite(count), np.maximum(count, 0.0), 0.0) / step + _ROUNDING)
    return np.round(whole * step, 2)
