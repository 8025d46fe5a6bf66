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

from evenkeel.lean import lean
from evenkeel.types import Array, BoolArray, IntArray, frozen
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
        caps: Array = _by_tier(self)[tier]
        return caps


@lru_cache(maxsize=64)
def _by_tier(caps: TierCaps) -> Array:
    """(4,) cap of a tier at its own number; there is no tier 0."""
    return frozen(np.array([np.nan, caps.tier1, caps.tier2, caps.tier3]))


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


def choose(ranked: list[int], held: list[bool], k: int, margin: int) -> list[int]:
    """The hold set out of positions in their order: held ones within k + margin stay, the best others fill up to k.

    held  (N,) as a list, whether it is held now
    """
    near = ranked[: k + margin]
    stay = [i for i in near if held[i]]
    return stay + [i for i in near if not held[i]][: k - len(stay)] if len(stay) < k else stay


def ranking(score: Array, liquidity: Array, assets: tuple[str, ...], eligible: BoolArray) -> list[int]:
    """Positions of the eligible (N,), best score first; the more liquid, then the symbol, breaks ties.

    score (N,) without NaN, as blended · liquidity (N,) NaN counts as 0
    """
    at = eligible.nonzero()[0]
    demerit = -score[at]
    order = demerit.argsort()
    ordered = demerit[order]
    if np.count_nonzero(ordered[1:] == ordered[:-1]):
        depth = liquidity[at]
        order = np.lexsort((_alphabet(assets)[at], -np.where(np.isfinite(depth), depth, 0.0), demerit))
    ranked: list[int] = at[order].tolist()
    return ranked


@lru_cache(maxsize=64)
def _alphabet(assets: tuple[str, ...]) -> IntArray:
    """(N,) place of each symbol in the alphabet."""
    rank = np.empty(len(assets), dtype=np.int64)
    rank[np.argsort(np.array(assets))] = np.arange(len(assets))
    rank.flags.writeable = False
    return rank


def attraction(score: Array, safe: Array, tilt: float) -> Array:
    """a_i = exp(tilt clip(s_i / 0.05, -2, 2)) / sigma_i of those chosen, (n,) > 0.

    score (n,) without NaN, as blended · safe (n,) volatility believed, annualised
    """
    a: Array = np.exp(tilt * np.minimum(np.maximum(score / SCORE_UNIT, -2.0), 2.0)) / safe
    return a


def water_fill(budget: float, a: Array, cap: Array, sleeve: BoolArray, sleeve_cap: float) -> Array:
    """Spread `budget` in proportion to `a` (N,) under caps (N,) and one group cap; what fits nowhere stays cash.

    w = B a / sum a; whoever exceeds its cap is set to it and the rest is spread over the others, until nobody exceeds.
    If the sleeve then exceeds its own cap its members are filled alone up to it, and the others with what remains.
    """
    return np.array(_filled(budget, a.tolist(), cap.tolist(), sleeve.tolist(), sleeve_cap))


def _filled(
    budget: float, wanted: list[float], caps: list[float], inside: list[bool], sleeve_cap: float
) -> list[float]:
    """`water_fill` of lists: few are wanted, and these are quicker than arrays."""
    w, small = [0.0] * len(wanted), [i for i, own in enumerate(inside) if own]
    if not _surely_over(budget, wanted, caps, small, sleeve_cap):
        _fill(w, list(range(len(w))), budget, wanted, caps)
        if fsum([w[i] for i in small]) <= sleeve_cap:
            return w
    _fill(w, small, sleeve_cap, wanted, caps)
    large = [i for i, own in enumerate(inside) if not own]
    _fill(w, large, budget - fsum([w[i] for i in small]), wanted, caps)
    return w


def _surely_over(budget: float, a: list[float], cap: list[float], sleeve: list[int], sleeve_cap: float) -> bool:
    """Whether the sleeve exceeds its cap at the first spreading already: later ones only add to its members."""
    total = fsum(a)
    if budget <= 0 or total <= 0:
        return False
    share = budget / total
    return fsum([min(share * a[i], cap[i]) for i in sleeve]) > sleeve_cap * (1.0 + 1e-9)


def _fill(w: list[float], free: list[int], budget: float, a: list[float], cap: list[float]) -> None:
    """Set the weights at positions `free` to their shares of the budget."""
    left = budget
    full: list[float] = []
    while left > 0 and (total := fsum([a[i] for i in free])) > 0:
        over = []
        for i in free:
            w[i] = share = left * a[i] / total
            if share >= cap[i]:
                over.append(i)
        if not over:
            return
        for i in over:
            w[i] = cap[i]
        full += [cap[i] for i in over]
        free = [i for i in free if i not in over]
        left = budget - fsum(full)
    for i in free:
        w[i] = 0.0


@lean
@dataclass(frozen=True, slots=True)
class Ground:
    """What allocation stands on, whatever the scores: (N,) arrays, shares of equity.

    free  may be bought or kept and is not frozen · held  is held now · reserved  weight of the frozen
    caps, sleeve  by tier · safe  volatility believed, NaN = unknown, never free · places  positions left by the frozen
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
    reserved, sleeve = np.where(frozen, held, 0.0), tier == 3
    kept = int(np.count_nonzero(reserved))
    taken, small = (float(reserved.sum()), float(reserved[sleeve].sum())) if kept else (0.0, 0.0)
    return Ground(
        free=eligible & ~frozen & np.isfinite(vol),
        held=held > 0,
        reserved=reserved,
        caps=settings.caps.of(tier),
        sleeve=sleeve,
        safe=np.maximum(vol, settings.vol_floor),
        places=max(0, getattr(settings.k, regime) - kept),
        budget=float(getattr(settings.gross, regime) - settings.cash_buffer - taken),
        room=max(0.0, settings.caps.tier3_sleeve - small),
    )


def hold(on: Ground, score: Array, liquidity: Array, assets: tuple[str, ...], settings: AllocateSettings) -> IntArray:
    """(n,) positions of what to hold, ascending: the best by score (N,), of tier 3 only its best few."""
    ranked, held, sleeve = ranking(score, liquidity, assets, on.free), on.held.tolist(), on.sleeve.tolist()
    count = settings.tier3_count
    small = set(choose([i for i in ranked if sleeve[i]], held, count, count))
    chosen = choose([i for i in ranked if not sleeve[i] or i in small], held, on.places, settings.margin)
    return np.array(sorted(chosen), dtype=np.int64)


def spread(on: Ground, at: IntArray, score: Array, settings: AllocateSettings) -> tuple[Array, Array]:
    """Raw weights (N,) >= 0: the budget over positions `at` (n,) by volatility and score (N,), and what is reserved.

    Also the base: the same over those that get something, by volatility alone.
    """
    safe, caps, sleeve = on.safe[at], on.caps[at].tolist(), on.sleeve[at].tolist()
    raw = on.reserved.copy()
    given = _filled(on.budget, attraction(score[at], safe, settings.tilt).tolist(), caps, sleeve, on.room)
    raw[at] = given
    kept = [i for i, w in enumerate(given) if w > 0]
    if len(kept) < len(given):
        at, safe = at[kept], safe[kept]
        caps, sleeve = [caps[i] for i in kept], [sleeve[i] for i in kept]
    base = on.reserved.copy()
    base[at] = _filled(on.budget, (1.0 / safe).tolist(), caps, sleeve, on.room)
    return raw, base


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
