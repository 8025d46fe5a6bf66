"""The orders of an open slot that are sent over time: what is to be done now, and when they are over. Pure.

A parent is an order of the plan; its schedule stands in the open slot's draft, its children are the slot's intents,
named `{parent}.{slice}`. Everything here follows from the open slot, Memory, the time and prices: whoever comes after a
crash goes on with the same schedule. The law of cash (O13): purchases never take more than the venue showed when the
slot began, with what sales confirmed since, less what purchases took or may yet take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from evenkeel.engine.ports import Market, Touch
from evenkeel.engine.step import open_slot
from evenkeel.engine.step import replaced as update_slot
from evenkeel.portfolio import schedule
from evenkeel.portfolio.costs import BPS, CostSettings, slippage_of
from evenkeel.portfolio.overlay import EXIT_CODES
from evenkeel.portfolio.schedule import Cancel, Child, Done, Schedule, ScheduleSettings, Wait
from evenkeel.store.codec import from_json, to_json
from evenkeel.types import Intent, IntentStatus, Memory, OpenSlot, Order, Pair, Plan, Slot, SlotKind, TradingState
from evenkeel.units import floor_to, iso, plain

Step = Child | Cancel | Wait | Done
Worst = Callable[[Intent], Decimal]

MADE_WAY = "MADE_WAY"
"""Note of a resting order that was taken back because a stop wants its pair: its parent is over."""
CASH_SHORT = "CASH_SHORT"
DUST = "DUST"


@dataclass(frozen=True, slots=True)
class Desk:
    """What it takes to send orders over time: how, of which pairs, at what expected cost, and the present market."""

    settings: ScheduleSettings
    pairs: Mapping[str, Pair]
    costs: CostSettings
    market: Market


def planned(plan: Plan, memory: Memory, desk: Desk, start: int) -> dict[str, Any]:
    """JSON of the schedule of each order that is not sent at once, by order id; `start` is now, UTC s.

    Risk slots and exits send at once. An order of a pair whose slippage breaker is open rests at its limit and never
    crosses (O11).
    """
    if plan.slot.kind is SlotKind.RISK:
        return {}
    price = dict(zip(plan.assets, plan.price.tolist(), strict=True))
    made = {}
    for order in plan.orders:
        if order.reason not in EXIT_CODES:
            wary = memory.limit_only.get(order.asset, 0) > start
            made[order.id] = to_json(_schedule(order, desk, start, price[order.asset], wary=wary))
    return made


def _schedule(order: Order, desk: Desk, start: int, price: float, *, wary: bool) -> Schedule:
    settings = replace(desk.settings, style="limit") if wary else desk.settings
    profile = desk.market.profile(order.asset) if settings.style == "vwap" else None
    pair = replace(desk.pairs[order.asset], symbols={})
    return schedule.scheduled(order, start, pair, Decimal(repr(price)), settings, profile, cross=not wary)


def of(step: OpenSlot) -> tuple[Schedule, ...]:
    """Schedules of an open slot, in the order of the plan: sales before purchases. Those read last are kept."""
    for plan, known in _READ:
        if plan is step.plan:
            return known
    found = tuple(from_json(Schedule, row) for row in step.plan.get("schedules", {}).values())
    _READ[:] = [(step.plan, found)]
    return found


_READ: list[tuple[Mapping[str, Any], tuple[Schedule, ...]]] = []


def children(step: OpenSlot, parent: Schedule) -> list[Intent]:
    """Intents of a parent so far."""
    return [intent for intent in step.intents if intent.order.id.rpartition(".")[0] == parent.parent.id]


def stopped(parent: Schedule, step: OpenSlot, memory: Memory, *, halted: bool) -> str:
    """Why nothing more is sent of a parent whatever the time; `` to go on."""
    order = parent.parent
    if halted or memory.flatten or memory.trading_state is TradingState.HALTED:
        return "TRADING_STATE_HALTED"
    if order.asset in memory.quarantined:
        return "PAIR_FROZEN"
    if any(child.note == MADE_WAY for child in children(step, parent)):
        return MADE_WAY
    if order.quantity <= 0:
        return ""
    if memory.trading_state is not TradingState.ACTIVE:
        return "TRADING_STATE_REDUCING"
    return "COOLDOWN" if memory.cooldowns.get(order.asset, 0) > parent.slices[0].time else ""


def next_step(
    parent: Schedule, step: OpenSlot, memory: Memory, now: int, price: Decimal | None = None, *, halted: bool
) -> Step:
    """What to do now for a parent, at `price` (USD per unit; None = what it was at the decision)."""
    mine = children(step, parent)
    why = stopped(parent, step, memory, halted=halted)
    if why:
        out = [child for child in mine if not child.status.resolved]
        given_up = parent.parent.asset in memory.quarantined and all(c.status is IntentStatus.UNKNOWN for c in out)
        if not out or given_up:  # what nobody understands waits for a person, not its slot for him
            return Done(why, schedule.left(parent, mine))
        if out[0].status is IntentStatus.ACKED and out[0].trace is not None:
            return Cancel(out[0].order.id)
        return Wait(now + 1, "PAIR_BUSY")
    said = schedule.next_child(parent, mine, now, price or parent.arrival)
    return Wait(now + 1, "PAIR_BUSY") if isinstance(said, Child) and _elsewhere(parent, step, memory) else said


def _elsewhere(parent: Schedule, step: OpenSlot, memory: Memory) -> bool:
    """Whether another slot has an order of this pair under way: a stop may have come between two children."""
    others = (other for other in memory.open_slots if other.slot != step.slot)
    asset = parent.parent.asset
    return any(
        intent.order.asset == asset and not intent.status.resolved for other in others for intent in other.intents
    )


def steps(step: OpenSlot, memory: Memory, now: int, *, halted: bool) -> Iterator[tuple[Schedule, Step]]:
    """What to do now for each parent, in the order of the plan."""
    for parent in of(step):
        yield parent, next_step(parent, step, memory, now, halted=halted)


def due(step: OpenSlot, memory: Memory, now: int, *, halted: bool) -> bool:
    """Whether something can be done now for one of the parents, or all are over and the slot can end."""
    told = [said for _, said in steps(step, memory, now, halted=halted)]
    return any(isinstance(said, Child | Cancel) for said in told) or (bool(told) and _over(told))


def over(step: OpenSlot, memory: Memory, now: int, *, halted: bool) -> bool:
    """Whether nothing more will be sent of any parent; what is left goes to the next cycle."""
    return _over([said for _, said in steps(step, memory, now, halted=halted)])


def _over(told: list[Step]) -> bool:
    return all(isinstance(said, Done) for said in told)


def at_an_end(step: OpenSlot, now: int) -> bool:
    """Whether the time of every schedule has passed."""
    return all(now >= parent.end for parent in of(step))


# ---------------------------------------------------------------- cash


def confirmed_cash(step: OpenSlot, worst: Worst) -> Decimal:
    """USD that purchases of an open slot may take now.

    worst  USD that one unit of a purchase that is out can cost, fee included
    """
    cash = Decimal(step.plan["cash"])
    for intent in step.intents:
        cash -= sum((fill.quantity * fill.price + fill.fee for fill in intent.fills), Decimal(0))
        if intent.order.quantity > 0 and not intent.status.resolved:
            got = sum((fill.quantity for fill in intent.fills), Decimal(0))
            cash -= (intent.order.quantity - got) * worst(intent)
    return cash


def unit_cost(order: Order, touch: Touch, desk: Desk, limit: Decimal | None) -> Decimal:
    """Most that a unit is expected to cost, USD: the limit with its fee, or the ask after twice its cost."""
    if limit is not None:
        return limit * Decimal(repr(1.0 + max(desk.costs.taker, desk.costs.maker) * BPS))
    value = abs(float(order.quantity)) * touch.ask
    slip = slippage_of(value, touch.volume, desk.pairs[order.asset].tier, desk.costs)
    return Decimal(repr(touch.ask * (1.0 + 2.0 * (desk.costs.taker * BPS + slip))))


def resting_price(order: Order, touch: Touch, pair: Pair) -> Decimal:
    """The near side of the touch at the pair's precision, rounded away from crossing, USD per unit."""
    near, rounding = (touch.bid, ROUND_FLOOR) if order.quantity > 0 else (touch.ask, ROUND_CEILING)
    return Decimal(repr(near)).quantize(Decimal(1).scaleb(-pair.price_decimals), rounding=rounding)


