"""One slot as pure changes of Memory: prepare (decision and durable intents), then finish (fills and record).

`run` puts a store, intents and a journal around these; `backtest` calls them bare. That is why both send the same
orders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from evenkeel.decide import Rules, decide, unavailable
from evenkeel.engine import record as rows
from evenkeel.engine.slots import TRADING, begun, ended
from evenkeel.portfolio import book as accounts
from evenkeel.portfolio.book import Difference
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
    TradingState,
    View,
)

Decider = Callable[[View, Book, Brain, Rules, Slot], Plan]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Memory with the decision taken over and, if there is anything to send, an open slot with durable intents."""

    memory: Memory
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
) -> Prepared:
    """Reconcile, decide, and put the plan's intents into Memory; sends nothing. ValueError if the slot had begun."""
    memory = begun(memory, slot)
    busy = frozenset(intent.order.asset for step in memory.open_slots for intent in step.intents)
    price = dict(zip(view.assets, view.price.tolist(), strict=True))
    memory, differences = accounts.reconcile(memory, holdings, price, busy)
    book = Book(holdings, memory)
    plan = decider(view, book, brain, rules, slot)
    after = accounts.apply_carry(memory, plan.carry)
    intents = tuple(Intent(order) for order in plan.orders)
    step = OpenSlot(slot, plan.as_of, rows.draft(plan, book, differences), intents)
    return Prepared(replace(after, open_slots=(*after.open_slots, step)), plan, differences)


def update(memory: Memory, slot: Slot, intent: Intent) -> Memory:
    """Memory with one intent of an open slot replaced (matched by order id)."""

    def changed(step: OpenSlot) -> OpenSlot:
        if step.slot != slot:
            return step
        return replace(step, intents=tuple(intent if i.order.id == intent.order.id else i for i in step.intents))

    return replace(memory, open_slots=tuple(changed(step) for step in memory.open_slots))


def open_slot(memory: Memory, slot: Slot) -> OpenSlot | None:
    """The open step of a slot; None when it is not open."""
    return next((step for step in memory.open_slots if step.slot == slot), None)


def finish(memory: Memory, slot: Slot) -> Memory:
    """Close an open slot: settle its fills, count it, and put its record into the outbox.

    Raises ValueError while an intent is unresolved: such a slot stays open until the venue has answered.
    """
    step = open_slot(memory, slot)
    if step is None or not all(intent.status.resolved for intent in step.intents):
        raise ValueError(f"slot {slot.id} cannot be finished: it is not open, or an intent is unresolved")
    fills = [fill for intent in step.intents for fill in intent.fills]
    memory = accounts.settle(memory, fills, step.plan["entry_atr"])
    memory = replace(memory, open_slots=tuple(s for s in memory.open_slots if s.slot != slot))
    if memory.flatten and not step.intents and not memory.open_slots:
        memory = replace(memory, flatten=False, trading_state=TradingState.HALTED)
    orders = len(step.intents)
    outcome = SlotOutcome(slot.id, slot.kind.value, slot.time, "done", as_of=step.as_of, orders=orders)
    return _recorded(ended(memory, outcome), outcome, rows.completed(step, memory))


def end(memory: Memory, slot: Slot, outcome: str, reason: str, as_of: int = 0) -> Memory:
    """End a slot that did not decide: `skipped` or `failed`, with its reason, and put its record into the outbox."""
    row = SlotOutcome(slot.id, slot.kind.value, slot.time, outcome, reason, as_of)
    return _recorded(ended(begun(memory, slot), row), row, {})


def _recorded(memory: Memory, outcome: SlotOutcome, tables: Mapping[str, Any]) -> Memory:
    memory, audit = rows.audited(memory, outcome, tables)
    out = {"sequence": memory.records, "tables": {"slots": [rows.slot_row(outcome)], **tables, "audit": audit}}
    return replace(memory, outbox=out)


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
