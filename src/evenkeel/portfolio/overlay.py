"""The risk rules: a list of small functions that can only shrink a portfolio.

Each rule maps weights (N,) to weights (N,) given `Facts`; `apply` folds them in the order of design section 10 and
keeps one `Reason` per asset and rule that changed something. The one law: no rule ever enlarges |w|.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le

from evenkeel.lean import lean
from evenkeel.portfolio.allocate import TierCaps
from evenkeel.types import Array, BoolArray, IntArray, Reason, SlotKind, TradingState
from evenkeel.units import HOUR_S, YEAR_S, Key

Fraction = Annotated[float, Ge(0), Le(1)]

MEMES = ("DOGE", "SHIB", "PEPE", "BONK", "FLOKI", "WIF", "PENGU", "TRUMP", "PUMP", "1000CHEEMS", "TUT")


@dataclass(frozen=True, slots=True)
class OverlaySettings:
    """Limits of the risk overlay. Weights and losses are shares, never percent."""

    vol_target: Annotated[float, Gt(0), Le(5), Key("portfolio volatility above which all weights shrink", "a year")] = (
        0.45
    )
    shrinkage: Annotated[Fraction, Key("weight of the diagonal in the 30-day covariance", "share")] = 0.2
    drawdown_start: Annotated[Fraction, Key("drawdown from the 90-day peak where scaling begins", "share")] = 0.10
    drawdown_full: Annotated[Fraction, Key("drawdown where scaling reaches its floor", "share")] = 0.30
    drawdown_floor: Annotated[Fraction, Key("smallest drawdown scale", "factor")] = 0.25
    drawdown_step: Annotated[float, Gt(0), Le(1), Key("size of the steps in which it scales", "factor")] = 0.125
    drawdown_slack: Annotated[Fraction, Key("how far the raw scale must rise past a step to undo it", "factor")] = 0.05
    daily_loss: Annotated[Fraction, Key("loss since 00:00 UTC that halves exposure and stops purchases", "share")] = (
        0.05
    )
    daily_loss_scale: Annotated[Fraction, Key("what remains of each weight once the daily loss is hit", "factor")] = 0.5
    exits: Annotated[bool, Key("whether the ATR, trailing, max-loss and time stops close positions")] = True
    atr_multiple: Annotated[float, Gt(0), Le(100), Key("distance of the entry stop", "24 h mean hourly ATR")] = 8.0
    trailing: Annotated[float, Gt(0), Le(1), Key("fall from the highest price since entry that exits", "share")] = 0.25
    max_loss: Annotated[float, Gt(0), Le(1), Key("loss on a position's basis that exits", "share")] = 0.25
    max_hold_days: Annotated[float, Gt(0), Le(3650), Key("age at which a losing position is closed", "days")] = 45.0
    cooldown_h: Annotated[float, Ge(0), Le(8760), Key("no new entry after a stop", "hours")] = 24.0
    cold_start_h: Annotated[
        float, Ge(0), Le(8760), Key("no purchases after coins were taken over of which nothing was remembered", "hours")
    ] = 24.0
    caps: TierCaps = TierCaps()
    cluster_cap: Annotated[Fraction, Key("largest share of one cluster of like assets", "share of equity")] = 0.25
    clusters: Annotated[Mapping[str, tuple[str, ...]], Key("assets that move together, by name of the cluster")] = (
        field(default_factory=lambda: {"meme": MEMES})
    )
    participation: Annotated[Fraction, Key("largest position as share of the asset's daily volume", "share")] = 0.01


@lean
@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules may know. (N,) arrays in the order of `assets`.

    touched  False where it is known that no price of `low` reaches an exit: `low` and the marks are not read then
    """

    kind: SlotKind
    time: int
    assets: tuple[str, ...]
    tier: IntArray
    held: Array
    price: Array
    low: Array
    vol: Array
    liquidity: Array
    moves: Array
    variance: Array
    equity: float
    basis: Array
    opened: IntArray
    high: Array
    stop: Array
    cooling: BoolArray
    frozen: BoolArray
    drawdown_scale: float
    drawdown_applied: float
    daily_hit: bool
    daily_new: bool
    no_purchases: bool
    state: TradingState
    flatten: bool
    touched: bool = True


Rule = Callable[[Array, Facts, OverlaySettings], Array]


