"""Asset slots: many books of one asset and cash, each somewhere else in the market, stepped together.

A step is what the service does between two bars, in its order: the risk check of the bar that has closed (stops against
its range, then marks raised), then one trading slot; orders meet the next bar's open. Lots, minimum notional, costs,
stops, cool-downs and frozen pairs are those of `portfolio` and `venues.sim`; the law is that a book's equity is that of
the back-test of the same weights. What a portfolio has and one asset has not (caps by tier and cluster, volatility
target, drawdown and daily loss) is left out, and so is the time stop: a window is shorter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evenkeel.portfolio.costs import BPS, CostSettings, slippage
from evenkeel.portfolio.fills import fee, lots, taker_price
from evenkeel.portfolio.orders import OrderSettings
from evenkeel.portfolio.overlay import OverlaySettings
from evenkeel.research.env.tape import Tape
from evenkeel.signals.policy import Own, wanted
from evenkeel.types import Array, BoolArray, IntArray, Pair
from evenkeel.units import HOUR_S


@dataclass(frozen=True, slots=True)
class SlotRules:
    """What a book of one asset obeys. tier, price_scale, lot_scale, min_notional  (N,), in the tape's order.

    cap  share of the book that a full slot invests; the rest pays costs · rebalance_s  s between rebalance slots
    """

    cap: float
    overlay: OverlaySettings
    orders: OrderSettings
    costs: CostSettings
    rebalance_s: int
    tier: IntArray
    price_scale: Array
    lot_scale: Array
    min_notional: Array


def slot_rules(
    pairs: Sequence[Pair],
    overlay: OverlaySettings,
    orders: OrderSettings,
    costs: CostSettings,
    *,
    cap: float = 0.97,
    rebalance_s: int = 6 * HOUR_S,
) -> SlotRules:
    """The rules of the pairs of a tape, in its order."""
    return SlotRules(
        cap=cap,
        overlay=overlay,
        orders=orders,
        costs=costs,
        rebalance_s=rebalance_s,
        tier=np.array([p.tier for p in pairs], dtype=np.int64),
        price_scale=np.array([10.0**p.price_decimals for p in pairs]),
        lot_scale=np.array([10.0**p.amount_decimals for p in pairs]),
        min_notional=np.array([float(p.min_notional) for p in pairs]),
    )


@dataclass(slots=True)
class Slots:
    """B books. All arrays (B,), written in place.

    row, asset  place on the tape · cash, units · basis, high, stop  USD, NaN = none · opened, cooling  UTC s
    budget, peak  USD
    """

    row: IntArray
    asset: IntArray
    cash: Array
    units: Array
    basis: Array
    high: Array
    stop: Array
    opened: IntArray
    cooling: IntArray
    budget: Array
    peak: Array

    def open(self, which: BoolArray, row: IntArray, asset: IntArray, budget: Array) -> None:
        """Begin anew with all cash; row, asset, budget (count of which,)."""
        self.row[which], self.asset[which] = row, asset
        for money in (self.cash, self.budget, self.peak):
            money[which] = budget
        self.units[which] = 0.0
        for mark in (self.basis, self.high, self.stop):
            mark[which] = np.nan
        self.opened[which] = self.cooling[which] = 0


def empty(count: int) -> Slots:
    """Books to be opened."""

    def money() -> Array:
        return np.zeros(count)

    def whole() -> IntArray:
        return np.zeros(count, dtype=np.int64)

    return Slots(
        row=whole(),
        asset=whole(),
        cash=money(),
        units=money(),
        basis=money(),
        high=money(),
        stop=money(),
        opened=whole(),
        cooling=whole(),
        budget=money(),
        peak=money(),
    )


def equity(tape: Tape, slots: Slots) -> Array:
    """(B,) USD at the last believed price."""
    worth: Array = slots.cash + slots.units * tape.price[slots.row, slots.asset]
    return worth


def own(tape: Tape, slots: Slots, rules: SlotRules) -> Own:
    """What an actor knows of the books."""
    at = (slots.row, slots.asset)
    price, time = tape.price[at], tape.time[slots.row]
    worth = slots.cash + slots.units * price
    return Own(
        share=slots.units * price / worth / rules.cap,
        price=price,
        basis=slots.basis,
        day_vol=tape.day_vol[at],
        age_s=(time - slots.opened).astype(np.float64),
        cooling=slots.cooling > time,
        budget=worth * rules.cap,
    )


def can_trade(tape: Tape, slots: Slots) -> tuple[BoolArray, BoolArray]:
    """(B,) whether a purchase, and whether a sale, may be asked for now."""
    at = (slots.row, slots.asset)
    live = tape.trading[slots.row] & ~tape.frozen[at]
    return live & tape.ready[at] & ~(slots.cooling > tape.time[slots.row]), live


def trade(tape: Tape, slots: Slots, rules: SlotRules, action: Array) -> None:
    """One trading slot: actions (B,) in [-1, 1] become orders that fill at the next open, in place."""
    at = (slots.row, slots.asset)
    price, time = tape.price[at], tape.time[slots.row]
    worth = slots.cash + slots.units * price
    held = slots.units * price / worth
    goal = _goal(tape, slots, rules, action, worth, held)
    closes = goal == 0.0
    wished = np.where(closes, -slots.units, (goal - held) * worth / price)
    scale = rules.lot_scale[slots.asset]
    units = np.maximum(lots(wished, scale), -lots(slots.units, scale))
    units = np.where((goal == held) | ~np.isfinite(units), 0.0, units)
    notional = np.abs(units) * price
    leaves = closes & (time % rules.rebalance_s == 0)
    sent = (notional > rules.min_notional[slots.asset]) & ((notional >= rules.orders.min_order_usd) | leaves)
    slip = slippage(notional, tape.liquidity[at], rules.tier[slots.asset], rules.costs)
    need = notional * (1.0 + 2.0 * (rules.costs.taker * BPS + slip))
    sent &= (units < 0) | (slots.cash - rules.orders.cash_reserve * worth >= need)
    stop_distance = (
        rules.overlay.atr_multiple * tape.atr[at] * price if rules.overlay.exits else np.full_like(price, np.nan)
    )
    _fill(tape, slots, rules, np.where(sent, units, 0.0), tape.opens[at], stop_distance)


def _goal(tape: Tape, slots: Slots, rules: SlotRules, action: Array, worth: Array, held: Array) -> Array:
    """(B,) weight wanted of the whole book after cap, cool-down, liquidity and frozen pairs."""
    at = (slots.row, slots.asset)
    cooling = slots.cooling > tape.time[slots.row]
    share = wanted(held / rules.cap, action)
    goal = np.where(np.isfinite(share), np.minimum(share * rules.cap, rules.cap), held)
    goal = np.where(cooling | ~(tape.ready[at] | (held > 0)), 0.0, goal)
    deep = tape.liquidity[at]
    room = np.where(np.isfinite(deep), rules.overlay.participation * deep / worth, held)
    goal = np.minimum(goal, room)
    unknown_vol = (held > 0) & ~cooling & ~np.isfinite(tape.day_vol[at])
    still = tape.frozen[at] | unknown_vol | ~tape.trading[slots.row]
    return np.where(still, held, goal)


def watch(tape: Tape, slots: Slots, rules: SlotRules) -> BoolArray:
    """The risk check of the row that has closed: stops, then higher marks, in place. (B,) which stops fired."""
    at = (slots.row, slots.asset)
    low, high, price = tape.low[at], tape.high[at], tape.price[at]
    level = _touched(low, slots, rules.overlay)
    units = -lots(slots.units, rules.lot_scale[slots.asset])
    fired = np.isfinite(level) & (slots.units > 0) & ~tape.frozen[at]
    fired &= -units * price > rules.min_notional[slots.asset]
    higher = (slots.units > 0) & np.isfinite(high) & ~(high <= slots.high)
    slots.high[higher] = high[higher]
    slots.cooling[fired] = tape.time[slots.row[fired]] + round(rules.overlay.cooldown_h * HOUR_S)
    if fired.any():
        start = np.where(fired, np.minimum(tape.opens[at], level), np.nan)
        _fill(tape, slots, rules, np.where(fired, units, 0.0), start, np.full_like(price, np.nan))
    return fired


def _touched(low: Array, slots: Slots, overlay: OverlaySettings) -> Array:
    """(B,) the highest exit level that the low reaches, USD; NaN = none."""
    if not overlay.exits:
        return np.full_like(low, np.nan)
    levels = np.stack(
        [slots.stop, slots.high * (1.0 - overlay.trailing), slots.basis * (1.0 - overlay.max_loss)], axis=0
    )
    highest: Array = np.fmax.reduce(np.where(low <= levels, levels, np.nan), axis=0)
    return highest


def _fill(tape: Tape, slots: Slots, rules: SlotRules, units: Array, start: Array, stop_distance: Array) -> None:
    """Fill market orders (B,), 0 = none, that meet the market at `start` USD; what is refused changes nothing."""
    tier, scale = rules.tier[slots.asset], rules.price_scale[slots.asset]
    volume = tape.volume[slots.row, slots.asset]
    paid = taker_price(start, units, volume, tier, scale, rules.costs)
    notional = np.abs(units) * paid
    charged = fee(notional, rules.costs)
    cash = slots.cash - units * paid - charged
    done = (units != 0) & np.isfinite(paid) & (notional > rules.min_notional[slots.asset]) & (cash >= 0)
    bought, before = done & (units > 0), slots.units
    anew = bought & (units > before)
    had = np.where(np.isfinite(slots.basis), before, 0.0)
    spent = units * paid + charged + had * np.where(had > 0, slots.basis, 0.0)
    basis = spent / np.where(bought, units + had, 1.0)
    slots.basis = np.where(bought, basis, slots.basis)
    slots.high = np.where(anew, paid, slots.high)
    slots.stop = np.where(anew, paid - stop_distance, slots.stop)
    slots.opened = np.where(anew, tape.time[slots.row], slots.opened)
    grain = rules.lot_scale[slots.asset]
    slots.units = np.where(done, np.rint((before + units) * grain) / grain, before)
    slots.cash = np.where(done, cash, slots.cash)
    gone = done & (slots.units <= 0)
    slots.basis[gone] = slots.high[gone] = slots.stop[gone] = np.nan
