"""How a turn begins and ends in memory: orders durable, fills booked, rows for the journal and for the files. Pure.

The journal is that of the rebalancer, in a file of the desk's own: what was decided, sent and filled, with the code of
everything that was refused. It is never needed to recover.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from evenkeel.desk import alerts, files, ledger
from evenkeel.desk.decide import Decision
from evenkeel.desk.ledger import Ledger, Stake, Trade
from evenkeel.engine import record as rows
from evenkeel.engine import slots
from evenkeel.engine import step as steps
from evenkeel.store import from_json, to_json
from evenkeel.types import Intent, Memory, OpenSlot, Slot, SlotOutcome, Trace
from evenkeel.units import plain

Row = dict[str, Any]


def plan_of(decision: Decision, told: Sequence[Row] = ()) -> Mapping[str, Any]:
    """What an open slot keeps of its decision, as JSON values: the markets of its orders, and why others were left."""
    return {
        "alerts": list(told),
        "stakes": {ticker: to_json(stake) for ticker, stake in decision.stakes.items()},
        "refused": dict(decision.refused),
        "counts": dict(decision.counts),
        "makers": {name: dict(kept) for name, kept in decision.makers.items()},
        "critic": {event: [_known(said.factor), said.note] for event, said in decision.heard.items()},
    }


def _known(factor: float) -> float | None:
    return factor if math.isfinite(factor) else None


def with_children(memory: Memory, slot: Slot, children: list[Intent]) -> Memory:
    """Memory with orders that are put anew, as intents that are durable before they leave."""
    opened = steps.open_slot(memory, slot)
    if opened is None or not children:
        return memory
    return steps.replaced(memory, replace(opened, intents=(*opened.intents, *children)))


def begun(before: Ledger, now: Ledger, slot: Slot, decision: Decision) -> Ledger:
    """The ledger with the slot begun and every order a durable intent; a change of the trading state is an alert."""
    intents = tuple(
        Intent(
            order,
            trace=Trace(
                None,
                now.held[order.asset].count if order.asset in now.held else Decimal(0),
                limit=decision.limits[order.id],
            ),
        )
        for order in decision.orders
    )
    opened = OpenSlot(slot, slot.time, plan_of(decision, alerts.of_state(slot, before, now)), intents)
    return replace(now, watermarks=slots.spent(now, slot), open_slots=(*now.open_slots, opened))


def closed(now: Ledger, slot: Slot, folder: Path, time: int) -> Ledger:
    """The ledger after an open slot whose orders are all over: fills booked, the slot ended, its rows noted.

    Raises ValueError where the slot is not open, or an order may still fill.
    """
    opened = steps.open_slot(now, slot)
    if opened is None or not steps.answered(opened, now):
        raise ValueError(f"slot {slot.id} cannot be closed")
    after, trades = _filled(now, opened)
    left = tuple(other for other in after.open_slots if other.slot != slot)
    outcome = SlotOutcome(slot.id, str(slot.kind), slot.time, "done", "", time, len(opened.intents))
    done = _recorded(replace(after, open_slots=left), outcome, _tables(opened, after))
    return files.noted(done, folder, trades, slot.time)


def skipped(now: Ledger, slot: Slot, outcome: str, reason: str) -> Ledger:
    """The ledger after a slot that decided nothing."""
    row = SlotOutcome(slot.id, str(slot.kind), slot.time, outcome, reason, slot.time)
    return _recorded(_ledger(slots.begun(now, slot)), row, {})


def _filled(now: Ledger, opened: OpenSlot) -> tuple[Ledger, list[Trade]]:
    trades: list[Trade] = []
    for intent in opened.intents:
        stake = from_json(Stake, opened.plan["stakes"][intent.order.asset])
        for fill in intent.fills:
            now, more = ledger.booked(now, fill, stake)
            trades += more
    return now, trades


def _tables(opened: OpenSlot, after: Ledger) -> dict[str, list[Row]]:
    slot, plan = opened.slot, opened.plan
    gain = after.equity
    equity = {"time": slot.time, "slot": slot.id, "equity": None if gain is None else float(gain),
              "cash": plain(after.money), "fees": plain(after.fees), "flows": plain(after.flows),
              "turnover": plain(after.turnover)}  # fmt: skip
    tables: dict[str, list[Row]] = {
        "plans": [{"slot": slot.id, "as_of": slot.time, "config_digest": after.config_digest,
                   "plan": {name: plan[name] for name in ("refused", "counts", "critic")}}],
        "equity": [equity],
    }  # fmt: skip
    lost = [i.order.asset for i in opened.intents if i.order.asset in after.quarantined and not i.status.resolved]
    told = [*plan["alerts"], *alerts.of_lost(slot, lost)]
    if told:
        tables["alerts"] = told
    if opened.intents:
        tables["orders"] = [rows.order_row(slot, intent) for intent in opened.intents]
    fills = [fill for intent in opened.intents for fill in intent.fills]
    if fills:
        tables["fills"] = [
            {"id": fill.id, "order_id": fill.order_id, "slot": slot.id, "asset": fill.asset, "time": fill.time,
             "quantity": plain(fill.quantity), "price": plain(fill.price), "fee": plain(fill.fee)}
            for fill in fills
        ]  # fmt: skip
    return tables


def _recorded(now: Ledger, outcome: SlotOutcome, tables: Mapping[str, Any]) -> Ledger:
    after = _ledger(slots.ended(now, outcome))
    audited, audit = rows.audited(after, outcome, tables)
    out = {"sequence": after.records, "tables": {"slots": [rows.slot_row(outcome)], **tables, "audit": audit}}
    return replace(_ledger(audited), outbox=out)


def _ledger(memory: Memory) -> Ledger:
    """What the engine gives back of a ledger is one."""
    if not isinstance(memory, Ledger):
        raise TypeError(f"{type(memory).__name__} is no ledger")
    return memory
