"""One slot as pure changes of Memory: prepare (decision and durable intents), then finish (fills and record).

`run` puts a store, intents and a journal around these. `backtest` takes `alone`, which is both in one for whoever needs
none of that; a law holds that it sends the same orders and leaves the same Memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from evenkeel.decide import Rules, decide, unavailable
from evenkeel.engine import record as rows
from evenkeel.engine.slots import TRADING, begun, counted, ended, spent
from evenkeel.lean import changed, lean
from evenkeel.portfolio import book as accounts
from evenkeel.portfolio import redenomination
from evenkeel.portfolio.book import Difference
from evenkeel.portfolio.marks import stop_distances
from evenkeel.types import (
    Book,
    Brain,
    Holdings,
    Intent,
    Memory,
    OpenSlot,
    Plan,
    Record,
    Slot,
    SlotOutcome,
    Trace,
    TradingState,
    View,
)
from evenkeel.units import plain

Decider = Callable[[View, Book, Brain, Rules, Slot], Plan]
Scheduler = Callable[[Plan, Memory], Mapping[str, Any]]
"""What is kept of each order that is sent over time, by order id: JSON values, see `engine.parents`."""


@lean
@dataclass(frozen=True, slots=True)
class Prepared:
    """Memory with the decision taken over and an open slot with durable intents; `step` is that open slot."""

    memory: Memory
    step: OpenSlot
    plan: Plan
    differences: tuple[Difference, ...]


def skip_reason(slot: Slot, view: View, memory: Memory, rules: Rules) -> str:
    """Why a trading slot must not decide: no new closed bar, or too little of the market is known; `` to go on."""
    if slot.kind not in TRADING:
        return ""
    if view.as_of <= memory.scored:
        return "no_new_bar"
    return unavailable(view, rules)


def prepare(
    memory: Memory,
    slot: Slot,
    view: View,
    holdings: Holdings,
    brain: Brain,
    rules: Rules,
    decider: Decider = decide,
    *,
    scheduler: Scheduler | None = None,
) -> Prepared:
    """Reconcile, decide, and put the plan's intents into Memory; sends nothing. ValueError if the slot had begun.

    scheduler  which orders become intents only as their time comes; None = all are intents now
    """
    marks = spent(memory, slot)
    memory, holdings, differences = _reconciled(memory, view, holdings, rules)
    plan = decider(view, Book(holdings, memory), brain, rules, slot)
    now = changed(memory, watermarks=marks)  # the journal shows the slot begun
    draft = rows.draft(plan, view, Book(holdings, now), differences)
    over_time = scheduler(plan, memory) if scheduler is not None else {}
    if over_time:
        draft = {**draft, "cash": plain(holdings.cash - holdings.locked), "schedules": over_time}
    intents = [Intent(o, trace=_trace(o.asset, holdings)) for o in plan.orders if o.id not in over_time]
    step = OpenSlot(slot, plan.as_of, draft, tuple(intents))
    memory = accounts.apply_carry(memory, plan.carry, watermarks=marks, open_slots=(*memory.open_slots, step))
    return Prepared(memory, step, plan, differences)


def alone(
    memory: Memory,
    slot: Slot,
    view: View,
    holdings: Holdings,
    brain: Brain,
    rules: Rules,
    decider: Decider,
    act: Callable[[OpenSlot, Memory], OpenSlot],
) -> tuple[Memory, Plan, tuple[Intent, ...]]:
    """`prepare`, `act` and `close` of one who alone writes Memory and keeps no journal: a back-test.

    act  only called where there are orders; all are sent at once
    The law: Memory and intents are those that the three steps leave, without journal rows and traces.
    Raises ValueError as `prepare` and `close` do.
    """
    marks = spent(memory, slot)
    memory, holdings, _ = _reconciled(memory, view, holdings, rules)
    plan = decider(view, Book(holdings, memory), brain, rules, slot)
    if not plan.orders:
        outcome = SlotOutcome(slot.id, str(slot.kind), slot.time, "done", "", plan.as_of)
        also = {"watermarks": marks, **counted(memory, outcome), **_flat(memory, memory.open_slots)}
        return accounts.apply_carry(memory, plan.carry, **also), plan, ()
    intents = tuple([Intent(order) for order in plan.orders])
    step = OpenSlot(slot, plan.as_of, {"entry_atr": plan.carry.entry_atr}, intents)
    memory = accounts.apply_carry(memory, plan.carry, watermarks=marks, open_slots=(*memory.open_slots, step))
    step = act(step, memory)
    return close(memory, step, recorded=False), plan, step.intents


def _reconciled(
    memory: Memory, view: View, holdings: Holdings, rules: Rules
) -> tuple[Memory, Holdings, tuple[Difference, ...]]:
    """Memory that agrees with the venue on every asset that no open slot is trading, and what is believed of it."""
    if not memory.open_slots and accounts.agree(memory, holdings):
        return memory, holdings, ()
    busy, spike = frozenset(memory.busy()), rules.quality.spike
    holdings, doubted = redenomination.held_back(memory, holdings, view, spike, busy)
    memory, renamed = redenomination.rescaled(memory, holdings, view, spike, busy)
    price = dict(zip(view.assets, view.price.tolist(), strict=True))
    entry_atr = stop_distances(view, rules.overlay, holdings.units)
    memory, adopted = accounts.reconcile(memory, holdings, price, busy, entry_atr)
    return memory, holdings, (*doubted, *renamed, *adopted)


def _trace(asset: str, holdings: Holdings) -> Trace:
    return Trace(holdings.newest, holdings.units.get(asset, Decimal(0)))


def answered(step: OpenSlot, memory: Memory) -> bool:
    """Whether nothing is left to learn of its legs: each is resolved, or its pair waits for a person."""
    return all(intent.status.resolved or intent.order.asset in memory.quarantined for intent in step.intents)


def update(memory: Memory, slot: Slot, intent: Intent) -> Memory:
    """Memory with one intent of an open slot replaced (matched by order id).

    What is over stays over: one lane's look may end after the other lane has taken the order back.
    """

    def news(known: Intent) -> Intent:
        older = known.status.resolved and not intent.status.resolved
        return intent if known.order.id == intent.order.id and not older else known

    step = open_slot(memory, slot)
    return memory if step is None else replaced(memory, replace(step, intents=tuple(map(news, step.intents))))


def open_slot(memory: Memory, slot: Slot) -> OpenSlot | None:
    """The open step of a slot; None when it is not open."""
    return next((step for step in memory.open_slots if step.slot == slot), None)


def finish(memory: Memory, slot: Slot) -> Memory:
    """Close an open slot as Memory knows it. Raises ValueError where it is not open, and as `close` does."""
    step = open_slot(memory, slot)
    if step is None:
        raise ValueError(f"slot {slot.id} cannot be finished: it is not open")
    return close(memory, step)


def close(memory: Memory, step: OpenSlot, *, recorded: bool = True) -> Memory:
    """Memory with an open slot settled by the answers in `step`, counted, and its record put into the outbox.

    Raises ValueError while an intent is unresolved: such a slot stays open until the venue has answered, or until its
    pair is quarantined, and then the next reconciliation adopts what the venue holds.
    """
    slot = step.slot
    if not answered(step, memory):
        raise ValueError(f"slot {slot.id} cannot be finished: an intent is unresolved")
    known = step.settled
    fills = [fill for intent in step.intents for fill in intent.fills if not known or intent.order.id not in known]
    memory = accounts.settle(memory, fills, step.plan["entry_atr"]) if fills else memory
    left = tuple([other for other in memory.open_slots if other.slot != slot])
    also = {} if step.intents or "schedules" in step.plan else _flat(memory, left)
    outcome = SlotOutcome(slot.id, str(slot.kind), slot.time, "done", "", step.as_of, len(step.intents))
    done = changed(memory, open_slots=left, **counted(memory, outcome), **also)
    return _recorded(done, outcome, rows.completed(step, done)) if recorded else done


def _flat(memory: Memory, left: tuple[OpenSlot, ...]) -> Mapping[str, Any]:
    """What changes with a slot that had nothing to send: where everything was to be closed, it is, unless others sell.

    left  slots that are still open
    """
    return {"flatten": False, "trading_state": TradingState.HALTED} if memory.flatten and not left else {}


def settled(memory: Memory, slot: Slot) -> Memory:
    """Memory with the orders of an open slot that are over taken into the books, before the slot itself is over."""
    step = open_slot(memory, slot)
    news = [i for i in step.intents if i.status.resolved and i.order.id not in step.settled] if step else []
    if step is None or not news:
        return memory
    memory = accounts.settle(memory, [fill for i in news for fill in i.fills], step.plan["entry_atr"])
    step = replace(step, settled=(*step.settled, *(i.order.id for i in news)))
    return replaced(memory, step)


def replaced(memory: Memory, step: OpenSlot) -> Memory:
    """Memory with an open slot as it is now."""
    return changed(memory, open_slots=tuple(step if other.slot == step.slot else other for other in memory.open_slots))


def end(memory: Memory, slot: Slot, outcome: str, reason: str, as_of: int = 0, *, recorded: bool = True) -> Memory:
    """End a slot that did not decide: `skipped` or `failed`, with its reason, and put its record into the outbox."""
    row = SlotOutcome(slot.id, slot.kind.value, slot.time, outcome, reason, as_of)
    done = ended(begun(memory, slot), row)
    return _recorded(done, row, {}) if recorded else done


def _recorded(memory: Memory, outcome: SlotOutcome, tables: Mapping[str, Any]) -> Memory:
    memory, audit = rows.audited(memory, outcome, tables)
    out = {"sequence": memory.records, "tables": {"slots": [rows.slot_row(outcome)], **tables, "audit": audit}}
    return changed(memory, outbox=out)


def outbox(memory: Memory) -> Record | None:
    """The last committed record, to be written to the journal if it is not there yet."""
    if memory.outbox is None:
        return None
    tables = {name: tuple(rows_) for name, rows_ in memory.outbox["tables"].items()}
    return Record(int(memory.outbox["sequence"]), tables)


def cash_of(memory: Memory) -> Decimal:
    """Cash in USD. Raises ValueError before the first reconciliation."""
    if memory.cash is None:
        raise ValueError("cash is unknown before the first reconciliation")
    return memory.cash
