"""From weights wanted to orders a venue accepts.

Target minus holdings, through the no-trade band of the slot's kind, the cost gate, precision and minimum notional
(Decimal, rounded toward zero), the cash reserve and the venue's call budget; sells before buys. Every leg that is
wanted and not sent leaves a `Dropped` with its reason code (docs/reference/reason-codes.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, NamedTuple

import numpy as np
from annotated_types import Ge, Gt, Le

from evenkeel.lean import lean
from evenkeel.portfolio.costs import BPS, CostSettings, round_trip, slippage_of
from evenkeel.types import Array, BoolArray, Dropped, IntArray, Order, Pair, Slot, SlotKind, places
from evenkeel.units import Key, floor_to

Fraction = Annotated[float, Ge(0), Le(1)]


_ROUNDING = 1e-12
UNITS_LOCKED = "UNITS_LOCKED"
"""Code of a sale that is cut to what is free, or dropped: an order that is not ours holds the rest back."""


@dataclass(frozen=True, slots=True)
class BandByKind:
    """No trade while |target - held| is inside the band."""

    risk: Annotated[Fraction, Key("band of risk slots", "share of equity")] = 0.0025
    score: Annotated[Fraction, Key("band of score slots", "share of equity")] = 0.03
    rebalance: Annotated[Fraction, Key("band of rebalance slots", "share of equity")] = 0.01


@dataclass(frozen=True, slots=True)
class OrderSettings:
    """How a target becomes orders."""

    band: BandByKind = BandByKind()
    hold_days: Annotated[
        float, Gt(0), Le(365), Key("holding time over which a purchase must earn its cost", "days")
    ] = 5.0
    cash_reserve: Annotated[Fraction, Key("cash that purchases never touch", "share of equity")] = 0.01
    min_order_usd: Annotated[float, Ge(0), Key("smallest order, beside the venue's own minimum", "USD")] = 10.0
    max_orders: Annotated[int, Ge(1), Le(1000), Key("orders in one slot, exits not counted", "count")] = 60


@lean
@dataclass(frozen=True, slots=True)
class Wanted:
    """What the planner turns into orders; arrays (N,) in the order of `assets`.

    target, held, base  weights · exits  leaves whatever the band says, `exit_codes` says why, `stops` USD level or NaN
    locked  of the units, what open orders of others hold back; None = nothing
    """

    assets: tuple[str, ...]
    target: Array
    held: Array
    base: Array
    expected: Array
    price: Array
    liquidity: Array
    tier: IntArray
    blocked: Mapping[str, str]
    exit_codes: Mapping[str, str]
    stops: Mapping[str, float]
    equity: float
    cash: Decimal
    units: Mapping[str, Decimal]
    locked: Mapping[str, Decimal] | None = None


class Leg(NamedTuple):
    """One asset's change of weight: what is wanted, what is left of it after the cost gate, what is held."""

    place: int
    asset: str
    target: float
    wanted: float
    held: float
    cut: bool
    leaves: bool


def gate(wanted: Wanted, settings: OrderSettings, costs: CostSettings) -> tuple[Array, BoolArray]:
    """Target after the cost gate, (N,), and who was cut by it.

    What an opinion adds beyond the base must earn the round trip of what it adds within `hold_days`; the base itself is
    the prior and needs no opinion, unless the opinion is that it loses more than the round trip (ADR 0008).
    """
    target, cut = wanted.target.copy(), np.zeros(len(wanted.target), dtype=bool)
    at = (target > wanted.held).nonzero()[0]
    columns = (wanted.target, wanted.base, wanted.held, wanted.expected, wanted.liquidity, wanted.tier)
    rows = zip(at.tolist(), *(column[at].tolist() for column in columns), strict=True)
    for i, wish, base, held, daily, liquidity, tier in rows:
        floor = max(base, held)
        gain = daily * settings.hold_days if math.isfinite(daily) else 0.0
        if wish <= floor + _ROUNDING and gain >= 0:
            continue
        cost = round_trip(max(wish - floor, 0.0) * wanted.equity, liquidity, tier, costs)
        limit = math.inf if gain > cost else held if gain < -cost else floor
        if wish > limit + _ROUNDING:
            target[i], cut[i] = limit, True
    return target, cut


def plan(
    slot: Slot, wanted: Wanted, pairs: Sequence[Pair], settings: OrderSettings, costs: CostSettings
) -> tuple[tuple[Order, ...], tuple[Dropped, ...]]:
    """Orders in sending order (exits, other sells, buys; each by size) and every dropped leg with its code."""
    target, cut = gate(wanted, settings, costs)
    band: float = getattr(settings.band, slot.kind)
    dropped: list[Dropped] = []
    legs: list[tuple[int, Decimal]] = []
    least = settings.min_order_usd
    change = np.abs(target - wanted.held)
    loud = cut | (change > band)
    heard = ((wanted.target != 0) | (wanted.held != 0)) & (
        loud | (change * wanted.equity >= least) | _leaving(slot, wanted, target)
    )
    goals, wishes, helds = target.tolist(), wanted.target.tolist(), wanted.held.tolist()
    cuts, louds = cut.tolist(), loud.tolist()
    for i in heard.nonzero()[0].tolist():
        asset = wanted.assets[i]
        leaves = asset in wanted.exit_codes or (goals[i] == 0 and slot.kind is not SlotKind.SCORE)
        if not (louds[i] or leaves or asset in wanted.blocked):
            dropped.append(Dropped(asset, "INSIDE_BAND", wishes[i], helds[i]))
            continue
        leg = Leg(i, asset, goals[i], wishes[i], helds[i], cuts[i], leaves)
        code, quantity = _leg(leg, band, wanted, pairs[i], settings)
        if code:
            dropped.append(Dropped(asset, code, wishes[i], helds[i]))
        if quantity:
            legs.append((i, quantity))
    if not legs:
        return (), tuple(dropped)
    legs = _in_order(legs, wanted)
    sent, late = _within_budget(legs, wanted, settings)
    kept, short = _within_cash(sent, wanted, settings, costs)
    dropped += [_drop(wanted, i, "CALL_BUDGET") for i, _ in late] + [_drop(wanted, i, "CASH_SHORT") for i, _ in short]
    return tuple(_order(slot, n, i, q, wanted) for n, (i, q) in enumerate(kept)), tuple(dropped)


