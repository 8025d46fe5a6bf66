"""How everything stands at the end of a simulated life: venue, memory and journal, as facts for the checker."""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

from evenkeel.engine import slots
from evenkeel.engine.slots import Cadence
from evenkeel.journal import recent, verify_audit
from evenkeel.types import Memory, SlotKind
from faults.account import Account
from faults.history import Ending

EVERYTHING = 10**6


def of(account: Account, memory: Memory, home: Path, cadence: Cadence, opening: Decimal) -> Ending:
    """The ending of a life that is over."""
    path = home / "state" / "journal.db"
    rows = recent(path, "slots", limit=EVERYTHING, columns=("slot", "kind", "time", "outcome", "reason"))
    fills, paid = _booked(path)
    counts = Counter(row["slot"] for row in rows)
    return Ending(
        opening=opening,
        remembered={"USD": memory.cash or Decimal(0)} | {a: p.units for a, p in memory.positions.items()},
        venue=account.wealth(),
        trades=account.trades(),
        fills=fills,
        paid=paid,
        flows=memory.flows,
        trips=tuple(memory.trips),
        quarantined=tuple(memory.quarantined),
        seconds=tuple(slot for slot, n in counts.items() if n > 1),
        missing=tuple(_missing(rows, memory, cadence)),
        open=tuple(i.order.id for step in memory.open_slots for i in step.intents if not i.status.resolved),
        chain=verify_audit(path, memory.audit_hash)[0],
        trading_state=memory.trading_state.value,
        last=_last(rows),
        raced=account.raced,
    )


def _booked(path: Path) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """The journal's fills by our order id: units, and the USD that they took."""
    units: dict[str, Decimal] = defaultdict(Decimal)
    paid: dict[str, Decimal] = defaultdict(Decimal)
    for row in recent(path, "fills", limit=EVERYTHING, columns=("order_id", "quantity", "price", "fee")):
        quantity = Decimal(row["quantity"])
        units[row["order_id"]] += quantity
        paid[row["order_id"]] += quantity * Decimal(row["price"]) + Decimal(row["fee"])
    return dict(sorted(units.items())), dict(sorted(paid.items()))


def _last(rows: list[dict[str, Any]]) -> str:
    """How the newest rebalance ended, and why; `` = none was due."""
    newest = max((row for row in rows if row["kind"] == "rebalance"), key=lambda row: row["time"], default=None)
    return "" if newest is None else f"{newest['outcome']} {newest['reason']}".strip()


def _missing(rows: list[dict[str, Any]], memory: Memory, cadence: Cadence) -> list[str]:
    """Slots of the grid between the first and the newest of their kind that have no end."""
    ended = {(row["kind"], row["time"]) for row in rows}
    missing = []
    for kind in SlotKind:
        times = [time for found, time in ended if found == kind.value and time % cadence.of(kind) == 0]
        if times:
            grid = slots.between(min(times), memory.watermarks[kind.value] + 1, cadence)
            missing += [slot.id for slot in grid if slot.kind is kind and (kind.value, slot.time) not in ended]
    return missing