def affordable(order: Order, cash: Decimal, unit: Decimal, pair: Pair) -> Order:
    """A purchase cut to what `cash` pays at `unit` USD; quantity 0 where that is nothing."""
    most = max(floor_to(cash / unit, pair.amount_decimals), Decimal(0))
    return order if order.quantity <= most else replaced(order, most)


def replaced(order: Order, quantity: Decimal) -> Order:
    """The order for another quantity."""
    return replace(order, quantity=quantity)


# ---------------------------------------------------------------- telling


def recorded(memory: Memory, slot: Slot, now: int, *, halted: bool) -> Memory:
    """Memory whose open slot has, in its plan's row for the journal, every schedule beside what was executed."""
    step = open_slot(memory, slot)
    if step is None or "schedules" not in step.plan:
        return memory
    tables = step.plan["tables"]
    row = tables["plans"][0]
    executed = {**row["plan"], "schedules": told(step, memory, now, halted=halted)}
    plan = {**step.plan, "tables": {**tables, "plans": [{**row, "plan": executed}]}}
    return update_slot(memory, replace(step, plan=plan))


def told(step: OpenSlot, memory: Memory, now: int, *, halted: bool) -> list[dict[str, Any]]:
    """Each schedule beside what was executed, as JSON values: for journal, `status` and `why`."""
    rows = []
    for parent, said in steps(step, memory, now, halted=halted):
        mine, order = children(step, parent), parent.parent
        rows.append(
            {
                "order": order.id,
                "asset": order.asset,
                "style": parent.style,
                "note": parent.note,
                "quantity": plain(order.quantity),
                "left": plain(schedule.left(parent, mine)),
                "arrival": plain(parent.arrival),
                "end": iso(parent.end),
                "reason": said.reason if isinstance(said, Done | Wait) else "",
                "slices": [_slice(row) for row in schedule.shortfall(parent, [f for i in mine for f in i.fills])],
            }
        )
    return rows


def _slice(row: schedule.Executed) -> dict[str, Any]:
    return {
        "time": iso(row.time),
        "target": plain(row.target),
        "executed": plain(row.executed),
        "price": None if row.price is None else plain(round(row.price, 8)),
        "bps": None if row.price is None else round(row.bps, 2),
    }
