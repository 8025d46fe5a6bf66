"""Journal rows of a slot: what was decided, why, and what came of it. Plain JSON values; decimals are strings.

`draft` is made with the decision and kept in the open slot, `completed` adds the orders and fills; together they are
enough to replay the decision bit for bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np

from evenkeel.engine.slots import TRADING
from evenkeel.portfolio.book import COLD_START, Difference
from evenkeel.portfolio.redenomination import REDENOMINATED
from evenkeel.signals.policy import KIND
from evenkeel.types import (
    Book,
    Fill,
    Intent,
    Memory,
    OpenSlot,
    Opinion,
    Plan,
    Reading,
    Slot,
    SlotKind,
    SlotOutcome,
    View,
)
from evenkeel.units import plain

Row = dict[str, Any]
M = TypeVar("M", bound=Memory)

PAGED = frozenset({COLD_START, REDENOMINATED})
"""Disagreements of memory and venue that a person has to look at."""


def draft(plan: Plan, view: View, book: Book, differences: Sequence[Difference]) -> dict[str, Any]:
    """What an open slot keeps of its decision: entry-stop distances for settling, and the rows known so far."""
    tables: dict[str, list[Row]] = {
        "plans": [_plan_row(plan, view, book)],
        "targets": _target_rows(plan),
        "equity": [_equity_row(plan, book)],
        "alerts": [_difference_row(plan, d) for d in differences],
        "edge": _edge_rows(plan, view),
    }
    return {"entry_atr": dict(plan.carry.entry_atr), "tables": {k: v for k, v in tables.items() if v}}


def completed(step: OpenSlot, memory: Memory) -> dict[str, list[Row]]:
    """All rows of a finished step."""
    tables: dict[str, list[Row]] = {name: list(rows) for name, rows in step.plan["tables"].items()}
    after = {"fees": plain(memory.fees), "turnover": plain(memory.turnover), "flows": plain(memory.flows)}
    tables["equity"] = [{**row, **after} for row in tables["equity"]]
    if step.intents:
        tables["orders"] = [order_row(step.slot, intent) for intent in step.intents]
        fills = [fill for intent in step.intents for fill in intent.fills]
        if fills:
            tables["fills"] = [_fill_row(fill, step.slot.id) for fill in fills]
    return tables


def slot_row(outcome: SlotOutcome) -> Row:
    """The row of table `slots`."""
    return {
        "slot": outcome.slot,
        "kind": outcome.kind,
        "time": outcome.time,
        "outcome": outcome.outcome,
        "reason": outcome.reason,
        "as_of": outcome.as_of,
        "orders": outcome.orders,
    }


def audited(memory: Memory, outcome: SlotOutcome, tables: Mapping[str, Any]) -> tuple[Memory, list[Row]]:
    """Memory with the audit chain advanced by this slot, and the audit row. No wall clock inside the hash."""
    detail = {"outcome": outcome.outcome, "reason": outcome.reason, "orders": tables.get("orders", [])}
    return audit(memory, outcome.time, outcome.slot, detail)


def audit(memory: M, time: int, event: str, detail: Mapping[str, Any]) -> tuple[M, list[Row]]:
    """One more link of the audit chain."""
    from evenkeel.journal import audit_row  # noqa: PLC0415 - a back-test keeps no journal and starts without SQLite

    row = audit_row(memory.audit_hash, time, event, detail)
    return replace(memory, audit_hash=row["hash"]), [row]


def alert_row(time: int, level: str, code: str, text: str, *, slot: str = "", asset: str = "") -> Row:
    """A row of table `alerts`. level  info, warning, or page: a person should look · time  UTC s."""
    return {"time": time, "level": level, "code": code, "slot": slot, "asset": asset, "text": text}


def alerted(memory: M, rows: list[Row], time: int, event: str) -> M:
    """Memory with alerts that belong to no slot as its next record, and a link of the audit chain that says them."""
    memory = replace(memory, records=memory.records + 1)
    said = {row["code"] + (f" {row['asset']}" if row["asset"] else ""): row["text"] for row in rows}
    memory, links = audit(memory, time, event, said)
    return replace(memory, outbox={"sequence": memory.records, "tables": {"alerts": rows, "audit": links}})


def _plan_row(plan: Plan, view: View, book: Book) -> Row:
    acts = bool(plan.orders) or plan.slot.kind in TRADING
    decided = {
        "regime": plan.carry.regime.label,
        "equity": plan.equity,
        "drawdown": plan.drawdown,
        "drawdown_scale": plan.carry.drawdown_scale,
        "orders": len(plan.orders),
        "opinions": {o.name: _opinion(o, plan.assets) for o in plan.opinions},
        "dropped": [_json(d) for d in plan.dropped],
    }
    return {
        "slot": plan.slot.id,
        "as_of": plan.as_of,
        "config_digest": book.memory.config_digest,
        "inputs": _inputs(plan, view),
        "book": _book(book) if acts else {},
        "plan": decided,
    }


def _inputs(plan: Plan, view: View) -> Row:
    """Origin of the signals; in trading slots also a digest of all features, of which one NaN is as good as another.

    And what was read of event contracts, which no candles tell: the drift of each coin, or why it has none.
    """
    row: Row = {"origin": plan.carry.origin}
    if plan.slot.kind in TRADING:
        digest = hashlib.sha256()
        for array in (view.features, view.market):
            digest.update(np.where(np.isnan(array), np.nan, array).tobytes())
        row["features"] = digest.hexdigest()[:16]
        if view.readings:
            row["edge"] = {one.asset: one.reason or one.drift for one in view.readings}
    return row


def _opinion(said: Opinion, assets: Sequence[str]) -> Row:
    """Health and version, what else is to be said, and x of the policy, which the market alone does not tell."""
    row: Row = {"health": said.health.value, "version": said.version}
    if said.reason:
        row["reason"] = said.reason
    known = np.isfinite(said.x)
    if said.name == KIND and known.any():
        row["x"] = {a: x for a, x, told in zip(assets, said.x.tolist(), known.tolist(), strict=True) if told}
    return row


def _book(book: Book) -> dict[str, Any]:
    """Inputs of the decision that no archive can give back: holdings, and Memory without its ledger."""
    memory = replace(book.memory, slots=(), outbox=None, counts={}, open_slots=(), sequence=0)
    return {"holdings": _json(book.holdings), "memory": _json(memory)}


def _json(obj: Any) -> dict[str, Any]:
    from evenkeel.store.codec import to_json  # noqa: PLC0415 - nor does it keep a state

    return to_json(obj)


def _target_rows(plan: Plan) -> list[Row]:
    if plan.slot.kind is SlotKind.RISK and not plan.reasons:
        return []
    shown = np.flatnonzero((plan.held > 0) | (plan.raw > 0) | (plan.target > 0))
    why: dict[str, list[list[Any]]] = {}
    for reason in plan.reasons:
        why.setdefault(reason.asset, []).append([reason.rule, reason.factor])
    codes = {d.asset: d.code for d in plan.dropped}
    return [
        {
            "slot": plan.slot.id,
            "asset": plan.assets[i],
            "price": float(plan.price[i]),
            "held": float(plan.held[i]),
            "score": float(plan.score[i]),
            "expected": float(plan.expected[i]),
            "raw": float(plan.raw[i]),
            "weight": float(plan.target[i]),
            "reasons": why.get(plan.assets[i], []),
            "code": codes.get(plan.assets[i], ""),
        }
        for i in shown
    ]


def _equity_row(plan: Plan, book: Book) -> Row:
    return {
        "time": plan.slot.time,
        "slot": plan.slot.id,
        "equity": plan.equity,
        "cash": plain(book.holdings.cash),
        "gross": float(plan.held.sum()),
        "drawdown": plan.drawdown,
        "scale": plan.carry.drawdown_scale,
    }


def _edge_rows(plan: Plan, view: View) -> list[Row]:
    """Table `edge`; a risk check reads no contracts."""
    if plan.slot.kind not in TRADING:
        return []
    said = [{field.name: getattr(one, field.name) for field in fields(Reading)} for one in view.readings]
    return [{"slot": plan.slot.id, "as_of": plan.as_of, **{k: _told(v) for k, v in row.items()}} for row in said]


def _told(value: Any) -> Any:
    """A value as JSON has it: what is unknown is null."""
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return [list(part) for part in value] if isinstance(value, tuple) else value


def _difference_row(plan: Plan, difference: Difference) -> Row:
    text = f"{difference.asset}: remembered {plain(difference.remembered)}, venue says {plain(difference.venue)}"
    level = "page" if difference.code in PAGED else "warning"
    return alert_row(plan.slot.time, level, difference.code, text, slot=plan.slot.id, asset=difference.asset)


def order_row(slot: Slot, intent: Intent) -> Row:
    """The row of table `orders` of one intent."""
    order = intent.order
    return {
        "id": order.id,
        "slot": order.slot,
        "kind": slot.kind.value,
        "time": slot.time,
        "leg": order.leg,
        "asset": order.asset,
        "side": "BUY" if order.quantity > 0 else "SELL",
        "quantity": plain(abs(order.quantity)),
        "reason": order.reason,
        "style": order.style,
        "stop": plain(order.stop) if order.stop is not None else None,
        "status": intent.status.value,
        "note": intent.note,
    }


def _fill_row(fill: Fill, slot: str) -> Row:
    return {
        "id": fill.id,
        "order_id": fill.order_id,
        "slot": slot,
        "asset": fill.asset,
        "quantity": plain(fill.quantity),
        "price": plain(fill.price),
        "fee": plain(fill.fee),
        "time": fill.time,
    }
