"""What to believe after state.json was lost and an older generation was taken. Pure.

The order: what the journal knows is taken over (how slots ended, their fills, what people commanded) and exposure may
only fall, in one durable change; then every fill of the venue that nobody knows ends its slot as failed(state_lost);
then the venue's quantities are adopted; only then does the service go on as it was. Every step may be done twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from evenkeel.engine import step
from evenkeel.engine.slots import TRADING, ended
from evenkeel.portfolio import book
from evenkeel.portfolio.book import Difference
from evenkeel.portfolio.overlay import EXIT_CODES
from evenkeel.service import control
from evenkeel.types import Fill, Holdings, Memory, Slot, SlotKind, SlotOutcome, TradingState
from evenkeel.units import plain

FELL_BACK = "state.json was damaged: an older generation was taken"
LOST = "state_lost"

_MARK = re.compile(re.escape(FELL_BACK) + r" \| (\w+) \| (.*)", re.DOTALL)
_OURS = re.compile(r"^(ris|reb|sco)([0-9a-f]+)-[^-]+-(\d+)(?:\.\d+)?$")
_KINDS = {kind.value[:3]: kind for kind in SlotKind}

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ahead:
    """Rows that the journal has and memory does not: by table, each in order of its sequence."""

    audit: Sequence[Row]
    slots: Sequence[Row]
    fills: Sequence[Row]
    orders: Sequence[Row]


def recovering(memory: Memory) -> bool:
    """Whether a recovery began and did not come to its end."""
    return memory.state_reason.startswith(FELL_BACK)


def reduced(memory: Memory) -> Memory:
    """REDUCING until the venue's orders are explained; HALTED stays HALTED. What was before is kept in the reason."""
    if recovering(memory):
        return memory
    before = memory.trading_state
    state = TradingState.REDUCING if before is TradingState.ACTIVE else before
    return replace(memory, trading_state=state, state_reason=f"{FELL_BACK} | {before.value} | {memory.state_reason}")


def caught_up(memory: Memory, ahead: Ahead, cooldown_s: int) -> Memory:
    """Memory with what the journal knows beyond it: ledger, fills, cool-downs, commands, audit chain."""
    if not ahead.audit:
        return memory
    for row in ahead.slots:
        fills = [_fill(item) for item in ahead.fills if item["slot"] == row["slot"]]
        memory = _past(memory, row, fills)
    exits = {o["asset"]: int(o["time"]) + cooldown_s for o in ahead.orders if o["reason"] in EXIT_CODES}
    memory = replace(memory, cooldowns=dict(sorted({**memory.cooldowns, **exits}.items())))
    for row in ahead.audit:
        kind, _, word = str(row["event"]).partition(".")
        if kind == "command":
            memory = control.told(memory, word, json.loads(row["detail"])["reason"])
    last = ahead.audit[-1]
    return replace(memory, records=int(last["sequence"]), audit_hash=last["hash"], outbox=None)


def slot_of(fill: Fill) -> Slot | None:
    """The slot that sent the order of a fill; None for an order that is not ours."""
    match = _OURS.match(fill.order_id)
    return Slot(_KINDS[match[1]], int(match[2], 16)) if match else None


def since(memory: Memory) -> int:
    """The time (UTC s) after which a fill may be unknown to memory."""
    return min(memory.watermarks.get(kind.value, 0) for kind in SlotKind)


def unknown(memory: Memory, fills: Iterable[Fill]) -> dict[Slot, list[Fill]]:
    """Our fills whose slot memory never heard of, by slot, oldest first."""
    lost: dict[Slot, list[Fill]] = {}
    for fill in fills:
        slot = slot_of(fill)
        if slot is not None and slot.time > memory.watermarks.get(slot.kind.value, -1):
            lost.setdefault(slot, []).append(fill)
    return dict(sorted(lost.items(), key=lambda item: (item[0].time, item[0].kind is not SlotKind.RISK)))


