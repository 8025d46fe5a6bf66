"""Sending over time: cancels, children and settling of one open slot, a few calls at a time.

Nothing sleeps here. Each call does what is due now and comes back; the slot stays open and its lane comes again at the
next child's time. A child is an intent like any other: durable before the socket, judged by what the venue shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal

from evenkeel.engine import parents, protocol
from evenkeel.engine import step as steps
from evenkeel.engine.parents import CASH_SHORT, DUST, Desk
from evenkeel.engine.ports import Broker, Touch
from evenkeel.engine.protocol import PROOF, Clock, Commit, Halted
from evenkeel.engine.verdict import ProofSettings
from evenkeel.errors import VenueError, VenueUnknownError
from evenkeel.lean import changed
from evenkeel.portfolio.orders import UNITS_LOCKED
from evenkeel.portfolio.schedule import Cancel, Child, Done, Schedule
from evenkeel.types import Holdings, Intent, IntentStatus, Memory, OpenSlot, Order, Slot, Trace, TradingState
from evenkeel.units import floor_to

Touches = Mapping[str, Touch]


def advance(
    slot: Slot,
    memory: Memory,
    broker: Broker,
    commit: Commit,
    halted: Halted,
    now: Clock,
    desk: Desk,
    *,
    proof: ProofSettings = PROOF,
) -> Memory:
    """Do what is due for the parents of an open slot; returns Memory with every answer in it.

    Children whose time is over are cancelled, then sales go out, then purchases that confirmed cash pays for.
    """
    memory = _cancel_overdue(slot, memory, broker, commit, now, halted=halted())
    for buys in (False, True):
        if _wanted(slot, memory, int(now()), buys=buys, halted=halted()):
            try:
                holdings = broker.holdings(int(now()))
            except (VenueError, VenueUnknownError):
                return memory  # nothing is sent to an account that cannot be read; the lane comes again
            memory = _prepare(slot, memory, commit, holdings, int(now()), desk, buys=buys)
            memory = protocol.act(slot, memory, broker, commit, halted, now, proof=proof)
            memory = commit(lambda m: steps.settled(m, slot))
    return memory


def withdraw(assets: frozenset[str], memory: Memory, broker: Broker, commit: Commit, now: Clock) -> Memory:
    """Take back what rests of these assets because an exit wants their pairs; their parents are over."""
    for step in memory.open_slots:
        for intent in step.intents:
            if intent.order.asset in assets and protocol.resting(intent):
                answer = cancelled(intent, broker, int(now()))
                if answer.status is IntentStatus.CANCELED:
                    answer = changed(answer, note=parents.MADE_WAY)
                memory = commit(lambda m, s=step.slot, a=answer: protocol.noted(m, s, [a]))  # type: ignore[misc]
        memory = commit(lambda m, s=step.slot: steps.settled(m, s))  # type: ignore[misc]
    return memory


def cancelled(intent: Intent, broker: Broker, time: int) -> Intent:
    """The intent after one request to take it back: what the venue says became of it, a fill above all (O10)."""
    venue_id = intent.trace.venue if intent.trace is not None else ""
    try:
        found = broker.cancel(intent.order.asset, venue_id, time)
    except VenueError as error:
        return changed(intent, note=str(error))
    except VenueUnknownError as error:
        return changed(intent, status=IntentStatus.UNKNOWN, note=str(error))
    if found is None:
        return changed(intent, status=IntentStatus.UNKNOWN, note="the venue does not know the order it took")
    return protocol.answered(intent, found, intent.attempts, differs=found.quantity != intent.order.quantity)


def _cancel_overdue(slot: Slot, memory: Memory, broker: Broker, commit: Commit, now: Clock, *, halted: bool) -> Memory:
    """Cancel children whose deadline is over, or whose parent is; the fewest calls where none is."""
    step = steps.open_slot(memory, slot)
    time = int(now())
    if step is None:
        return memory
    todo = {said.id for _, said in parents.steps(step, memory, time, halted=halted) if isinstance(said, Cancel)}
    for intent in step.intents:
        if intent.order.id in todo:
            answer = cancelled(intent, broker, int(now()))
            memory = commit(lambda m, a=answer: protocol.noted(m, slot, [a]))  # type: ignore[misc]
    return commit(lambda m: steps.settled(m, slot))


def _wanted(slot: Slot, memory: Memory, time: int, *, buys: bool, halted: bool) -> bool:
    step = steps.open_slot(memory, slot)
    return step is not None and any(
        isinstance(said, Child) and (parent.parent.quantity > 0) is buys
        for parent, said in parents.steps(step, memory, time, halted=halted)
    )


def _prepare(
    slot: Slot, memory: Memory, commit: Commit, holdings: Holdings, time: int, desk: Desk, *, buys: bool
) -> Memory:
    """Children of one side as durable intents, in one write; quotes are asked for before it, never inside."""
    step = steps.open_slot(memory, slot)
    sought = [p for p in parents.of(step) if (p.parent.quantity > 0) is buys] if step else []
    asked = {parent.parent.asset: desk.market.touch(parent.parent.asset) for parent in sought}
    touches = {asset: touch for asset, touch in asked.items() if touch is not None}

    def change(memory: Memory) -> Memory:
        step = steps.open_slot(memory, slot)
        if step is None:
            return memory
        for parent in sought:
            intent = _child(parent, step, memory, holdings, time, desk, touches)
            if intent is not None:
                step = replace(step, intents=(*step.intents, intent))
        return steps.replaced(memory, step)

    return commit(change)


def _child(
    parent: Schedule, step: OpenSlot, memory: Memory, holdings: Holdings, time: int, desk: Desk, touches: Touches
) -> Intent | None:
    """The next child of a parent as an intent; None before its time, without a quote, or while it waits for cash."""
    touch = touches.get(parent.parent.asset)
    if touch is None:
        return None
    near = touch.ask if parent.parent.quantity > 0 else touch.bid
    halted = memory.trading_state is TradingState.HALTED
    said = parents.next_step(parent, step, memory, time, Decimal(repr(near)), halted=halted)
    if not isinstance(said, Child):
        return None
    order, asset = said.order, said.order.asset
    limit = parents.resting_price(order, touch, parent.pair) if order.style == "limit" else None
    if order.quantity > 0:
        paid = _paid(order, parent, step, memory, time, desk, touches, limit)
        if paid is None:
            return None
    else:
        held = floor_to(holdings.free(asset), parent.pair.amount_decimals)
        paid = order if -order.quantity <= held else parents.replaced(order, -held)
    trace = Trace(holdings.newest, holdings.units.get(asset, Decimal(0)), limit=limit)
    if abs(paid.quantity) * Decimal(repr(near)) <= parent.pair.min_notional:
        short = UNITS_LOCKED if holdings.locked_units and asset in holdings.locked_units else DUST
        return Intent(order, IntentStatus.NOT_PLACED, 0, CASH_SHORT if order.quantity > 0 else short, (), trace)
    return Intent(paid, trace=trace)


def _paid(
    order: Order,
    parent: Schedule,
    step: OpenSlot,
    memory: Memory,
    time: int,
    desk: Desk,
    touches: Touches,
    limit: Decimal | None,
) -> Order | None:
    """A purchase cut to confirmed cash; None while a sale that is under way may still bring some."""
    unit = parents.unit_cost(order, touches[order.asset], desk, limit)
    cash = parents.confirmed_cash(step, lambda out: _worst(out, step, desk, touches))
    cut = parents.affordable(order, cash, unit, parent.pair)
    if cut.quantity == order.quantity:
        return order
    if any(i.order.quantity < 0 and not i.status.resolved for i in step.intents):
        return None
    small = cut.quantity * unit <= parent.pair.min_notional
    return None if small and _sales_to_come(step, memory, time) else cut


def _worst(out: Intent, step: OpenSlot, desk: Desk, touches: Touches) -> Decimal:
    """Most that a unit of a purchase that is out may cost, USD."""
    limit, touch = out.trace.limit if out.trace is not None else None, touches.get(out.order.asset)
    if touch is None:
        known = next(float(p.arrival) for p in parents.of(step) if p.parent.asset == out.order.asset)
        touch = Touch(known, known, float("nan"))
    return parents.unit_cost(out.order, touch, desk, limit)


def _sales_to_come(step: OpenSlot, memory: Memory, time: int) -> bool:
    selling: Iterable[Schedule] = (p for p in parents.of(step) if p.parent.quantity < 0)
    return any(not isinstance(parents.next_step(p, step, memory, time, halted=False), Done) for p in selling)