def _leaving(slot: Slot, wanted: Wanted, target: Array) -> BoolArray:
    """(N,) who goes, or may not trade, whatever the band says."""
    gone = target == 0 if slot.kind is not SlotKind.SCORE else np.zeros(len(target), dtype=bool)
    place = places(wanted.assets)
    for asset in (*wanted.exit_codes, *wanted.blocked):
        if asset in place:
            gone[place[asset]] = True
    return gone


def _drop(wanted: Wanted, i: int, code: str) -> Dropped:
    return Dropped(wanted.assets[i], code, float(wanted.target[i]), float(wanted.held[i]))


def _leg(leg: Leg, band: float, wanted: Wanted, pair: Pair, settings: OrderSettings) -> tuple[str, Decimal | None]:
    """Why the leg, or a part of it, is not sent (`` = it is), and what is sent of it (None = nothing)."""
    change, wish = leg.target - leg.held, abs(leg.wanted - leg.held)
    if leg.asset in wanted.blocked:
        return (wanted.blocked[leg.asset], None) if wish > band or leg.leaves else ("", None)
    if leg.cut and abs(change) <= band < wish:
        return "COST_EXCEEDS_EDGE", None
    if abs(change) <= band and not leg.leaves:
        return ("INSIDE_BAND", None) if abs(change) * wanted.equity >= settings.min_order_usd else ("", None)
    units, price = wanted.units.get(leg.asset, Decimal(0)), float(wanted.price[leg.place])
    quantity = _quantity(change, units, price, wanted.equity, pair, leaves=leg.leaves or leg.target == 0)
    free, code = units - (wanted.locked or {}).get(leg.asset, Decimal(0)), ""
    if quantity < 0 and -quantity > free:
        quantity, code = -floor_to(max(free, Decimal(0)), pair.amount_decimals), UNITS_LOCKED
    notional = abs(float(quantity)) * price
    if quantity == 0 or notional <= float(pair.min_notional):
        return code or ("DUST" if leg.leaves else "BELOW_MIN_NOTIONAL"), None
    if notional < settings.min_order_usd and not leg.leaves:
        return code or "BELOW_MIN_NOTIONAL", None
    return code, quantity


def _quantity(change: float, units: Decimal, price: float, equity: float, pair: Pair, *, leaves: bool) -> Decimal:
    """Signed legal quantity: never more than is held, never rounded away from zero."""
    if leaves:
        return -floor_to(units, pair.amount_decimals)
    wished = floor_to(Decimal(repr(change * equity / price)), pair.amount_decimals)
    return max(wished, -floor_to(units, pair.amount_decimals))


def _in_order(legs: list[tuple[int, Decimal]], wanted: Wanted) -> list[tuple[int, Decimal]]:
    def rank(leg: tuple[int, Decimal]) -> tuple[int, float, str]:
        i, quantity = leg
        asset = wanted.assets[i]
        kind = 0 if asset in wanted.exit_codes else 1 if quantity < 0 else 2
        return kind, -abs(float(quantity)) * float(wanted.price[i]), asset

    return sorted(legs, key=rank)


def _within_budget(
    legs: list[tuple[int, Decimal]], wanted: Wanted, settings: OrderSettings
) -> tuple[list[tuple[int, Decimal]], list[tuple[int, Decimal]]]:
    exits = [leg for leg in legs if wanted.assets[leg[0]] in wanted.exit_codes]
    others = [leg for leg in legs if wanted.assets[leg[0]] not in wanted.exit_codes]
    return exits + others[: settings.max_orders], others[settings.max_orders :]


def _within_cash(
    legs: list[tuple[int, Decimal]], wanted: Wanted, settings: OrderSettings, costs: CostSettings
) -> tuple[list[tuple[int, Decimal]], list[tuple[int, Decimal]]]:
    """Keep buys while cash lasts: cash now, plus what sells bring after twice their cost, less the reserve."""
    cash = float(wanted.cash) - settings.cash_reserve * wanted.equity
    kept: list[tuple[int, Decimal]] = []
    short: list[tuple[int, Decimal]] = []
    for i, quantity in legs:
        value = abs(float(quantity)) * float(wanted.price[i])
        slip = slippage_of(value, float(wanted.liquidity[i]), int(wanted.tier[i]), costs)
        cost = value * 2.0 * (costs.taker * BPS + slip)
        flow = value - cost if quantity < 0 else -(value + cost)
        if flow < 0 and cash + flow < 0:
            short.append((i, quantity))
            continue
        cash += flow
        kept.append((i, quantity))
    return kept, short


def _order(slot: Slot, leg: int, i: int, quantity: Decimal, wanted: Wanted) -> Order:
    asset = wanted.assets[i]
    level = wanted.stops.get(asset)
    return Order(
        id=f"{slot.kind.value[:3]}{slot.time:x}-{asset}-{leg}",
        slot=slot.id,
        leg=leg,
        asset=asset,
        quantity=quantity,
        reason=wanted.exit_codes.get(asset, "TARGET"),
        stop=Decimal(repr(level)) if level is not None else None,
    )