def stop_levels(facts: Facts, settings: OverlaySettings) -> dict[str, Array]:
    """Price (N,) USD at which each exit fires; NaN = the rule does not apply."""
    levels = {rule: level(facts, settings) for rule, level in _LEVELS.items()}
    return levels if settings.exits else {rule: np.full_like(level, np.nan) for rule, level in levels.items()}


_LEVELS: Mapping[str, Callable[[Facts, OverlaySettings], Array]] = {
    "ATR_STOP": lambda facts, _: facts.stop,
    "TRAILING_STOP": lambda facts, settings: facts.high * (1.0 - settings.trailing),
    "MAX_LOSS": lambda facts, settings: facts.basis * (1.0 - settings.max_loss),
}


def _exit_below(rule: str) -> Rule:
    def exits(w: Array, facts: Facts, settings: OverlaySettings) -> Array:
        if not settings.exits:
            return w
        hit = facts.low <= _LEVELS[rule](facts, settings)
        if not np.count_nonzero(hit):
            return w
        return np.where(hit & (facts.held > 0) & ~facts.frozen, 0.0, w)

    return exits


def flatten(w: Array, facts: Facts, _: OverlaySettings) -> Array:
    """A person asked to close everything."""
    return np.where(~facts.frozen, 0.0, w) if facts.flatten else w


def time_stop(w: Array, facts: Facts, settings: OverlaySettings) -> Array:
    """Close what is older than the limit and still below its basis."""
    if not settings.exits:
        return w
    age_days = (facts.time - facts.opened) / (24 * HOUR_S)
    with np.errstate(invalid="ignore"):
        spent = (facts.held > 0) & ~facts.frozen & (age_days > settings.max_hold_days) & (facts.price < facts.basis)
    return np.where(spent, 0.0, w)


def cooldown(w: Array, facts: Facts, _: OverlaySettings) -> Array:
    """No weight where a stop fired lately, unless the position is frozen."""
    if not np.count_nonzero(facts.cooling):
        return w
    return np.where(facts.cooling & ~facts.frozen, 0.0, w)


def position_cap(w: Array, facts: Facts, settings: OverlaySettings) -> Array:
    """Clip each position to its tier's cap."""
    caps = settings.caps.of(facts.tier)
    return np.minimum(w, caps) if np.count_nonzero(w > caps) else w


def cluster_cap(w: Array, facts: Facts, settings: OverlaySettings) -> Array:
    """Scale each cluster of like assets to its cap."""
    scaled = w
    for members in settings.clusters.values():
        scaled = _group_cap(scaled, _among(facts.assets, tuple(members)), facts.frozen, settings.cluster_cap)
    return scaled


@lru_cache(maxsize=64)
def _among(assets: tuple[str, ...], members: tuple[str, ...]) -> BoolArray:
    """(N,) which assets are members."""
    inside: BoolArray = np.isin(assets, members)
    inside.flags.writeable = False
    return inside


def _group_cap(w: Array, inside: BoolArray, frozen: BoolArray, cap: float) -> Array:
    """Scale the members that can be traded so that the group, the frozen included, keeps to its cap."""
    if float(w[inside].sum()) <= cap and not np.count_nonzero(frozen):
        return w
    free = inside & ~frozen
    room = max(0.0, cap - float(w[inside & frozen].sum()))
    total = float(w[free].sum())
    return np.where(free, w * (room / total), w) if total > room else w


def tier_cap(w: Array, facts: Facts, settings: OverlaySettings) -> Array:
    """Scale tier 3 to its sleeve."""
    return _group_cap(w, facts.tier == 3, facts.frozen, settings.caps.tier3_sleeve)


def liquidity_cap(w: Array, facts: Facts, settings: OverlaySettings) -> Array:
    """Clip each position to a share of its daily volume; unknown volume allows no more than is held."""
    share = settings.participation * facts.liquidity / facts.equity
    room = np.where(np.isfinite(facts.liquidity), share, facts.held)
    return np.minimum(w, room) if np.count_nonzero(w > room) else w


def portfolio_vol(w: Array, moves: Array, variance: Array, shrinkage: float) -> float:
    """Annualised volatility of weights (N,) from hourly returns (H, N), the covariance shrunk to its diagonal.

    (1 - d) w'Sw + d sum w_i^2 S_ii, without forming S. Returns that are unknown are 0 in `moves`; `variance` (N,) is
    S_ii as in `View`.
    """
    joint = moves @ w
    together = float(joint @ joint) / len(moves) * (YEAR_S / HOUR_S) if len(moves) else 0.0
    return math.sqrt((1.0 - shrinkage) * together + shrinkage * float((w * w) @ variance))


