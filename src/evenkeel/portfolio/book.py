"""What happens to Memory when things fill: pure accounting.

`apply_carry` takes over what a decision itself changes, `settle` the fills; `reconcile` compares Memory with what the
venue says. The laws: cash is conserved to a cent (cash' = cash - sum(quantity price) - fees + flows), and reconciling
twice changes nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from math import isfinite
from typing import Any

from evenkeel.lean import changed, kept
from evenkeel.types import Carry, DayMark, Fill, Holdings, Memory, Position
from evenkeel.units import DAY_S

NAN = float("nan")
ZERO = Decimal(0)
PEAK_DAYS = 90
NO_STOPS: Mapping[str, float] = {}
COLD_START = "COLD_START"


@dataclass(frozen=True, slots=True)
class Difference:
    """One disagreement between Memory and venue. `asset` is `USD` for cash; `code` is a reason code."""

    asset: str
    code: str
    remembered: Decimal
    venue: Decimal


def add_fill(position: Position | None, fill: Fill, atr: float) -> Position | None:
    """A position after one fill; None once nothing is left.

    A purchase moves the basis to the average price paid, fees included; a sale leaves it. `atr` is the distance of the
    entry stop in USD (NaN = no entry stop). Entry time, high and stop are set by a purchase larger than what was held:
    dust that a stop left behind must not lend its old marks to a new position.
    """
    quantity = fill.quantity
    held = position.units if position is not None else ZERO
    units = held + quantity
    if units <= ZERO:
        return None
    if position is None or quantity > held:
        price = float(fill.price)
        return Position(units, _average(position, fill), fill.time, price, price - atr)
    basis = position.basis if quantity < ZERO or position.basis is None else _average(position, fill)
    return Position(units, basis, position.opened, position.high, position.stop)


def _average(position: Position | None, fill: Fill) -> Decimal:
    """Basis after a purchase; where the old one is unknown, the new part speaks for all."""
    paid, bought = fill.quantity * fill.price + fill.fee, fill.quantity
    if position is not None and position.basis is not None:
        paid, bought = paid + position.units * position.basis, bought + position.units
    return paid / bought


def apply_carry(memory: Memory, carry: Carry, **also: Any) -> Memory:
    """Memory with what the decision itself changes: evidence, regime, day marks, highs, cool-downs; `also` by field."""
    positions = memory.positions
    if carry.highs:
        raised = {a: changed(p, high=carry.highs[a]) for a, p in positions.items() if a in carry.highs}
        positions = {**positions, **raised}
    return changed(
        memory,
        origin=carry.origin,
        evidence=carry.evidence,
        scored=carry.scored,
        regime=carry.regime,
        days=carry.days,
        drawdown_scale=carry.drawdown_scale,
        loss_day=carry.loss_day,
        opinions_lost=carry.opinions_lost,
        cooldowns=carry.cooldowns,
        positions=positions,
        **also,
    )


def settle(memory: Memory, fills: Iterable[Fill], entry_atr: Mapping[str, float]) -> Memory:
    """Memory after fills, in their order. `entry_atr` USD sets the stop of positions that they open.

    Raises ValueError when cash is unknown: reconcile with the venue first.
    """
    if memory.cash is None:
        raise ValueError("cash is unknown: reconcile with the venue before settling")
    cash, fees, turnover = memory.cash, memory.fees, memory.turnover
    positions = dict(memory.positions)
    for fill in fills:
        asset, fee, value = fill.asset, fill.fee, fill.quantity * fill.price
        after = add_fill(positions.get(asset), fill, entry_atr.get(asset, NAN))
        if after is None:
            positions.pop(asset, None)
        else:
            positions[asset] = after
        cash -= value + fee
        fees += fee
        turnover += abs(value)
    return changed(memory, cash=cash, fees=fees, turnover=turnover, positions=dict(sorted(positions.items())))


def agree(memory: Memory, holdings: Holdings) -> bool:
    """Whether Memory and venue say the same of cash and of every asset; then `reconcile` changes nothing."""
    positions, units = memory.positions, holdings.units
    if memory.cash is None or len(positions) != len(units) or memory.cash != _seen(memory.cash, holdings):
        return False
    for asset, quantity in units.items():
        position = positions.get(asset)
        if position is None or position.units != quantity:
            return False
    return True


def reconcile(
    memory: Memory,
    holdings: Holdings,
    price: Mapping[str, float],
    busy: frozenset[str] = frozenset(),
    entry_atr: Mapping[str, float] = NO_STOPS,
) -> tuple[Memory, tuple[Difference, ...]]:
    """Memory that agrees with the venue, and what had to be changed for it.

    Venue quantities are the truth. The first look adopts everything; coins make it a cold start (ADR 0019). Later,
    units that moved without our fills are adopted with an unknown basis, new ones with an entry stop `entry_atr` USD
    below the price; cash that moved without our fills is an external flow, which shifts the equity marks so that it
    moves no drawdown. Assets in `busy` (unresolved intents) are left alone, and cash with them. Where cash is shown
    cut, what is remembered stays while it may be true; less than the cut is no flow (ADR 0017).
    """
    if memory.cash is None:
        return _taken_over(memory, holdings, price, entry_atr)
    differences: list[Difference] = []
    positions, cash = dict(memory.positions), memory.cash
    moved = 0.0
    for asset in sorted(set(positions) | set(holdings.units)):
        if asset in busy:
            continue
        was = positions[asset].units if asset in positions else Decimal(0)
        now = holdings.units.get(asset, Decimal(0))
        if was != now:
            differences.append(Difference(asset, "RECON_ADOPTED", was, now))
            worth = price.get(asset, NAN)
            moved += float(now - was) * worth if isfinite(worth) else 0.0
            _adopt(positions, asset, now, holdings.time, price.get(asset, NAN), entry_atr.get(asset, NAN))
    memory = replace(memory, positions=positions)
    seen = _seen(cash, holdings)
    if not busy and cash != seen:
        flow = seen - cash
        if abs(flow) >= holdings.cut:
            differences.append(Difference("USD", "EXTERNAL_FLOW", cash, seen))
            moved += float(flow)
        memory = replace(memory, cash=seen, flows=memory.flows + flow)
    return replace(memory, days=tuple(_shifted(d, moved) for d in memory.days)), tuple(differences)


def _seen(remembered: Decimal, holdings: Holdings) -> Decimal:
    """What is remembered where it may be what the venue shows cut, else what is shown."""
    return remembered if holdings.cash < remembered < holdings.cash + holdings.cut else holdings.cash


def _taken_over(
    memory: Memory, holdings: Holdings, price: Mapping[str, float], entry_atr: Mapping[str, float]
) -> tuple[Memory, tuple[Difference, ...]]:
    """Memory of an account that is seen for the first time."""
    positions: dict[str, Position] = {}
    for asset, units in sorted(holdings.units.items()):
        _adopt(positions, asset, units, holdings.time, price.get(asset, NAN), entry_atr.get(asset, NAN))
    memory = replace(memory, cash=holdings.cash, positions=positions, cold=holdings.time if positions else 0)
    return memory, tuple(Difference(asset, COLD_START, ZERO, held.units) for asset, held in positions.items())


def _adopt(positions: dict[str, Position], asset: str, units: Decimal, time: int, price: float, atr: float) -> None:
    if units == 0:
        positions.pop(asset, None)
    elif asset in positions:
        positions[asset] = replace(positions[asset], units=units, basis=None)
    else:
        positions[asset] = Position(units, None, time, price, price - atr)


def _shifted(day: DayMark, by: float) -> DayMark:
    return replace(day, open=day.open + by, high=day.high + by) if by else day


def mark_days(days: tuple[DayMark, ...], time: int, equity: float) -> tuple[DayMark, ...]:
    """Day marks with this equity seen: today's opening and high, the last 90 days kept."""
    day = time - time % DAY_S
    if days and days[-1].day == day:
        last = days[-1]
        if equity <= last.high:
            return days
        return (*days[:-1], replace(last, high=max(last.high, equity)))
    return (*days[-(PEAK_DAYS - 1) :], DayMark(day, equity, equity))


@kept
def peak(days: tuple[DayMark, ...]) -> float:
    """Highest equity of the last 90 days, USD."""
    return max([day.high for day in days])
