"""What memory says of positions and of equity, before anything is decided: marks, (N,) arrays, what was touched.

Pure; the laws: drawdown scales fall at once and rise in steps with slack; a level counts as touched only by evidence
that no slot has used yet.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

import numpy as np

from evenkeel.lean import lean
from evenkeel.portfolio import book as accounts
from evenkeel.portfolio.overlay import OverlaySettings
from evenkeel.types import (
    Array,
    BoolArray,
    DayMark,
    IntArray,
    Memory,
    Position,
    Slot,
    SlotKind,
    View,
    places,
    unknown,
)
from evenkeel.units import DAY_S

NAN = float("nan")


@lean
@dataclass(frozen=True, slots=True)
class Marks:
    """What equity says of itself: day marks with it, its fall from the 90-day peak, the scale and loss that follow.

    drawdown  share in [0, 1) · scale  drawdown scale after this slot · daily_hit, daily_new  loss of the day, just now
    """

    days: tuple[DayMark, ...]
    drawdown: float
    scale: float
    daily_hit: bool
    daily_new: bool


def equity_marks(memory: Memory, settings: OverlaySettings, slot: Slot, equity: float) -> Marks:
    """Equity measured by the days that memory knows: drawdown from the highest of 90 days, loss since 00:00 UTC."""
    days = accounts.mark_days(memory.days, slot.time, equity)
    drawdown = max(0.0, 1.0 - equity / accounts.peak(days))
    day = slot.time - slot.time % DAY_S
    opened = memory.days[-1].open if memory.days and memory.days[-1].day == day else equity
    known = memory.loss_day == day
    hit = known or equity <= opened * (1.0 - settings.daily_loss)
    scale = _scale(memory.drawdown_scale, drawdown, settings, may_rise=slot.kind is not SlotKind.RISK)
    return Marks(days, drawdown, scale, hit, hit and not known)


def _scale(applied: float, fall: float, settings: OverlaySettings, *, may_rise: bool) -> float:
    """Drawdown scale in steps: down at once, up only when the raw scale clears the step above by the slack.

    may_rise  False where nothing is bought: a step undone there would be applied twice when the fall resumes
    """
    span = settings.drawdown_full - settings.drawdown_start
    raw = 1.0 - (fall - settings.drawdown_start) / span
    down = _step_below(raw, settings)
    if down <= applied:
        return down
    if not may_rise:
        return applied
    return 1.0 if fall == 0.0 else max(applied, _step_below(raw - settings.drawdown_slack, settings))


def _step_below(raw: float, settings: OverlaySettings) -> float:
    steps = math.floor(raw / settings.drawdown_step + 1e-9) * settings.drawdown_step
    return min(1.0, max(settings.drawdown_floor, steps))


def position_marks(
    assets: tuple[str, ...], positions: Mapping[str, Position], now: int
) -> tuple[Array, IntArray, Array, Array]:
    """Basis USD, opening UTC s, highest price and entry stop USD of positions, (N,) each; NaN and `now` of the rest."""
    opened = np.full(len(assets), now, dtype=np.int64)
    if not positions:
        return (none := unknown(len(assets))), opened, none, none
    basis, high, stop = np.full((3, len(assets)), NAN)
    place = places(assets)
    for asset, position in positions.items():
        if asset in place:
            i = place[asset]
            opened[i], high[i], stop[i] = position.opened, position.high, position.stop
            basis[i] = NAN if position.basis is None else _usd(position.basis)
    return basis, opened, high, stop


@lru_cache(maxsize=1024)
def _usd(basis: Decimal) -> float:
    """USD as a float: a basis stays for days, and to make a float of its many digits is slow."""
    return float(basis)


def cooling_down(assets: tuple[str, ...], memory: Memory, slot: Slot) -> BoolArray:
    """(N,) where a stop fired lately."""
    return among(assets, [a for a, until in memory.cooldowns.items() if until > slot.time])


def among(assets: tuple[str, ...], chosen: Collection[str]) -> BoolArray:
    """(N,) which assets are chosen."""
    if not chosen:
        return nobody(len(assets))
    place, out = places(assets), np.zeros(len(assets), dtype=bool)
    for asset in chosen:
        if asset in place:
            out[place[asset]] = True
    return out


@lru_cache(maxsize=8)
def nobody(size: int) -> BoolArray:
    """(size,) False."""
    out = np.zeros(size, dtype=bool)
    out.flags.writeable = False
    return out


def is_fresh(view: View, memory: Memory) -> bool:
    """Whether the view brings evidence that no slot has used yet."""
    return view.seen > memory.evidence


def is_touched(view: View, memory: Memory, settings: OverlaySettings) -> bool:
    """Whether the range of some position's price reaches an exit level, frozen ones included."""
    place, low = places(view.assets), view.low.tolist()
    trailing, largest = 1.0 - settings.trailing, 1.0 - settings.max_loss
    for asset, position in memory.positions.items():
        lowest = low[place[asset]] if asset in place else NAN
        if lowest <= position.stop or lowest <= position.high * trailing:
            return True
        if position.basis is not None and lowest <= _usd(position.basis) * largest:
            return True
    return False


def raised_highs(view: View, memory: Memory) -> dict[str, float]:
    """Highest price of each position after this evidence: raised only now, after the triggers were tested."""
    if not (memory.positions and is_fresh(view, memory) and np.count_nonzero(np.isfinite(view.low))):
        return {}
    place, high = places(view.assets), view.high.tolist()
    raised = [
        (place[asset], asset)
        for asset, position in memory.positions.items()
        if asset in place and not high[place[asset]] <= position.high and math.isfinite(high[place[asset]])
    ]
    return {asset: high[i] for i, asset in sorted(raised)}


def stop_distances(view: View, settings: OverlaySettings, entered: Collection[str]) -> dict[str, float]:
    """Distance of the entry stop in USD for every asset that is entered; an unknown ATR sets none, nor do exits off."""
    if not (entered and settings.exits):
        return {}
    distance = settings.atr_multiple * view.atr * view.price
    place = places(view.assets)
    ordered = sorted((place[asset], asset) for asset in entered if asset in place)
    return {asset: float(distance[i]) for i, asset in ordered if math.isfinite(distance[i])}