def vol_at_most(w: Array, variance: Array) -> float:
    """What `portfolio_vol` would be if all assets moved as one, which it never exceeds: no returns are read."""
    return float(w @ np.sqrt(variance))


def vol_target(w: Array, facts: Facts, settings: OverlaySettings) -> Array:
    """Scale everything to the volatility target where the portfolio exceeds it."""
    if vol_at_most(w, facts.variance) < settings.vol_target * (1.0 - 1e-9):
        return w
    vol = portfolio_vol(w, facts.moves, facts.variance, settings.shrinkage)
    return w * (settings.vol_target / vol) if vol > settings.vol_target else w


def drawdown(w: Array, facts: Facts, _: OverlaySettings) -> Array:
    """Scale by the drawdown step; a risk slot applies only what is not applied yet."""
    scale = facts.drawdown_scale
    if facts.kind is SlotKind.RISK:
        scale = min(1.0, scale / facts.drawdown_applied) if facts.drawdown_applied > 0 else 0.0
    return w if scale == 1.0 else w * scale


def daily_loss(w: Array, facts: Facts, settings: OverlaySettings) -> Array:
    """Once a UTC day: cut what is held by the daily-loss scale; for the rest of the day nothing is added."""
    if not facts.daily_hit:
        return w
    scale = settings.daily_loss_scale if facts.daily_new else 1.0
    return np.minimum(w, facts.held * scale)


def trading_state(w: Array, facts: Facts, _: OverlaySettings) -> Array:
    """REDUCING and HALTED never add."""
    if facts.state is TradingState.ACTIVE and not facts.no_purchases:
        return w
    return np.minimum(w, facts.held)


EXITS: tuple[tuple[str, Rule], ...] = (
    ("ATR_STOP", _exit_below("ATR_STOP")),
    ("TRAILING_STOP", _exit_below("TRAILING_STOP")),
    ("MAX_LOSS", _exit_below("MAX_LOSS")),
    ("FLATTEN", flatten),
)
TIME_STOP: tuple[str, Rule] = ("TIME_STOP", time_stop)
LIMITS: tuple[tuple[str, Rule], ...] = (
    ("COOLDOWN", cooldown),
    ("POSITION_CAP", position_cap),
    ("CLUSTER_CAP", cluster_cap),
    ("TIER_CAP", tier_cap),
    ("LIQUIDITY_CAP", liquidity_cap),
    ("VOL_TARGET", vol_target),
)
STATES: tuple[tuple[str, Rule], ...] = (
    ("DRAWDOWN", drawdown),
    ("DAILY_LOSS", daily_loss),
    ("TRADING_STATE", trading_state),
)
EXIT_CODES = frozenset(name for name, _ in (*EXITS, TIME_STOP))

RULES: Mapping[SlotKind, tuple[tuple[str, Rule], ...]] = {
    SlotKind.RISK: (*EXITS, *STATES),
    SlotKind.SCORE: (*EXITS, *LIMITS, *STATES),
    SlotKind.REBALANCE: (*EXITS, TIME_STOP, *LIMITS, *STATES),
}


def apply(
    raw: Array, facts: Facts, settings: OverlaySettings, rules: tuple[tuple[str, Rule], ...]
) -> tuple[Array, tuple[Reason, ...]]:
    """Fold the rules over raw weights (N,) >= 0; returns weights (N,) and one reason per change.

    Exits look at what is held, so a position that fires leaves a reason even where its raw weight is already 0.
    Raises ValueError if a rule enlarges a weight: that is a bug, never a market condition.
    """
    w = raw
    reasons: list[Reason] = []
    for name, rule in rules:
        if name in _LEVELS and not facts.touched:
            continue
        before = np.maximum(facts.held, w) if name in EXIT_CODES else w
        after = rule(before, facts, settings)
        if after is before:
            continue
        if np.count_nonzero(np.abs(after) > np.abs(before) + 1e-15):
            raise ValueError(f"overlay rule {name} enlarged a weight")
        changed = (np.abs(after - before) > 1e-12).nonzero()[0]
        factors = (after[changed] / before[changed]).tolist()
        reasons += [Reason(facts.assets[i], name, x) for i, x in zip(changed.tolist(), factors, strict=True)]
        w = np.minimum(w, after) if before is w else np.where(after < before, np.minimum(w, after), w)
    return w, tuple(reasons)
