"""Which assets to hold and how much of each, before any risk rule.

Scores and volatility in, raw weights out: top-k by regime with hysteresis, weight ~ exp(score)/vol, water-filled under
tier caps; or weights that somebody wants, cut to the same caps. The one law: permuting assets permutes weights, and no
weight exceeds its cap (design section 10, Allocate).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import fsum
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from evenkeel.types import Array, BoolArray, IntArray
from evenkeel.units import Key

SCORE_UNIT = 0.05
"""Score (expected 24 h return in units of 24 h volatility) at which the tilt is one e-fold."""

Fraction = Annotated[float, Ge(0), Le(1)]


@dataclass(frozen=True, slots=True)
class TierCaps:
    """Largest share of equity in one position, by tier, and in all of tier 3 together."""

    tier1: Annotated[Fraction, Key("largest tier 1 position", "share of equity")] = 0.15
    tier2: Annotated[Fraction, Key("largest tier 2 position", "share of equity")] = 0.10
    tier3: Annotated[Fraction, Key("largest tier 3 position", "share of equity")] = 0.05
    tier3_sleeve: Annotated[Fraction, Key("all of tier 3 together", "share of equity")] = 0.12

    def of(self, tier: IntArray) -> Array:
        """Cap of each asset, (N,)."""
        return np.array([self.tier1, self.tier2, self.tier3])[tier - 1]


@dataclass(frozen=True, slots=True)
class CountByRegime:
    """How many positions to hold in each regime."""

    trend: Annotated[int, Ge(1), Le(500), Key("positions while the market trends up", "count")] = 20
    chop: Annotated[int, Ge(1), Le(500), Key("positions while it goes sideways", "count")] = 16
    down: Annotated[int, Ge(1), Le(500), Key("positions while it falls", "count")] = 10


@dataclass(frozen=True, slots=True)
class GrossByRegime:
    """Share of equity invested in each regime, before the cash buffer and the overlay."""

    trend: Annotated[Fraction, Key("gross exposure while the market trends up", "share of equity")] = 1.0
    chop: Annotated[Fraction, Key("gross exposure while it goes sideways", "share of equity")] = 0.85
    down: Annotated[Fraction, Key("gross exposure while it falls", "share of equity")] = 0.55


@dataclass(frozen=True, slots=True)
class AllocateSettings:
    """How raw weights are made."""

    method: Annotated[
        Literal["scores", "direct"],
        Key("scores = the best k by score, inverse-volatility; direct = the weights that a strategy wants"),
    ] = "scores"
    k: CountByRegime = CountByRegime()
    gross: GrossByRegime = GrossByRegime()
    caps: TierCaps = TierCaps()
    margin: Annotated[int, Ge(0), Le(500), Key("a held asset stays while its rank is within k + margin", "ranks")] = 10
    tier3_count: Annotated[
        int, Ge(0), Le(500), Key("tier 3 assets in the hold set; they share one sleeve", "count")
    ] = 4
    cash_buffer: Annotated[Fraction, Key("never invested", "share of equity")] = 0.05
    tilt: Annotated[float, Ge(0), Le(5), Key("how strongly scores tilt the inverse-volatility base", "e-folds")] = 1.0
    vol_floor: Annotated[float, Gt(0), Le(5), Key("smallest volatility believed", "annualised")] = 0.10


def choose(
    score: Array,
    liquidity: Array,
    assets: tuple[str, ...],
    eligible: BoolArray,
    held: BoolArray,
    k: int,
    margin: int,
) -> BoolArray:
    """The hold set, (N,): held assets ranked within k + margin stay, then the best others fill up to k.

    score (N,) NaN counts as 0 · liquidity (N,) breaks ties, then the symbol · eligible (N,) may be held at all ·
    held (N,) is held now.
    """
    count = int(np.count_nonzero(eligible))
    if count <= k or (count <= k + margin and not (eligible & ~held).any()):
        return eligible.copy()
    ranked = ranking(score, liquidity, assets)
    return _best(ranked[eligible[ranked]], held, k, margin)


def ranking(score: Array, liquidity: Array, assets: tuple[str, ...]) -> IntArray:
    """(N,) positions from the best score to the worst; the more liquid, then the symbol, breaks ties."""
    merit = np.where(np.isfinite(score), score, 0.0)
    depth = np.where(np.isfinite(liquidity), liquidity, 0.0)
    order: IntArray = np.lexsort((_alphabet(assets), -depth, -merit))
    return order


def _best(ranked: IntArray, held: BoolArray, k: int, margin: int) -> BoolArray:
    chosen = np.zeros(len(held), dtype=bool)
    near = ranked[: k + margin]
    chosen[near[held[near]]] = True
    missing = k - int(np.count_nonzero(chosen))
    if missing > 0:
        chosen[ranked[~chosen[ranked]][:missing]] = True
    return chosen


@lru_cache(maxsize=64)
def _alphabet(assets: tuple[str, ...]) -> IntArray:
    """(N,) place of each symbol in the alphabet."""
    rank = np.empty(len(assets), dtype=np.int64)
    rank[np.argsort(np.array(assets))] = np.arange(len(assets))
    rank.flags.writeable = False
    return rank


def attraction(score: Array, safe: Array, tilt: float) -> Array:
    """a_i = exp(tilt clip(s_i / 0.05, -2, 2)) / sigma_i of those chosen, (n,) > 0.

    score (n,) NaN counts as 0 · safe (n,) volatility believed, annualised
    """
    lean = np.where(np.isfinite(score), score, 0.0) / SCORE_UNIT
    a: Array = np.exp(tilt * np.minimum(np.maximum(lean, -2.0), 2.0)) / safe
    return a


def water_fill(budget: float, a: Array, cap: Array, sleeve: BoolArray, sleeve_cap: float) -> Array:
    """Spread `budget` in proportion to `a` (N,) under caps (N,) and one group cap; what fits nowhere stays cash.

    w = B a / sum a; whoever exceeds its cap is set to it and the rest is spread over the others, until nobody exceeds.
    If the sleeve then exceeds its own cap its members are filled alone up to it, and the others with what remains.
    """
    if budget <= 0:
        return np.zeros(len(a))
    wanted, caps, inside = a.tolist(), cap.tolist(), sleeve.tolist()  # few are wanted: lists are quicker than arrays
    w = _fill(budget, wanted, caps)
    if fsum([x for x, small in zip(w, inside, strict=True) if small]) > sleeve_cap:
        small = _fill(sleeve_cap, np.where(sleeve, a, 0.0).tolist(), caps)
        large = _fill(budget - fsum(small), np.where(sleeve, 0.0, a).tolist(), caps)
        w = [x + y for x, y in zip(small, large, strict=True)]
    return np.array(w)


def _fill(budget: float, a: list[float], cap: list[float]) -> list[float]:
    w = [0.0] * len(a)
    free = [i for i, x in enumerate(a) if x > 0]
    left = budget
    while left > 0 and free:
        total = fsum([a[i] for i in free])
        over = [i for i in free if left * a[i] / total >= cap[i]]
        if not over:
            for i in free:
                w[i] = left * a[i] / total
            return w
        for i in over:
            w[i] = cap[i]
        free = [i for i in free if i not in over]
        left = budget - fsum(w)
    return w


@dataclass(frozen=True, slots=True)
class Ground:
    """What allocation stands on, whatever the scores: (N,) arrays, shares of equity.

    free  may be bought or kept and is not frozen · held  is held now · reserved  weight of the frozen
    caps, sleeve  by tier · safe  volatility believed, inf = unknown · places  positions left by the frozen
    budget, room  for all, and for the sleeve
    """

    free: BoolArray
    held: BoolArray
    reserved: Array
    caps: Array
    sleeve: BoolArray
    safe: Array
    places: int
    budget: float
    room: float


def ground(
    vol: Array,
    tier: IntArray,
    eligible: BoolArray,
    held: Array,
    frozen: BoolArray,
    regime: str,
    settings: AllocateSettings,
) -> Ground:
    """What is known before any score. Frozen assets keep `held` and are reserved out of gross, sleeve and places.

    vol (N,) as in `View`; tier (N,) 1..3; eligible (N,) may be bought or kept; held (N,) weights; frozen (N,).
    """
    reserved, sleeve, known = np.where(frozen, held, 0.0), tier == 3, np.isfinite(vol)
    return Ground(
        free=eligible & ~frozen & known,
        held=held > 0,
        reserved=reserved,
        caps=settings.caps.of(tier),
        sleeve=sleeve,
        safe=np.where(known, np.maximum(vol, settings.vol_floor), np.inf),
        places=max(0, getattr(settings.k, regime) - int(np.count_nonzero(reserved))),
        budget=float(getattr(settings.gross, regime) - settings.cash_buffer - reserved.sum()),
        room=max(0.0, settings.caps.tier3_sleeve - float(reserved[sleeve].sum())),
    )


def hold(on: Ground, score: Array, liquidity: Array, assets: tuple[str, ...], settings: AllocateSettings) -> BoolArray:
    """(N,) what to hold: the best by score (N,), of tier 3 only its best few."""
    count = settings.tier3_count
    small = choose(score, liquidity, assets, on.free & on.sleeve, on.held, count, count)
    return choose(score, liquidity, assets, (on.free & ~on.sleeve) | small, on.held, on.places, settings.margin)


def spread(on: Ground, chosen: BoolArray, score: Array, settings: AllocateSettings) -> Array:
    """Raw weights (N,) >= 0: the budget over those chosen (N,) by score (N,) and volatility, and what is reserved."""
    at = np.flatnonzero(chosen)
    a, w = attraction(score[at], on.safe[at], settings.tilt), on.reserved.copy()
    w[at] += water_fill(on.budget, a, on.caps[at], on.sleeve[at], on.room)
    return w


def direct_weights(
    wanted: Array,
    tier: IntArray,
    eligible: BoolArray,
    held: Array,
    frozen: BoolArray,
    regime: str,
    settings: AllocateSettings,
) -> Array:
    """Raw weights (N,) >= 0 of somebody who wants weights: `wanted` clipped to the caps, then scaled into the budget.

    wanted (N,) >= 0, NaN = no wish: such an asset keeps `held`, reserved out of gross and sleeve like a frozen one.
    The others as in `ground`. What a cap cuts off stays cash.
    """
    kept = frozen | ~np.isfinite(wanted)
    reserved = np.where(kept, held, 0.0)
    w = np.where(eligible & ~kept, np.minimum(wanted, settings.caps.of(tier)), 0.0)
    sleeve = tier == 3
    room = max(0.0, settings.caps.tier3_sleeve - reserved[sleeve].sum())
    w = np.where(sleeve, _within(room, w, sleeve), w)
    budget = getattr(settings.gross, regime) - settings.cash_buffer - reserved.sum()
    return _within(max(0.0, budget), w, np.ones_like(sleeve)) + reserved


def _within(room: float, w: Array, group: BoolArray) -> Array:
    """Weights scaled so that those of the group sum to at most `room`."""
    total = float(w[group].sum())
    return w * (room / total) if total > room else w