def bound(memory: Memory, slot: Slot, fills: Sequence[Fill]) -> Memory:
    """Memory with the fills of a lost slot settled and the slot ended: it is never decided again."""
    memory = step.end(_settled(memory, fills, {}), slot, "failed", LOST)
    out = memory.outbox or {}
    rows = {"orders": [_order_row(slot, fill) for fill in fills], "fills": [_fill_row(slot, fill) for fill in fills]}
    return replace(memory, outbox={**out, "tables": {**out["tables"], **rows}})


def restored(memory: Memory, holdings: Holdings) -> tuple[Memory, tuple[Difference, ...]]:
    """The venue's quantities adopted, and the trading state as it was before."""
    busy = frozenset(memory.busy())
    if memory.cash is None and memory.positions:
        memory = replace(memory, cash=holdings.cash)  # its first look was lost: what it paid is known, what it had not
    memory, differences = book.reconcile(memory, holdings, {}, busy)
    match = _MARK.fullmatch(memory.state_reason)
    if match is None:
        return memory, differences
    return replace(memory, trading_state=TradingState(match[1]), state_reason=match[2]), differences


def _past(memory: Memory, row: Row, fills: Sequence[Fill]) -> Memory:
    """Memory after a slot that ended in the journal: no new record, its fills settled, evidence not used twice."""
    kind, time = SlotKind(row["kind"]), int(row["time"])
    as_of, orders = int(row["as_of"] or 0), int(row["orders"] or 0)
    opened = next((s for s in memory.open_slots if s.slot == Slot(kind, time)), None)
    if opened:
        memory = _settled(memory, [f for f in fills if f.order_id not in opened.settled], opened.plan["entry_atr"])
    else:
        memory = _settled(memory, fills, {})
    outcome = SlotOutcome(row["slot"], kind.value, time, row["outcome"], row["reason"] or "", as_of, orders)
    memory = ended(memory, outcome)
    done = row["outcome"] == "done"
    return replace(
        memory,
        watermarks={**memory.watermarks, kind.value: max(time, memory.watermarks.get(kind.value, -1))},
        open_slots=tuple(s for s in memory.open_slots if s is not opened),
        evidence=max(memory.evidence, as_of if done else 0),
        scored=max(memory.scored, as_of if done and kind in TRADING else 0),
    )


def _settled(memory: Memory, fills: Sequence[Fill], entry_atr: Mapping[str, float]) -> Memory:
    """Memory after fills; cash that was never seen stays unknown."""
    if memory.cash is not None:
        return book.settle(memory, fills, entry_atr)
    return replace(book.settle(replace(memory, cash=Decimal(0)), fills, entry_atr), cash=None)


def _fill(row: Row) -> Fill:
    quantity, price, fee = (Decimal(row[name]) for name in ("quantity", "price", "fee"))
    return Fill(row["id"], row["order_id"], row["asset"], quantity, price, fee, int(row["time"]))


def _order_row(slot: Slot, fill: Fill) -> dict[str, Any]:
    match = _OURS.match(fill.order_id)
    return {
        "id": fill.order_id,
        "slot": slot.id,
        "kind": slot.kind.value,
        "time": slot.time,
        "leg": int(match[3]) if match else 0,
        "asset": fill.asset,
        "side": "BUY" if fill.quantity > 0 else "SELL",
        "quantity": plain(abs(fill.quantity)),
        "reason": "STATE_LOST",
        "status": "FILLED",
        "note": "told by the venue; the plan was lost with state.json",
    }


def _fill_row(slot: Slot, fill: Fill) -> dict[str, Any]:
    return {
        "id": fill.id,
        "order_id": fill.order_id,
        "slot": slot.id,
        "asset": fill.asset,
        "quantity": plain(fill.quantity),
        "price": plain(fill.price),
        "fee": plain(fill.fee),
        "time": fill.time,
    }
